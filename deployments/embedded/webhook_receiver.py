"""Runs the webhook receiver in a process of its own, and restarts it if it exits.

The receiver is the only part that strangers can reach. In its own process it cannot use up the file descriptors or
the memory of the runner, and a crash costs wake-ups only: polling finds the same trainings later.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Callable
from typing import Self

from deployments.embedded.child_process import run_child
from deployments.embedded.prefect_server import HOST, port_error
from deployments.webhooks.limits import LISTEN_BACKLOG
from models.clock import Clock, SystemClock
from models.environment.child_environment import WEBHOOK_RECEIVER

MODULE = "deployments.webhooks.receiver_process"
MIN_RESTART_SECONDS = 1.0
MAX_RESTART_SECONDS = 60.0
"""The delay doubles up to this with each restart; after a process that ran for longer it is the minimum again."""
NO_API_KEY = {"ARGIL_API_KEY": ""}
"""An empty value takes precedence over the one in .env."""
PORT_HINT = "set AVATARS_WEBHOOK_PORT to another port; 0 selects a free port"


def bind_receiver(port: int) -> socket.socket:
    """Return a listening socket on loopback; port 0 selects a free port.

    The embedded stack keeps it open, so that connections wait while the receiver is restarted.

    Raises:
        SettingsError: The port cannot be bound.
    """
    try:
        return socket.create_server((HOST, port), backlog=LISTEN_BACKLOG)
    except OSError as error:
        raise port_error(port, error, hint=PORT_HINT) from None


class WebhookReceiver(contextlib.AbstractContextManager["WebhookReceiver"]):
    """The process of the receiver, which runs while the context is open."""

    def __init__(self, listener: socket.socket, say: Callable[[str], None], clock: Clock | None = None) -> None:
        """Prepare the process.

        Args:
            listener: The socket that it serves.
            say: Receives status messages.
            clock: Tells when a restart is due; the system clock if it is None.
        """
        self._listener = listener
        self._say = say
        self._clock = clock or SystemClock()
        self._child = contextlib.ExitStack()
        self._started_at = 0.0
        self._restart_at: float | None = None
        self._delay_seconds = MIN_RESTART_SECONDS
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The base URL of the receiver."""
        return f"http://{HOST}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._child.close()

    def ensure_running(self) -> None:
        """Restart the process if it has exited and its delay is over; call this regularly."""
        if self.process is None or self.process.poll() is None:
            return
        now = self._clock.monotonic()
        if self._restart_at is None:
            if now - self._started_at > MAX_RESTART_SECONDS:
                self._delay_seconds = MIN_RESTART_SECONDS
            self._say(
                f"the webhook receiver exited with code {self.process.returncode}; it restarts in "
                f"{self._delay_seconds:.0f} s, and avatars are polled at their intervals until then"
            )
            self._restart_at = now + self._delay_seconds
            self._delay_seconds = min(2 * self._delay_seconds, MAX_RESTART_SECONDS)
        if now >= self._restart_at:
            self._child.close()  # its group may have further processes
            self._start()

    def _start(self) -> None:
        descriptor = self._listener.fileno()
        self.process = self._child.enter_context(
            run_child(
                MODULE,
                str(descriptor),
                output=None,
                inherited=WEBHOOK_RECEIVER,
                environment=NO_API_KEY,
                pass_fds=(descriptor,),
            )
        )
        self._started_at = self._clock.monotonic()
        self._restart_at = None
