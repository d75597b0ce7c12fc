"""`avatars voice`, and the checks of webhooks, in this process, against a ledger and the simulator."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from cli.main import run
from cli.webhook_diagnostics import check_webhooks
from models.clock import SystemClock
from models.exit_codes import EXIT_OK, EXIT_OPERATIONAL_ERROR, EXIT_USAGE
from models.provisioning import LeaseOwner, Provisioning, Status, SubmissionState
from models.request import ProvisioningRequest
from models.settings import Settings
from services.store import Store, open_store
from simulator.server import ArgilSimulator, run_argil

RECEIVER = "https://avatars.example/webhooks/argil/canary-token"


@pytest.fixture
def argil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ArgilSimulator]:
    with run_argil(api_key="canary-api-key") as simulator:
        monkeypatch.setenv("ARGIL_API_URL", simulator.api_url)
        monkeypatch.setenv("ARGIL_API_KEY", simulator.api_key)
        monkeypatch.setenv("AVATARS_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}")
        yield simulator


def in_store(action: Callable[[Store], Any]) -> Any:
    async def act() -> Any:
        async with open_store(Settings.load(), SystemClock()) as store:
            return await action(store)

    return asyncio.run(act())


@pytest.fixture
def create(
    argil: ArgilSimulator, provisioning_request: ProvisioningRequest, owner: LeaseOwner
) -> Callable[..., Provisioning]:
    """A function that records a provisioning with its avatar, by default READY."""

    def create(reference: str = "creator-1", status: Status = Status.READY) -> Provisioning:
        async def record(store: Store) -> Provisioning:
            ledger = store.ledger
            opened, _ = await ledger.get_or_create(provisioning_request, reference, owner)
            submitting, submission = await ledger.begin_submission(opened, owner, "recorded")
            started = await ledger.resolve_submission(
                *(submitting, owner, "created", submission, SubmissionState.CREATED),
                new_status=Status.TRAINING,
                avatar_id=f"avatar-of-{reference}",
                training_started_at=SystemClock().now(),
            )
            return await ledger.transition(started, owner, "ended", new_status=status)

        provisioning: Provisioning = in_store(record)
        return provisioning

    return create


def clone(argil: ArgilSimulator, age: timedelta = timedelta(), name: str = "Ada") -> str:
    """Create a voice at the simulator and return its id."""
    body = {"name": name, "audioUrl": "https://h.example/a.mp3"}
    voice = argil.account.voices.add_clone(body, argil.account.now() - age, creates=True, status=201)
    assert voice is not None
    voice_id: str = voice["id"]
    return voice_id


def show(capsys: pytest.CaptureFixture[str], reference: str = "creator-1") -> dict[str, Any]:
    capsys.readouterr()
    assert run(["show", reference, "--json"]) == EXIT_OK
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_given_voice_is_recorded_and_shown(
    argil: ArgilSimulator, create: Callable[..., Provisioning], capsys: pytest.CaptureFixture[str]
) -> None:
    create()
    assert show(capsys)["voice_id"] is None
    assert run(["show", "creator-1"]) == EXIT_OK
    assert "VOICE_ID" in capsys.readouterr().out
    voice_id = clone(argil)
    assert run(["voice", "creator-1", f" {voice_id} "]) == EXIT_OK
    assert f"voice {voice_id} (given)" in capsys.readouterr().out
    assert run(["voice", "creator-1", voice_id, "--json"]) == EXIT_OK  # it has this voice already
    document = json.loads(capsys.readouterr().out)
    assert (document["voice_id"], document["voice_source"]) == (voice_id, "given")
    events = show(capsys)["events"]
    assert [event["message"] for event in events if voice_id in event["message"]] == [
        f"voice {voice_id} is recorded: a person named it"
    ]
    assert run(["list", "--csv"]) == EXIT_OK
    assert voice_id in capsys.readouterr().out
    (due,) = in_store(lambda store: store.ledger.list_voice_due(limit=9))
    assert due.voice_id == voice_id  # reconcile-avatars announces it


def test_list_of_possible_voices_asks_for_one_only_if_it_can_be_recorded(
    argil: ArgilSimulator, create: Callable[..., Provisioning], capsys: pytest.CaptureFixture[str]
) -> None:
    created, voice_id = create(), clone(argil)
    assert run(["voice", "creator-1"]) == EXIT_OK
    assert "some may be of other avatars" in capsys.readouterr().err
    assert run(["voice", "creator-1", voice_id]) == EXIT_OK
    capsys.readouterr()
    assert run(["voice", "creator-1"]) == EXIT_OK
    assert "another one replaces the recorded one" in capsys.readouterr().err
    assert run(["erase", created.id, "--yes"]) == EXIT_OK
    assert run(["voice", created.id]) == EXIT_USAGE
    assert "was erased" in capsys.readouterr().err


def test_voice_is_refused_with_the_reason(
    argil: ArgilSimulator, create: Callable[..., Provisioning], capsys: pytest.CaptureFixture[str]
) -> None:
    create()
    create("creator-2")
    create("failed", Status.TRAINING_FAILED)
    taken, old = clone(argil), clone(argil, age=timedelta(hours=1))
    assert run(["voice", "creator-2", taken]) == EXIT_OK
    for key, voice_id, code in [
        ("creator-1", "no-such-voice", "request.voice"),
        ("creator-1", old, "request.voice"),
        ("creator-1", taken, "request.voice-taken"),
        ("failed", clone(argil), "request.not-ready"),
        ("no-such-provisioning", clone(argil), "request.unknown"),
        ("creator-1", "not an id", "request.invalid"),
    ]:
        capsys.readouterr()
        assert run(["voice", key, voice_id, "--json"]) == EXIT_USAGE, voice_id
        error = json.loads(capsys.readouterr().out)["error"]
        assert error["code"].startswith(code.rpartition("-")[0] if "unknown" in code else code)
        assert error["hint"] or "unknown" in code
    assert show(capsys)["voice_id"] is None


def test_older_voice_needs_a_decision(
    argil: ArgilSimulator, create: Callable[..., Provisioning], capsys: pytest.CaptureFixture[str]
) -> None:
    create()
    old = clone(argil, age=timedelta(hours=1))
    assert run(["voice", "creator-1", old]) == EXIT_USAGE
    assert "--allow-older" in capsys.readouterr().err
    assert run(["voice", "creator-1", old, "--allow-older"]) == EXIT_OK
    assert show(capsys)["voice_id"] == old
    create("creator-2")
    assert run(["voice", "creator-2", old, "--allow-older"]) == EXIT_USAGE  # another avatar has it
    assert run(["voice", "creator-2", "--remove", "--allow-older"]) == EXIT_USAGE


def test_removed_voice_can_be_given_to_another_avatar(
    argil: ArgilSimulator, create: Callable[..., Provisioning], capsys: pytest.CaptureFixture[str]
) -> None:
    create()
    create("creator-2")
    voice_id = clone(argil)
    assert run(["voice", "creator-1", voice_id]) == EXIT_OK
    assert run(["voice", "creator-1", "--remove"]) == EXIT_OK
    assert run(["voice", "creator-1", "--remove"]) == EXIT_OK
    assert run(["voice", "creator-2", voice_id]) == EXIT_OK
    assert (show(capsys)["voice_id"], show(capsys, "creator-2")["voice_id"]) == (None, voice_id)
    assert [voice["id"] for voice in argil.account.voices.cloned] == [voice_id]


@pytest.mark.parametrize("args", [["v-1", "--remove"], ["--allow-older"]])
def test_options_that_exclude_each_other(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["voice", "creator-1", *args]) == EXIT_USAGE
    assert "VOICE_ID" in capsys.readouterr().err


def test_possible_voices_are_listed(
    argil: ArgilSimulator, create: Callable[..., Provisioning], capsys: pytest.CaptureFixture[str]
) -> None:
    create()
    create("creator-2")
    create("failed", Status.TRAINING_FAILED)
    assert run(["voice", "creator-1"]) == EXIT_OK
    assert "Argil has no voice" in capsys.readouterr().err
    older, taken, own = clone(argil, age=timedelta(hours=1)), clone(argil), clone(argil)
    older_of_another_name = clone(argil, age=timedelta(hours=1), name="Grace")
    new_of_another_name = clone(argil, name="Grace")
    assert run(["voice", "creator-2", taken]) == EXIT_OK
    assert run(["voice", "creator-1", own]) == EXIT_OK
    capsys.readouterr()
    assert run(["voice", "creator-1"]) == EXIT_OK
    printed = capsys.readouterr()
    *first, last = [line.split("  ")[0] for line in printed.out.splitlines()]
    assert (set(first), last) == ({older, own}, new_of_another_name)
    assert [line.split("  ")[0] for line in printed.out.splitlines() if "recorded for this avatar" in line] == [own]
    assert " UTC" in printed.out
    assert "avatars voice creator-1 VOICE_ID" in printed.err
    assert run(["voice", "creator-1", "--json"]) == EXIT_OK
    ids = [voice["id"] for voice in json.loads(capsys.readouterr().out)]
    assert ids == [*first, last]
    assert older_of_another_name not in ids
    assert run(["voice", "failed"]) == EXIT_USAGE
    argil.account.voices.list_status = HTTPStatus.INTERNAL_SERVER_ERROR
    assert run(["voice", "creator-1"]) == EXIT_OPERATIONAL_ERROR
    assert "canary" not in "".join(capsys.readouterr())


def test_failing_argil_is_an_operational_error(
    argil: ArgilSimulator, create: Callable[..., Provisioning], capsys: pytest.CaptureFixture[str]
) -> None:
    create()
    for status in (500, 401):
        argil.account.voices.get_status = status  # type: ignore[assignment]  # any status
        assert run(["voice", "creator-1", "v-1"]) == EXIT_OPERATIONAL_ERROR
    assert "canary" not in "".join(capsys.readouterr())
    assert show(capsys)["voice_id"] is None


# Webhooks


def check(argil: ArgilSimulator) -> tuple[str, str, str]:
    result = asyncio.run(check_webhooks(Settings.load(), argil.api_key))
    assert result.ok
    return result.state, result.detail, result.hint


def test_doctor_warns_without_a_receiver_or_a_delivery(argil: ArgilSimulator) -> None:
    webhooks = argil.account.webhooks
    webhooks.add({"callbackUrl": "https://other.example/hook", "events": ["AVATAR_TRAINING_SUCCESS"]})
    state, detail, hint = check(argil)
    assert (state, "none is registered" in detail) == ("warning", True)
    assert "avatars webhook register" in hint
    webhooks.add({"callbackUrl": RECEIVER, "events": ["AVATAR_TRAINING_SUCCESS"]})
    state, detail, hint = check(argil)
    assert (state, "no delivery" in detail) == ("warning", True)
    assert "canary" not in detail + hint
    webhooks.trigger("AVATAR_TRAINING_SUCCESS", argil.account.now())
    state, detail, hint = check(argil)
    assert (state, hint) == ("ok", "")
    assert "last delivery" in detail


def test_webhook_list_shows_the_last_delivery(argil: ArgilSimulator, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["webhook", "list"]) == EXIT_OK
    assert "no receiver is registered" in capsys.readouterr().err
    argil.account.webhooks.add({"callbackUrl": RECEIVER, "events": ["AVATAR_TRAINING_SUCCESS"]})
    assert run(["webhook", "list"]) == EXIT_OK
    printed = capsys.readouterr()
    assert "never" in printed.out
    assert "no delivery so far" in printed.err
    argil.account.webhooks.trigger("AVATAR_TRAINING_SUCCESS", argil.account.now())
    assert run(["webhook", "list", "--json"]) == EXIT_OK
    printed = capsys.readouterr()
    (document,) = json.loads(printed.out)
    assert document["last_triggered_at"].startswith(f"{argil.account.now():%Y-%m-%d}")
    assert printed.err == ""
