"""SSL_CERT_FILE: a file of certificates, or one clear error without waiting."""

from __future__ import annotations

import os
from pathlib import Path

import certifi
import pytest

from cli.main import run
from clients.argil import ArgilClient
from media.remote.ssrf_guard import PublicOnlyTransport
from models.environment.certificates import MAX_BYTES, require_usable_certificates
from models.errors import SettingsError
from models.exit_codes import EXIT_OPERATIONAL_ERROR
from tests.cli_process import avatars
from tests.fakes import FakeClock


@pytest.mark.parametrize("path", [None, "", certifi.where()])
def test_usable_certificates_are_accepted(path: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    if path is not None:
        monkeypatch.setenv("SSL_CERT_FILE", path)
    require_usable_certificates()


@pytest.fixture(params=["missing", "pipe", "folder", "device", "text", "empty", "binary", "large", "dangling"])
def path(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What SSL_CERT_FILE names, unusable in each way."""
    path = tmp_path / "ca.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "folder":
        path.mkdir()
    elif request.param in {"device", "dangling"}:
        path.symlink_to("/dev/zero" if request.param == "device" else "nothing")
    elif request.param == "large":
        path.touch()
        os.truncate(path, MAX_BYTES + 1)
    elif request.param != "missing":
        path.write_bytes({"text": b"canary\n", "empty": b"", "binary": b"\xff\x00canary"}[request.param])
    return path


def test_unusable_certificates_are_a_clear_error(path: Path) -> None:
    for connect in (
        require_usable_certificates,
        lambda: ArgilClient("https://h.example", "key", clock=FakeClock(), requests_per_second=1),
        PublicOnlyTransport,
    ):
        with pytest.raises(SettingsError, match=f"SSL_CERT_FILE: {path} cannot be used: ") as caught:
            connect()
        assert "canary" not in str(caught.value)


def test_other_error_of_a_client_is_not_blamed_on_the_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", certifi.where())
    monkeypatch.setenv("HTTPS_PROXY", "nonsense://proxy.example")
    with pytest.raises(ValueError, match="proxy"):
        ArgilClient("https://h.example", "key", clock=FakeClock(), requests_per_second=1)


def test_command_with_unusable_certificates_fails(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ARGIL_API_KEY", "key")
    for command in (["webhook", "list"], ["check", "https://h.example/a.mp4", "--role", "dataset"]):
        assert run(command) == EXIT_OPERATIONAL_ERROR
        assert f"SSL_CERT_FILE: {path} cannot be used" in capsys.readouterr().err


PREFECT_COMMANDS = [
    *("account", "adopt a-1 --reference r", "automations apply", "credentials", "deploy --pool p", "up --port 0"),
    *("provision --name A --dataset-video https://h.example/d.mp4 --consent-video https://h.example/c.mp4",),
    *("reconcile", "doctor --json"),
]


@pytest.mark.system
@pytest.mark.parametrize("command", PREFECT_COMMANDS, ids=lambda command: command.partition(" ")[0])
def test_command_that_uses_prefect_prints_no_traceback(command: str, tmp_path: Path) -> None:
    """Prefect makes a TLS context when it is imported. `avatars` asserts that no traceback is printed."""
    ran = avatars(*command.split(), SSL_CERT_FILE=str(tmp_path / "none.pem"), ARGIL_API_KEY="key")
    assert ran.code == EXIT_OPERATIONAL_ERROR
    assert f"SSL_CERT_FILE: {tmp_path}/none.pem cannot be used" in ran.err + ran.out
