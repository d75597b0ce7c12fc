"""A manifest of 1,000 rows, some of them bad in ten ways, killed in the middle and given again."""

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
from tests.commands import avatars, start

ROWS = 1000
EVERY = 20
"""One row in so many is bad, each of the kinds in turn."""
KILLED_AT = 400
"""Avatars at Argil when the first run is killed."""
PATIENCE_SECONDS = 300
FIRST_LINE = 2

pytestmark = [pytest.mark.prefect, pytest.mark.system, pytest.mark.timeout(900)]

Row = dict[str, str]


@dataclass(frozen=True)
class Bad:
    """How a row is spoilt, and what must be told of it."""

    spoil: Callable[[Row, MediaHost], Row]
    code: str
    status: str = "INVALID"


def change(**columns: str) -> Callable[[Row, MediaHost], Row]:
    return lambda row, _: {**row, **columns}


BAD = [
    Bad(change(name=""), "row.name"),
    Bad(change(name="x" * 300), "row.name"),
    Bad(change(dataset_video="http://videos.example/a.mp4"), "row.dataset_video"),
    Bad(change(consent_video=""), "row.consent_video"),
    Bad(change(consent_video="https://ada:secret@videos.example/a.mp4"), "row.consent_video"),
    Bad(lambda row, _: {**row, "reference": row["reference"] * 30}, "row.reference"),
    Bad(change(reference="twice"), "row.duplicate"),
    Bad(change(extras='{"submission_id": "mine"}'), "row.extras"),
    Bad(lambda row, host: {**row, "dataset_video": host.url("dataset-40s.mp4")}, "dataset.too-short", "REJECTED"),
    Bad(lambda row, host: {**row, "consent_video": host.url("consent-45s.mp4")}, "consent.too-long", "REJECTED"),
]


def manifest(path: Path, videos: MediaHost) -> dict[int, Bad]:
    """Write it; returns what is bad by its line."""
    bad: dict[int, Bad] = {}
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["name", "dataset_video", "consent_video", "reference", "extras"])
        writer.writeheader()
        for number in range(ROWS):
            fault = "cut-after-create" if number % EVERY == 1 else ""
            row = {
                "name": f"creator {number}",
                "dataset_video": videos.url("dataset.mp4"),
                "consent_video": videos.url("consent.mp4"),
                "reference": f"creator-{number}",
                "extras": json.dumps({"simulator": fault}) if fault else "",
            }
            if number % EVERY == 0:
                kind = bad[number + FIRST_LINE] = BAD[number // EVERY % len(BAD)]
                row = kind.spoil(row, videos)
            writer.writerow(row)
    return bad


def test_of_a_thousand_rows_every_bad_one_is_told_and_every_good_one_ready_also_after_a_kill(
    prefect_api_url: str, simulated: ArgilSimulator, videos: MediaHost, tmp_path: Path
) -> None:
    path = tmp_path / "creators.csv"
    bad = manifest(path, videos)
    hurry = {"AVATARS_REQUESTS_PER_SECOND": "1000"}

    process = start("batch", str(path), **hurry)
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while len(simulated.world.avatars) < KILLED_AT:
        assert process.poll() is None
        assert time.monotonic() < give_up_at
        time.sleep(0.05)
    process.kill()
    process.communicate()
    assert len(simulated.world.avatars) < ROWS - len(bad)

    again = avatars("batch", str(path), "--json", **hurry)
    assert again.code == 1
    rows = {row["line"]: row for row in again.document["rows"]}
    assert rows.keys() == set(range(FIRST_LINE, ROWS + FIRST_LINE))
    for line, row in rows.items():
        told = [reason["code"] for reason in row["reasons"]]
        expected = (bad[line].status, [bad[line].code]) if line in bad else ("READY", [])
        assert (row["status"], told) == expected, row
        if row["status"] == "INVALID":
            assert row["reasons"][0]["message"].startswith(f"line {line}, "), row
    assert all(
        f"line {line}, " in rows[line]["reasons"][0]["message"] for line in bad if bad[line].status == "INVALID"
    )
    with (tmp_path / "creators.results.csv").open(newline="") as file:
        results = {int(row["line"]): row["status"] for row in csv.DictReader(file)}
    assert results == {line: row["status"] for line, row in rows.items()}
    made = Counter(avatar["name"] for avatar in simulated.world.avatars)
    assert made == {f"creator {line - FIRST_LINE}": 1 for line in rows if line not in bad}
