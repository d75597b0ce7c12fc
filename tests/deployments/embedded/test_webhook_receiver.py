"""The process of the webhook receiver: what it can reach, how it is restarted, and how it bears an attack."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from deployments.embedded.webhook_receiver import MAX_RESTART_SECONDS, PORT_HINT, WebhookReceiver, bind_receiver
from deployments.webhooks.limits import DEFAULT_LIMITS, MAX_ACCEPTS, MAX_OPEN_FILES, NICENESS
from models.errors import SettingsError
from tests.fakes import FakeClock

TOKEN = "canary-token-0123456789"
TIMEOUT_SECONDS = 60.0
HALF_OPEN_CONNECTIONS = 1100
MAX_RSS_KIB = 150 * 1024

pytestmark = pytest.mark.system

Result = TypeVar("Result")


class RunningReceiver:
    """A receiver process, the clock of its restarts, and what the stack says about it."""

    def __init__(self, receiver: WebhookReceiver, clock: FakeClock, messages: list[str]) -> None:
        self.receiver = receiver
        self.clock = clock
        self.messages = messages
        self.http = httpx.Client(base_url=receiver.url, timeout=TIMEOUT_SECONDS, trust_env=False)

    @property
    def pid(self) -> int:
        assert self.receiver.process is not None
        return self.receiver.process.pid

    def is_healthy(self) -> bool:
        return self.http.get("/health").text == '{"status":"ok"}'

    def deliver(self, avatar_id: str) -> int:
        body = {"event": "AVATAR_TRAINING_SUCCESS", "data": {"avatarId": avatar_id}}
        return self.http.post(f"/webhooks/argil/{TOKEN}", json=body).status_code

    def kill(self) -> None:
        process = self.receiver.process
        assert process is not None
        process.kill()
        process.wait(TIMEOUT_SECONDS)


@pytest.fixture(scope="module")
def up(clean_environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningReceiver]:
    folder = tmp_path_factory.mktemp("receiver")
    (folder / ".env").write_text("ARGIL_API_KEY=canary-key-in-a-file\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("AVATARS_DATABASE_URL", f"sqlite+aiosqlite:///{folder / 'ledger.db'}")
        patch.setenv("AVATARS_WEBHOOK_TOKEN", TOKEN)
        patch.setenv("ARGIL_API_KEY", "canary-key")
        patch.setenv("PREFECT_API_AUTH_STRING", "user:canary-password")
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
        clock, messages = FakeClock(), list[str]()
        with bind_receiver(0) as listener, WebhookReceiver(listener, messages.append, clock) as receiver:
            running = RunningReceiver(receiver, clock, messages)
            assert running.is_healthy()
            yield running
            running.http.close()
    assert receiver.process is not None
    assert receiver.process.returncode == 0  # it ends on SIGTERM, without a traceback


def read_proc(up: RunningReceiver, name: str) -> str:
    return Path(f"/proc/{up.pid}/{name}").read_bytes().decode(errors="replace")


def test_process_stores_a_delivery(up: RunningReceiver) -> None:
    assert up.deliver("a-stored") == 202
    with contextlib.closing(sqlite3.connect(Path("ledger.db"))) as ledger:
        rows = ledger.execute("SELECT event FROM webhook_deliveries WHERE avatar_id = 'a-stored'").fetchall()
    assert rows == [("AVATAR_TRAINING_SUCCESS",)]


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads /proc")
def test_process_has_neither_the_api_key_nor_prefect(up: RunningReceiver) -> None:
    environment = read_proc(up, "environ")
    assert TOKEN in environment
    for secret in ("canary-key", "canary-password"):
        assert secret not in environment
    code = (
        "import deployments.webhooks.receiver_process as p, sys;"
        "print(p.Settings.load().argil_api_key, 'prefect' in sys.modules)"
    )
    completed = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "ARGIL_API_KEY": ""},  # as the receiver gets it
        capture_output=True,
        text=True,
        check=True,
    )
    assert completed.stdout == "None False\n"


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="reads /proc")
def test_process_has_bounded_files_and_a_low_priority(up: RunningReceiver) -> None:
    [line] = [line for line in read_proc(up, "limits").splitlines() if line.startswith("Max open files")]
    assert line.split()[3:5] == [str(MAX_OPEN_FILES)] * 2
    assert DEFAULT_LIMITS.connections + 3 * MAX_ACCEPTS + 100 < MAX_OPEN_FILES  # those that are closing, and others
    assert os.getpriority(os.PRIO_PROCESS, up.pid) == min(os.getpriority(os.PRIO_PROCESS, 0) + NICENESS, 19)


def test_attack_neither_delays_a_delivery_nor_takes_memory(up: RunningReceiver) -> None:
    """Opens 1,100 half-open connections, sends garbage, and delivers meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2 * HALF_OPEN_CONNECTIONS)), hard))
    address = (up.http.base_url.host, up.http.base_url.port or 0)
    garbage = os.urandom(2**16)
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for number in range(HALF_OPEN_CONNECTIONS):
            attacker = stack.enter_context(socket.create_connection(address))
            with contextlib.suppress(ConnectionError):
                attacker.sendall(b"POST /webhooks/argil/x HTTP/1.1\r\nHost: a\r\n" if number % 2 else garbage)
        assert [up.deliver(f"a-{number}") for number in range(20)] == [202] * 20
        assert up.is_healthy()
        descriptors = Path(f"/proc/{up.pid}/fd")
        open_files = len(list(descriptors.iterdir())) if descriptors.exists() else 0
    assert open_files < MAX_OPEN_FILES - 100
    if Path("/proc/self/status").exists():
        [peak] = [line.split()[1] for line in read_proc(up, "status").splitlines() if line.startswith("VmHWM")]
        assert int(peak) < MAX_RSS_KIB


def test_killed_process_is_restarted_with_growing_delays(up: RunningReceiver) -> None:
    """The connection that is opened meanwhile waits for the next process."""
    for attempt, delay in enumerate((1.0, 2.0)):
        killed = up.pid
        up.kill()
        up.receiver.ensure_running()
        assert up.messages[-1].startswith(
            f"the webhook receiver exited with code {-signal.SIGKILL}; it restarts in {delay:.0f} s"
        )
        up.clock.advance(delay - 0.1)
        up.receiver.ensure_running()
        assert up.pid == killed
        with socket.create_connection((up.http.base_url.host, up.http.base_url.port or 0)) as waiting:
            up.clock.advance(0.1)
            up.receiver.ensure_running()
            up.receiver.ensure_running()
            assert up.pid != killed
            waiting.settimeout(TIMEOUT_SECONDS)
            waiting.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
            assert waiting.recv(100).startswith(b"HTTP/1.1 200 OK")
        assert len(up.messages) == attempt + 1
    up.clock.advance(MAX_RESTART_SECONDS + 1)
    up.kill()
    up.receiver.ensure_running()
    assert "it restarts in 1 s" in up.messages[-1]
    up.clock.advance(1)
    up.receiver.ensure_running()
    assert up.is_healthy()


def test_port_in_use_is_one_clear_error() -> None:
    with bind_receiver(0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(SettingsError, match=f"port {port} cannot be used: Address already in use") as caught:
            bind_receiver(port)
    assert caught.value.hint == PORT_HINT
