"""A batch of 1,000 rows, every 20th row invalid in one of ten ways, killed and restarted."""

from __future__ import annotations

import csv
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from simulator.media_host import MediaHost
from simulator.server import ArgilSimulator
from tests.cli_process import CompletedCommand, start

ROWS = 1000
BAD_ROW_INTERVAL = 20
"""Every 20th row is bad; the kinds alternate."""
KILL_AFTER_AVATARS = 400
"""The first process is killed once Argil has this many avatars."""
TIMEOUT_SECONDS = 300
FIRST_LINE = 2

pytestmark = [pytest.mark.prefect, pytest.mark.system, pytest.mark.timeout(900)]

Row = dict[str, str]


@dataclass(frozen=True)
class BadRow:
    """How a row is made invalid, and the expected reason and status."""

    spoil: Callable[[Row, MediaHost], Row]
    code: str
    status: str = "INVALID"


def change(**columns: str) -> Callable[[Row, MediaHost], Row]:
    return lambda row, _: {**row, **columns}


BAD_ROWS = [
    BadRow(change(name=""), "row.name"),
    BadRow(change(name="x" * 300), "row.name"),
    BadRow(change(dataset_video="http://videos.example/a.mp4"), "row.dataset_video"),
    BadRow(change(consent_video=""), "row.consent_video"),
    BadRow(change(consent_video="https://ada:secret@videos.example/a.mp4"), "row.consent_video"),
    BadRow(lambda row, _: {**row, "reference": row["reference"] * 30}, "row.reference"),
    BadRow(change(reference="twice"), "row.duplicate"),
    BadRow(change(extras='{"submission_id": "mine"}'), "row.extras"),
    BadRow(
        lambda row, host: {**row, "dataset_video": host.url("dataset-40s.mp4")},
        "dataset.duration-too-short",
        "REJECTED",
    ),
    BadRow(
        lambda row, host: {**row, "consent_video": host.url("consent-45s.mp4")},
        "consent.duration-too-long",
        "REJECTED",
    ),
]


def manifest(path: Path, videos: MediaHost) -> dict[int, BadRow]:
    """Write the manifest and return its bad rows by line number."""
    bad_rows: dict[int, BadRow] = {}
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["name", "dataset_video", "consent_video", "reference", "extras"])
        writer.writeheader()
        for number in range(ROWS):
            fault = "cut-after-create" if number % BAD_ROW_INTERVAL == 1 else ""
            row = {
                "name": f"creator {number}",
                "dataset_video": videos.url("dataset.mp4"),
                "consent_video": videos.url("consent.mp4"),
                "reference": f"creator-{number}",
                "extras": json.dumps({"simulator": fault}) if fault else "",
            }
            if number % BAD_ROW_INTERVAL == 0:
                kind = bad_rows[number + FIRST_LINE] = BAD_ROWS[number // BAD_ROW_INTERVAL % len(BAD_ROWS)]
                row = kind.spoil(row, videos)
            writer.writerow(row)
    return bad_rows


def test_batch_of_1000_killed_and_restarted(
    prefect_api_url: str, simulated: ArgilSimulator, videos: MediaHost, tmp_path: Path
) -> None:
    path = tmp_path / "creators.csv"
    bad_rows = manifest(path, videos)
    fast_settings = {"AVATARS_REQUESTS_PER_SECOND": "1000"}

    process = start("batch", "--allow-shared-recordings", "--yes", str(path), **fast_settings)
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while len(simulated.account.avatars) < KILL_AFTER_AVATARS:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.communicate()
    assert len(simulated.account.avatars) < ROWS - len(bad_rows)

    again = CompletedCommand(
        start("batch", "--allow-shared-recordings", "--yes", str(path), "--json", **fast_settings), TIMEOUT_SECONDS
    )
    assert again.code == 1
    rows = {row["line"]: row for row in again.document["rows"]}
    assert rows.keys() == set(range(FIRST_LINE, ROWS + FIRST_LINE))
    for line, row in rows.items():
        codes = [reason["code"] for reason in row["reasons"]]
        expected = (bad_rows[line].status, [bad_rows[line].code]) if line in bad_rows else ("READY", [])
        assert (row["status"], codes) == expected, row
        if row["status"] == "INVALID":
            assert row["reasons"][0]["message"].startswith(f"line {line}, "), row
    assert all(
        f"line {line}, " in rows[line]["reasons"][0]["message"]
        for line in bad_rows
        if bad_rows[line].status == "INVALID"
    )
    with (tmp_path / "creators.results.csv").open(newline="", encoding="utf-8-sig") as file:
        results = {line: row["result_status"] for line, row in enumerate(csv.DictReader(file), FIRST_LINE)}
    assert results == {line: row["status"] for line, row in rows.items()}
    counts = Counter(avatar["name"] for avatar in simulated.account.avatars)
    assert counts == {f"creator {line - FIRST_LINE}": 1 for line in rows if line not in bad_rows}
