"""`avatars list` in this process: pages, filters and error messages."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cli.main import run
from models.exit_codes import EXIT_OK, EXIT_USAGE
from models.provisioning import LeaseOwner, Status
from models.request import ProvisioningRequest
from models.settings import Settings
from services.store import open_store
from tests.fakes import FakeClock

STARTED_AT = datetime(2026, 11, 1, tzinfo=UTC)
DAY_SECONDS = 86_400


@pytest.fixture(autouse=True)
def seven_provisionings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provisioning_request: ProvisioningRequest, owner: LeaseOwner
) -> None:
    """One provisioning on each of 1 to 4 November and three at the same moment on the 5th; two have ended."""
    monkeypatch.setenv("AVATARS_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}")
    final_statuses = {"day-2": Status.REJECTED, "day-3": Status.CANCELLED}

    async def create() -> None:
        clock = FakeClock()
        async with open_store(Settings.load(), clock) as store:
            for day, name in enumerate(["day-1", "day-2", "day-3", "day-4", "day-5a"]):
                clock.time = STARTED_AT
                clock.advance(day * DAY_SECONDS)
                request = provisioning_request.model_copy(
                    update={"name": f"Ada {day}", "extras": {"team": f"{day % 2}"}}
                )
                opened, _ = await store.ledger.get_or_create(request, name, owner)
                if name in final_statuses:
                    await store.ledger.transition(opened, owner, "final", new_status=final_statuses[name])
                if name == "day-4":
                    await store.ledger.transition(opened, owner, "an avatar", avatar_id="a-1")
            for name in ("day-5b", "day-5c"):
                await store.ledger.get_or_create(provisioning_request, name, owner)

    asyncio.run(create())


def list_json(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[list[dict[str, Any]], str]:
    assert run(["list", "--json", *options]) == EXIT_OK
    output = capsys.readouterr()
    return json.loads(output.out), output.err


def days(provisionings: list[dict[str, Any]]) -> list[str]:
    return [item["reference"][:5] for item in provisionings]


def test_pages_contain_each_provisioning_once(capsys: pytest.CaptureFixture[str]) -> None:
    everything, status = list_json(capsys)
    assert days(everything) == ["day-5"] * 3 + ["day-4", "day-3", "day-2", "day-1"]
    assert status == ""
    pages: list[dict[str, Any]] = []
    while True:
        page, status = list_json(capsys, "--limit", "2", *(["--after", pages[-1]["id"]] if pages else []))
        pages += page
        if not status:
            break
        assert f"--after {page[-1]['id']}" in status
    assert pages == everything


def test_printed_next_page_command_runs(capsys: pytest.CaptureFixture[str]) -> None:
    args = ["list", "--status", "ACCEPTED", "--status", "REJECTED", "--since", "2026-11-01 00:00", "--limit", "3"]
    counts = []
    while args:
        assert run(args) == EXIT_OK
        output = capsys.readouterr()
        counts.append(len(re.findall("ACCEPTED|REJECTED", output.out)))
        command = re.search(r"avatars (list .*)", output.err)
        args = shlex.split(command[1]) if command else []
    assert counts == [3, 3]


@pytest.mark.parametrize("option", ["--name=-dash", "--extra=-k=-v=w", "--extra=k ="])
def test_printed_next_page_command_runs_for_any_value(
    option: str,
    capsys: pytest.CaptureFixture[str],
    provisioning_request: ProvisioningRequest,
    owner: LeaseOwner,
) -> None:
    async def create() -> None:
        request = provisioning_request.model_copy(update={"name": "-dash", "extras": {"-k": "-v=w", "k": ""}})
        async with open_store(Settings.load(), FakeClock()) as store:
            for reference in ("dash-1", "dash-2"):
                await store.ledger.get_or_create(request, reference, owner)

    asyncio.run(create())
    args = ["list", option, "--limit", "1"]
    found = []
    while args:
        assert run(args) == EXIT_OK
        output = capsys.readouterr()
        found += re.findall(r"dash-\d", output.out)
        command = re.search(r"avatars (list .*)", output.err)
        args = shlex.split(command[1]) if command else []
    assert sorted(found) == ["dash-1", "dash-2"]


def test_list_as_csv_has_the_rows_of_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list", "--csv", "--extra", "team=0", "--limit", "2"]) == EXIT_OK
    output = capsys.readouterr()
    assert output.out.startswith("\ufeffstatus,reference,name,id,")
    rows = list(csv.DictReader(io.StringIO(output.out.removeprefix("\ufeff"))))
    assert [(row["reference"], row["name"], row["created_at"]) for row in rows] == [
        ("day-5a", "Ada 4", "2026-11-05T00:00:00Z"),
        ("day-3", "Ada 2", "2026-11-03T00:00:00Z"),
    ]
    command = re.search(r"avatars (list .*)", output.err)
    assert command is not None
    assert run(shlex.split(command[1])) == EXIT_OK
    assert "day-1" in capsys.readouterr().out


def test_list_in_a_pipe_is_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list"]) == EXIT_OK
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    everything, _ = list_json(capsys)
    assert [line[:4] for line in lines] == [
        [item["status"], item["id"], item["created_at"], item["reference"]] for item in everything
    ]


def test_list_with_styles_fits_80_columns() -> None:
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": "80"}  # the console of this process would keep it
    completed = subprocess.run(
        [sys.executable, "-m", "cli", "list"], env=environment, capture_output=True, text=True, check=True
    )
    lines = re.sub(r"\x1b\[[0-9;]*m", "", completed.stdout).splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[:2] for line in lines if line.startswith("CANCELLED")] == [["CANCELLED", "2026-11-03"]]
    assert len([line for line in lines if re.fullmatch(r"  [0-9a-f-]{36}  day-\w+", line)]) == 7


def test_list_without_match_names_the_filter(capsys: pytest.CaptureFixture[str]) -> None:
    for options in (["--status", "READY"], ["--name", "Grace"], ["--after", "day-1"]):
        assert run(["list", *options]) == EXIT_OK
        output = capsys.readouterr()
        assert (output.out, output.err.partition(":")[0]) == ("", "no provisioning matches the options")
        assert list_json(capsys, *options) == ([], "")


def test_empty_ledger_says_how_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AVATARS_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}")
    for command, start in (("list", "avatars provision --help"), ("batches", "avatars batch MANIFEST")):
        assert run([command]) == EXIT_OK
        output = capsys.readouterr()
        assert output.out == ""
        assert f"`{start}`" in output.err


@pytest.mark.parametrize("text", ["TRAINING_FAILED", "training-failed", "Training_Failed"])
def test_status_is_read_in_any_form(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert list_json(capsys, "--status", text)[0] == []


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_list_ends_quietly_if_its_reader_has_ended(options: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        completed = subprocess.run(
            [sys.executable, "-m", "cli", "list", *options], stdout=writer, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writer)
    assert (completed.returncode, completed.stderr) == (1, b"")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--status", "REJECTED", "--status", "CANCELLED"], ["day-3", "day-2"]),
        (["--status", "READY"], []),
        (
            ["--status", "ACCEPTED", "--status", "ACCEPTED", "--until", "2026-11-05", "--limit", "2"],
            ["day-4", "day-1"],
        ),
        (["--since", "2026-11-03", "--until", "2026-11-05"], ["day-4", "day-3"]),
        (["--until", "2026-11-02T01:00:00+01:00"], ["day-1"]),
        (["--after", "day-3", "--until", "2026-11-05T00:00Z"], ["day-2", "day-1"]),
        (["--name", " Ada 3 "], ["day-4"]),
        (["--reference", "day-2", "--status", "REJECTED"], ["day-2"]),
        (["--reference", "day-2", "--status", "READY"], []),
        (["--avatar-id", "a-1"], ["day-4"]),
        (["--avatar-id", " a-1\t"], ["day-4"]),
        (["--since", " 2026-11-04 ", "--until", "2026-11-05\u00a0"], ["day-4"]),
        (["--avatar-id", "\x00"], []),
        (["--extra", "team=1"], ["day-4", "day-2"]),
        (["--extra", "team=1", "--status", "REJECTED", "--since", "2026-11-01"], ["day-2"]),
        (["--extra", "team=1", "--extra", "city=berlin"], []),
    ],
)
def test_list_filters(options: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert days(list_json(capsys, *options)[0]) == expected


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--since", "yesterday"], "request.invalid", "since: 'yesterday' is not an ISO 8601 date or time"),
        (["--until", "2026-13-01"], "request.invalid", "until: '2026-13-01' is not an ISO 8601 date or time"),
        (
            ["--since", "0001-01-01T00:00+01:00"],
            "request.invalid",
            "since: '0001-01-01T00:00+01:00' is not in the years 1 to 9999 in UTC",
        ),
        (["--name", "a\nb"], "request.invalid", "name: must not contain U+000A LINE FEED"),
        (["--extra", "team"], "request.invalid", "extra: must be KEY=VALUE, not 'team'"),
        (["--csv"], "request.invalid-arguments", "--csv and --json exclude each other"),
        (
            ["--after", "missing"],
            "request.unknown-provisioning",
            "no provisioning has the id or reference 'missing'",
        ),
    ],
)
def test_list_bad_input_is_one_clear_error(
    options: list[str], code: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["list", "--json", *options]) == EXIT_USAGE
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], error["message"]) == (code, message)
    assert error["hint"]


@pytest.mark.parametrize("options", [["--limit", "0"], ["--limit", "10001"], ["--status", "INVALID"]])
def test_list_invalid_option_value_is_bad_usage(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list", *options]) == EXIT_USAGE
    assert options[1] in "".join(capsys.readouterr())
