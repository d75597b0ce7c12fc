"""`avatars account`: one list call, one JSON document, bounded output."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from clients.argil import ArgilClient
from models.argil.avatar import CreateAvatarRequest, RecordingSource
from models.clock import SystemClock
from models.settings import Settings
from services.store import open_store
from simulator.server import ArgilSimulator
from tests.cli_process import avatars

pytestmark = pytest.mark.system

VIDEO = RecordingSource(url="https://videos.example/a.mp4")


def create(argil: ArgilSimulator, extras: list[dict[str, str]], name: str = "Mary") -> None:
    """Create avatars at the simulator, as another program would."""

    async def send() -> None:
        async with ArgilClient(
            argil.api_url, argil.api_key, clock=SystemClock(), requests_per_second=1e6
        ) as client:
            for pairs in extras:
                await client.create_avatar(
                    CreateAvatarRequest(name=name, dataset_video=VIDEO, consent_video=VIDEO, extras=pairs)
                )

    asyncio.run(send())


def test_differences_are_counted_and_named(simulated: ArgilSimulator) -> None:
    create(simulated, [{}] * 30 + [{"submission_id": str(uuid.uuid4())}])
    document = avatars("account", "--json").document
    assert (document["avatars"], document["has_drift"]) == (31, True)
    assert (document["counts"]["others_unknown"], len(document["others_unknown"])) == (30, 20)
    assert document["counts"]["ours_unknown"] == 1
    assert simulated.account.count("GET /avatars") == 1

    text = avatars("account", "--limit", "2")
    assert (text.code, text.out.splitlines()[0]) == (0, "31 avatars in the account at Argil")
    assert "others_unknown: 28 more" in text.out
    assert "avatars adopt" in text.err


@pytest.mark.parametrize("command", [("account",), ("adopt", "a-1", "--reference", "r-1")])
def test_wrong_empty_list_removes_no_unknown_avatar(
    simulated: ArgilSimulator, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    create(simulated, [{"submission_id": str(uuid.uuid4())}])
    assert avatars("account", "--json").document["counts"]["ours_unknown"] == 1
    monkeypatch.setattr(simulated.account, "list_avatars", list)
    answered = avatars(*command, "--json")
    assert "the list is empty, although Argil has avatar" in answered.out

    async def count() -> int:
        async with open_store(Settings.load(), SystemClock()) as store:
            return await store.unknown_avatars.count_undecided()

    assert asyncio.run(count()) == 1


def test_account_that_cannot_be_listed_is_an_operational_error(
    simulated: ArgilSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert simulated.account.avatars == []
    monkeypatch.setenv("ARGIL_API_URL", "http://127.0.0.1:1/v1")
    failed = avatars("account", "--json")
    assert (failed.code, failed.document["error"]["code"]) == (3, "argil.unreachable")


def test_rejected_key_is_an_operational_error(simulated: ArgilSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    assert simulated.account.avatars == []
    monkeypatch.setenv("ARGIL_API_KEY", "wrong")
    failed = avatars("account", "--json")
    assert (failed.code, failed.document["error"]["code"]) == (3, "argil.unauthorized")


def test_uploads_without_a_provisioning_are_listed(simulated: ArgilSimulator) -> None:
    uris = [f"s3://uploads/{digit * 64}.mp4" for digit in "ab"]

    async def record() -> None:
        async with open_store(Settings.load(), SystemClock()) as store:
            for uri in uris:
                await store.uploads.begin(uri, "a" * 64, 1_500, "provision (ada)")

    asyncio.run(record())
    document = avatars("account", "--json", "--limit", "1").document
    assert (document["has_drift"], document["counts"]["unused_uploads"]) == (False, 2)
    assert [upload["uri"] for upload in document["unused_uploads"]] == uris[:1]
    text = avatars("account", "--limit", "1")
    assert f"  unused_uploads: {uris[0]}  1,500 bytes  perhaps incomplete" in text.out
    assert "unused_uploads: 1 more" in text.out
    assert "delete the objects" in text.err
