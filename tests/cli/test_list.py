"""`avatars list` in this process: pages, filters, and bad input told clearly."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cli.main import run
from models.outcomes import EXIT_OK, EXIT_USAGE
from models.provisioning import Driver, Status
from models.request import ProvisioningRequest
from models.settings import Settings
from tasks.runtime import open_store
from tests.fakes import FakeClock

BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
DAY = 86_400


@pytest.fixture(autouse=True)
def seven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request_of_ada: ProvisioningRequest, driver: Driver
) -> None:
    """One on each of the first days of November, three of them at the same moment on the 5th; some have ended."""
    monkeypatch.setenv("AVATARS_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}")
    ends = {"day-2": Status.REJECTED, "day-3": Status.CANCELLED}

    async def make() -> None:
        clock = FakeClock()
        async with open_store(Settings.load(), clock) as (ledger, _, _):
            for day, name in enumerate(["day-1", "day-2", "day-3", "day-4", "day-5a"]):
                clock.time = BEGAN
                clock.pass_(day * DAY)
                opened, _ = await ledger.open(request_of_ada, name, driver)
                if name in ends:
                    await ledger.record(opened, driver, "ends", to=ends[name])
            for name in ("day-5b", "day-5c"):
                await ledger.open(request_of_ada, name, driver)

    asyncio.run(make())


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[list[dict[str, Any]], str]:
    assert run(["list", "--json", *words]) == EXIT_OK
    told = capsys.readouterr()
    return json.loads(told.out), told.err


def days(found: list[dict[str, Any]]) -> list[str]:
    return [one["reference"][:5] for one in found]


def test_pages_hold_each_once_newest_first_also_of_one_moment(capsys: pytest.CaptureFixture[str]) -> None:
    whole, told = listed(capsys)
    assert days(whole) == ["day-5"] * 3 + ["day-4", "day-3", "day-2", "day-1"]
    assert told == ""
    seen: list[dict[str, Any]] = []
    while True:
        page, told = listed(capsys, "--limit", "2", *(["--after", seen[-1]["id"]] if seen else []))
        seen += page
        if not told:
            break
        assert f"--after {page[-1]['id']}" in told
    assert seen == whole


def test_the_command_for_the_next_page_can_be_copied(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["list", "--status", "ACCEPTED", "--status", "REJECTED", "--since", "2026-11-01T00:00", "--limit", "3"]
    counts = []
    while words:
        assert run(words) == EXIT_OK
        told = capsys.readouterr()
        counts.append(len(re.findall("ACCEPTED|REJECTED", told.out)))
        more = re.search(r"avatars (list .*)", told.err)
        words = shlex.split(more[1]) if more else []
    assert counts == [3, 3]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--status", "REJECTED", "--status", "CANCELLED"], ["day-3", "day-2"]),
        (["--status", "READY"], []),
        (["--since", "2026-11-03", "--until", "2026-11-05"], ["day-4", "day-3"]),
        (["--until", "2026-11-02T01:00:00+01:00"], ["day-1"]),
        (["--after", "day-3", "--until", "2026-11-05T00:00Z"], ["day-2", "day-1"]),
    ],
)
def test_filters(words: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert days(listed(capsys, *words)[0]) == expected


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--since", "yesterday"], "request.invalid", "since: 'yesterday' is neither a day nor a moment"),
        (["--until", "2026-13-01"], "request.invalid", "until: '2026-13-01' is neither a day nor a moment"),
        (["--after", "nobody"], "request.unknown-provisioning", "no provisioning has the id or reference 'nobody'"),
    ],
)
def test_bad_input_is_told(words: list[str], code: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list", "--json", *words]) == EXIT_USAGE
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], error["message"]) == (code, message)
    assert error["hint"]


@pytest.mark.parametrize("words", [["--limit", "0"], ["--limit", "10001"], ["--status", "ASLEEP"]])
def test_what_is_no_choice_is_bad_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list", *words]) == EXIT_USAGE
    assert words[1] in "".join(capsys.readouterr())
