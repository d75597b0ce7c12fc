"""The API key from a block of a real Prefect server, if the environment has none."""

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
from services.api_key import resolve_api_key
from services.prefect_api.credentials_block import ArgilCredentials
from simulator.media_host import MediaHost
from simulator.server import ArgilSimulator

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api_url")]

SLUG = "argil-credentials"


@pytest.fixture
async def block(simulated: ArgilSimulator, monkeypatch: pytest.MonkeyPatch) -> str:
    """An ArgilCredentials block with the simulator's key, named by the settings; the environment has no key."""
    name = f"argil-{uuid.uuid4().hex[:8]}"
    monkeypatch.delenv("ARGIL_API_KEY")
    monkeypatch.setenv("AVATARS_CREDENTIALS_BLOCK", f"{SLUG}/{name}")
    await ArgilCredentials(api_key=SecretStr(simulated.api_key)).asave(name)
    return name


async def test_environment_takes_precedence_over_the_block(block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await resolve_api_key(Settings.load()) == "canary-api-key"
    monkeypatch.setenv("ARGIL_API_KEY", "another-key")
    assert await resolve_api_key(Settings.load()) == "another-key"


async def test_run_without_a_key_reads_it_from_the_block(
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
async def test_secret_block_is_accepted(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"argil-{uuid.uuid4().hex[:8]}"
    await Secret(value=value).asave(name)
    monkeypatch.setenv("AVATARS_CREDENTIALS_BLOCK", f"secret/{name}")
    assert await resolve_api_key(Settings.load()) == value


async def test_error_without_a_key_names_both_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVATARS_CREDENTIALS_BLOCK", f"{SLUG}/nowhere")
    with pytest.raises(SettingsError, match="ARGIL_API_KEY is not set, and no Prefect block") as caught:
        await resolve_api_key(Settings.load())
    assert "export ARGIL_API_KEY" in caught.value.hint
    assert "avatars credentials" in caught.value.hint


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": "canary"}, "contains no API key"),
        (" canary ", "must be printable ASCII"),
        ("", "contains no API key"),
    ],
)
async def test_block_without_a_valid_key_is_named(
    value: object, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"argil-{uuid.uuid4().hex[:8]}"
    await Secret(value=value).asave(name)
    monkeypatch.setenv("AVATARS_CREDENTIALS_BLOCK", f"secret/{name}")
    with pytest.raises(SettingsError, match=message) as caught:
        await resolve_api_key(Settings.load())
    assert name in str(caught.value)
    assert "canary" not in f"{caught.value} {caught.value.hint}"
    assert caught.value.hint


async def test_prefect_encrypts_and_masks_the_key(block: str, clean_environment: Path) -> None:
    async with get_client() as client:
        response = await client._client.post("/block_documents/filter", json={"limit": 200})
    assert block in response.text
    assert "canary-api-key" not in response.text
    for file in (clean_environment / "prefect").rglob("*"):
        if file.is_file():
            assert b"canary-api-key" not in file.read_bytes(), file


def test_invalid_key_is_rejected_by_the_block() -> None:
    for key in ("", " canary", "canary\n"):
        with pytest.raises(ValidationError) as caught:
            ArgilCredentials(api_key=SecretStr(key))
        assert "canary" not in str(caught.value)


def avatars(*args: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    completed = subprocess.run(
        [sys.executable, "-m", "cli", *args],
        input=stdin,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "canary" not in completed.stdout + completed.stderr
    return completed


@pytest.mark.system
def test_commands_store_the_key_and_read_it(
    simulated: ArgilSimulator, videos: MediaHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ARGIL_API_KEY")
    block_reference = f"{SLUG}/argil-{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("AVATARS_CREDENTIALS_BLOCK", block_reference)
    urls = ["--dataset-video", videos.url("dataset.mp4"), "--consent-video", videos.url("consent.mp4")]
    for args in (["provision", "--name", "Ada", *urls], ["webhook", "list"], ["reconcile"], ["doctor"]):
        completed = avatars(*args)
        assert completed.returncode == 3, args
        assert "ARGIL_API_KEY is not set" in completed.stdout + completed.stderr
        assert "avatars credentials" in completed.stdout + completed.stderr
    for wrong in ("", " canary\n"):
        assert avatars("credentials", stdin=wrong).returncode == 3
    for _ in range(2):  # the second one replaces the first
        assert f"stored as the block '{block_reference}'" in avatars("credentials", stdin="canary-api-key\n").stderr
    for args in (["provision", "--name", "Ada", *urls], ["webhook", "list"], ["reconcile"]):
        assert avatars(*args).returncode == 0, args
    assert "reachable, accepts the key" in avatars("doctor").stdout


@pytest.mark.system
def test_missing_key_is_reported_before_a_server_is_started(
    simulated: ArgilSimulator, videos: MediaHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ARGIL_API_KEY")
    monkeypatch.delenv("PREFECT_API_URL")
    urls = ["--dataset-video", videos.url("dataset.mp4"), "--consent-video", videos.url("consent.mp4")]
    for args in (["provision", "--name", "Ada", *urls], ["webhook", "list"], ["up", "--port", "0"]):
        completed = avatars(*args, HOME=str(tmp_path))
        assert (completed.returncode, completed.stdout) == (3, "")
        assert "ARGIL_API_KEY is not set" in completed.stderr
        assert "starting one" not in completed.stderr
    # An embedded server that ran here before is started to read its blocks.
    assert avatars("credentials", stdin="canary-api-key\n", HOME=str(tmp_path)).returncode == 0
    assert avatars("webhook", "list", "--json", HOME=str(tmp_path)).returncode == 0


def test_no_server_is_started_to_look_up_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: None}), pytest.raises(SettingsError, match="ARGIL_API_KEY"):
        asyncio.run(resolve_api_key(Settings.load()))
