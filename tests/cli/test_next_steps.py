"""What the commands advise: what waits for a person, the step after a release, what a conflict compares."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.main import run
from models.clock import SystemClock
from models.errors import NotReopenable
from models.exit_codes import EXIT_OK, EXIT_USAGE
from models.outcomes import CODES_THAT_END, CODES_THAT_END_ALONE, RELEASED_NEXT_STEP, waits_for_person
from models.provisioning import LeaseOwner, Status
from models.reason import Reason
from models.request import ProvisioningRequest
from models.settings import Settings
from services.reopening import retry
from services.store import open_store

RELEASE_COMMAND = "avatars release"


@pytest.fixture(autouse=True)
def ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provisioning_request: ProvisioningRequest, owner: LeaseOwner
) -> None:
    """One provisioning that is REFUSED, one that is TIMED_OUT and one that is READY."""
    monkeypatch.setenv("AVATARS_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}")
    monkeypatch.chdir(tmp_path)

    async def create() -> None:
        async with open_store(Settings.load(), SystemClock()) as store:
            for reference, status in (("no", Status.REFUSED), ("late", Status.TIMED_OUT), ("ok", Status.READY)):
                request = provisioning_request.model_copy(update={"extras": {"team": f"of {reference}"}})
                current, _ = await store.ledger.get_or_create(request, reference, owner)
                for step in (Status.SUBMITTING, Status.TRAINING, status):
                    current = await store.ledger.transition(current, owner, "step", new_status=step)
                if status is Status.REFUSED:
                    await store.quarantine.add(current)

    asyncio.run(create())


def listed(capsys: pytest.CaptureFixture[str], *options: str) -> list[str]:
    assert run(["list", "--json", *options]) == EXIT_OK
    return [item["reference"] for item in json.loads(capsys.readouterr().out)]


def shown(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    run([*args])
    output = capsys.readouterr()
    return " ".join((output.out + output.err).split())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ["late", "no"]),
        (["--status", "REFUSED", "--status", "READY"], ["no"]),
        (["--reference", "ok"], []),
        (["--extra", "team=of late"], ["late"]),
        (["--until", "2020-01-01"], []),
    ],
    ids=" ".join,
)
def test_needs_attention_lists_what_waits_for_a_person(
    options: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert listed(capsys, "--needs-attention", *options) == expected


@pytest.mark.parametrize(
    "options", [[], ["--reference", "no"], ["--name", "Ada"], ["--extra", "team=of no"]], ids=str
)
def test_released_refusal_no_longer_needs_attention(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "no" in listed(capsys, "--needs-attention", *options)
    run(["release", "no", "--reason", "Eva"])
    capsys.readouterr()
    assert "no" not in listed(capsys, "--needs-attention", *options)
    assert "no" in listed(capsys, "--status", "REFUSED", *options)


def test_needs_attention_stays_on_the_next_page(capsys: pytest.CaptureFixture[str]) -> None:
    run(["list", "--needs-attention", "--limit", "1"])
    assert "avatars list --needs-attention --limit 1 --after" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("codes", "waits"),
    [
        ([], False),
        (["argil.unauthorized"], True),
        (["dataset.unreachable", "consent.unreachable"], True),
        *(([code], code not in CODES_THAT_END_ALONE) for code in CODES_THAT_END),
    ],
    ids=str,
)
def test_blocked_request_needs_attention_and_a_waiting_one_does_not(
    codes: list[str],
    waits: bool,
    provisioning_request: ProvisioningRequest,
    owner: LeaseOwner,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def record() -> tuple[bool, bool]:
        async with open_store(Settings.load(), SystemClock()) as store:
            current, _ = await store.ledger.get_or_create(provisioning_request, "new", owner)
            reasons = [Reason(code=code, message="it is so", hint="") for code in codes]
            current = await store.ledger.transition(current, owner, "tried", reasons=reasons)
            leased = await store.leases.acquire(current.id, owner, timedelta(minutes=1))
            return waits_for_person(current), waits_for_person(leased)

    assert asyncio.run(record()) == (waits, False)
    assert "new" not in listed(capsys, "--needs-attention")

    async def release() -> None:
        async with open_store(Settings.load(), SystemClock()) as store:
            current = await store.ledger.get("new")
            await store.leases.release(current.id, owner)

    asyncio.run(release())
    assert ("new" in listed(capsys, "--needs-attention")) is waits
    assert ("new" in listed(capsys, "--needs-attention", "--status", "ACCEPTED", "--name", "Ada")) is waits


def test_erased_person_is_in_no_list_by_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(capsys, "--status", "READY") == ["ok"]
    for key in ("ok", "late"):
        run(["erase", key, "--yes"])
    capsys.readouterr()
    assert listed(capsys, "--status", "READY", "--status", "TIMED_OUT") == []
    assert listed(capsys, "--needs-attention") == ["no"]
    assert sorted(listed(capsys)) == ["late", "no", "ok"]


def test_needs_attention_refuses_a_status_that_waits_for_no_person(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list", "--needs-attention", "--status", "READY"]) == EXIT_USAGE
    assert "no provisioning waits for a person in READY" in capsys.readouterr().err


def test_needs_attention_on_a_terminal_has_the_next_steps(capsys: pytest.CaptureFixture[str]) -> None:
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": "80"}
    command = [sys.executable, "-m", "cli", "list", "--needs-attention"]
    out = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    plain = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", out).split())
    assert "next: `avatars resume" in plain
    assert RELEASE_COMMAND in plain


def test_release_prints_the_next_step_and_show_repeats_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert RELEASE_COMMAND in shown(capsys, "show", "no")
    for command in (["release", "no", "--reason", "Eva"], ["release", "no", "--reason", "again"], ["show", "no"]):
        text = shown(capsys, *command)
        assert f"next: {RELEASED_NEXT_STEP}" in text
        assert RELEASE_COMMAND not in text


def test_no_command_advises_a_release_after_it(owner: LeaseOwner, capsys: pytest.CaptureFixture[str]) -> None:
    assert RELEASE_COMMAND in shown(capsys, "cancel", "no")
    run(["release", "no", "--reason", "Eva"])
    for command in (["cancel", "no"], ["retry", "no", "--enqueue"]):
        assert RELEASED_NEXT_STEP in shown(capsys, *command)

    async def fail() -> str:
        async with open_store(Settings.load(), SystemClock()) as store:
            with pytest.raises(NotReopenable) as raised:
                await retry(store.ledger, store.quarantine, await store.ledger.get("no"), owner, ())
            return raised.value.hint

    assert asyncio.run(fail()) == RELEASED_NEXT_STEP


@pytest.mark.parametrize("command", ["retry ok", "retrain ok --reason again", "retrain late --reason again"])
def test_provisioning_that_cannot_be_reopened_is_refused_before_a_server_starts(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")  # nothing listens there: a run would fail
    text = shown(capsys, *command.split())
    action = command.partition(" ")[0]
    assert f"`{action}` re-opens only" in text
    assert "Prefect" not in text


def test_show_names_recordings_and_extras_without_queries(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", "ok", "--json"]) == EXIT_OK
    out = capsys.readouterr().out
    document: dict[str, Any] = json.loads(out)
    assert document["recordings"] == {
        "dataset": "https://videos.example/ada/dataset.mp4?…",
        "consent": "https://videos.example/ada/consent.mp4?…",
    }
    assert document["extras"] == {"team": "of ok"}
    text = shown(capsys, "show", "ok")
    assert "dataset: https://videos.example/ada/dataset.mp4?… consent: https://" in text
    assert "extra team=of ok" in text
    assert "canary" not in out + text


def test_show_names_no_recording_of_an_erased_person(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["erase", "ok"]) == EXIT_USAGE
    assert "without a terminal, add --yes" in capsys.readouterr().err
    assert run(["erase", "ok", "--yes"]) == EXIT_OK
    capsys.readouterr()
    run(["show", "ok", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert (document["recordings"], document["extras"]) == ({}, {})
    assert "ada" not in json.dumps(document)


@pytest.mark.parametrize("command", ["cancel", "retry", "resume"])
def test_unknown_key_among_several_says_that_nothing_changed(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, "nope", "late", "nil"]) == EXIT_USAGE
    assert "nothing was changed; unknown, too: 'nil'" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["cancel"], ["retry"], ["retry", "--enqueue"]], ids=" ".join)
def test_status_that_a_command_never_changes_is_one_error(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, "--status", "READY"]) == EXIT_USAGE
    error = capsys.readouterr().err
    assert error.count("error ") == 1
    assert f"`{command[0]}` does not change provisionings that are READY" in error


@pytest.mark.system
@pytest.mark.parametrize(
    ("options", "answer", "is_erased"),
    [([], "n", False), ([], "y", True), (["--yes"], "", True), (["--json"], "", True)],
)
def test_erase_asks_on_a_terminal(options: list[str], answer: str, is_erased: bool) -> None:
    controller, terminal = pty.openpty()
    os.write(controller, f"{answer}\n".encode())
    command = [sys.executable, "-m", "cli", "erase", "ok", *options]
    completed = subprocess.run(command, stdin=terminal, stdout=terminal, stderr=terminal, check=False)
    os.set_blocking(controller, False)
    output = os.read(controller, 100_000).decode()
    os.close(controller)
    os.close(terminal)
    assert completed.returncode == (EXIT_OK if is_erased else EXIT_USAGE)
    assert ("reference 'ok', for good?" in output) is not bool(options)
    asked = subprocess.run(
        [sys.executable, "-m", "cli", "show", "ok", "--json"], capture_output=True, text=True, check=True
    )
    assert (json.loads(asked.stdout)["name"] == "Ada") is not is_erased
