"""The API key from a block of a real Prefect server, where the environment has none."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from pydantic import SecretStr, ValidationError

from flows.provision_avatar import provision_avatar
from models.errors import SettingsError
from models.request import ProvisioningRequest
from models.settings import Settings
from simulator.media_host import MediaHost
from simulator.server import ArgilSimulator
from tasks.api_key import api_key
from tasks.credentials import ArgilCredentials

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api_url")]

SLUG = "argil-credentials"


@pytest.fixture
async def block(simulated: ArgilSimulator, monkeypatch: pytest.MonkeyPatch) -> str:
    """A block of ours with the simulator's key, which the settings name; the environment has no key any more."""
    name = f"argil-{uuid.uuid4().hex[:8]}"
    monkeypatch.delenv("ARGIL_API_KEY")
    monkeypatch.setenv("AVATARS_CREDENTIALS_BLOCK", f"{SLUG}/{name}")
    await ArgilCredentials(api_key=SecretStr(simulated.api_key)).asave(name)
    return name


async def test_the_environment_goes_first(block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await api_key(Settings.load()) == "canary-api-key"
    monkeypatch.setenv("ARGIL_API_KEY", "another-key")
    assert await api_key(Settings.load()) == "another-key"


async def test_a_run_without_a_key_in_its_environment_takes_it_from_the_block(
    block: str, simulated: ArgilSimulator, videos: MediaHost
) -> None:
    request = ProvisioningRequest(
        name="Ada", dataset_video=videos.url("dataset.mp4"), consent_video=videos.url("consent.mp4")
    )
    state = await provision_avatar(request, return_state=True)
    assert state.name == "Ready"
    async with get_client() as client:
        run = await client._client.get(f"/flow_runs/{state.state_details.flow_run_id}")
    assert simulated.api_key not in run.text


@pytest.mark.parametrize("value", ["canary-api-key", "12345678"])
async def test_a_secret_block_serves_as_well(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"argil-{uuid.uuid4().hex[:8]}"
    await Secret(value=value).asave(name)
    monkeypatch.setenv("AVATARS_CREDENTIALS_BLOCK", f"secret/{name}")
    assert await api_key(Settings.load()) == value


async def test_where_there_is_neither_both_ways_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVATARS_CREDENTIALS_BLOCK", f"{SLUG}/nowhere")
    with pytest.raises(SettingsError, match="ARGIL_API_KEY is not set, and no Prefect block") as caught:
        await api_key(Settings.load())
    assert "export ARGIL_API_KEY" in caught.value.hint
    assert "avatars credentials" in caught.value.hint


@pytest.mark.parametrize(
    ("value", "told"),
    [({"a": "canary"}, "holds no API key"), (" canary ", "must be printable ASCII"), ("", "holds no API key")],
)
async def test_a_block_without_a_usable_key_is_named(
    value: object, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"argil-{uuid.uuid4().hex[:8]}"
    await Secret(value=value).asave(name)
    monkeypatch.setenv("AVATARS_CREDENTIALS_BLOCK", f"secret/{name}")
    with pytest.raises(SettingsError, match=told) as caught:
        await api_key(Settings.load())
    assert name in str(caught.value)
    assert "canary" not in f"{caught.value} {caught.value.hint}"
    assert caught.value.hint


async def test_prefect_stores_and_shows_the_key_to_nobody_who_does_not_ask_for_it(
    block: str, clean_environment: Path
) -> None:
    async with get_client() as client:
        shown = await client._client.post("/block_documents/filter", json={"limit": 200})
    assert block in shown.text
    assert "canary-api-key" not in shown.text
    for file in (clean_environment / "prefect").rglob("*"):
        if file.is_file():
            assert b"canary-api-key" not in file.read_bytes(), file


def test_no_block_is_made_of_what_can_be_no_key() -> None:
    for key in ("", " canary", "canary\n"):
        with pytest.raises(ValidationError) as caught:
            ArgilCredentials(api_key=SecretStr(key))
        assert "canary" not in str(caught.value)


def avatars(*words: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    ran = subprocess.run(
        [sys.executable, "-m", "cli", *words],
        input=stdin,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "canary" not in ran.stdout + ran.stderr
    return ran


@pytest.mark.system
def test_the_commands_store_the_key_and_find_it_again(
    simulated: ArgilSimulator, videos: MediaHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ARGIL_API_KEY")
    place = f"{SLUG}/argil-{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("AVATARS_CREDENTIALS_BLOCK", place)
    urls = ["--dataset-video", videos.url("dataset.mp4"), "--consent-video", videos.url("consent.mp4")]
    for words in (["provision", "--name", "Ada", *urls], ["webhook", "list"], ["reconcile"], ["doctor"]):
        ran = avatars(*words)
        assert ran.returncode == 3, words
        assert "ARGIL_API_KEY is not set" in ran.stdout + ran.stderr
        assert "avatars credentials" in ran.stdout + ran.stderr
    for wrong in ("", " canary\n"):
        assert avatars("credentials", stdin=wrong).returncode == 3
    for _ in range(2):  # it takes the place of the earlier one
        assert f"stored as the block '{place}'" in avatars("credentials", stdin="canary-api-key\n").stderr
    for words in (["provision", "--name", "Ada", *urls], ["webhook", "list"], ["reconcile"]):
        assert avatars(*words).returncode == 0, words
    assert "answers and takes the key" in avatars("doctor").stdout


@pytest.mark.system
def test_who_has_neither_key_nor_prefect_is_told_before_a_server_is_started(
    simulated: ArgilSimulator, videos: MediaHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ARGIL_API_KEY")
    monkeypatch.delenv("PREFECT_API_URL")
    urls = ["--dataset-video", videos.url("dataset.mp4"), "--consent-video", videos.url("consent.mp4")]
    for words in (["provision", "--name", "Ada", *urls], ["webhook", "list"], ["up", "--port", "0"]):
        ran = avatars(*words, HOME=str(tmp_path))
        assert (ran.returncode, ran.stdout) == (3, "")
        assert "ARGIL_API_KEY is not set" in ran.stderr
        assert "starting one" not in ran.stderr
    # One that has run here before, and is not running now, is asked.
    assert avatars("credentials", stdin="canary-api-key\n", HOME=str(tmp_path)).returncode == 0
    assert avatars("webhook", "list", "--json", HOME=str(tmp_path)).returncode == 0


def test_without_a_prefect_api_no_server_is_started_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: None}), pytest.raises(SettingsError, match="ARGIL_API_KEY"):
        asyncio.run(api_key(Settings.load()))
