"""An attack on a webhook receiver: half-open connections and garbage, from threads of this process."""

from __future__ import annotations

import collections
import contextlib
import os
import resource
import socket
import threading
import time
from types import TracebackType
from typing import Self

HALF_OPEN_CONNECTIONS = 1100
GARBAGE_BYTES_PER_SECOND = 10_000_000
PAUSE_SECONDS = 0.002
"""Between two new connections, so that the attack leaves CPU time to the service."""


class ReceiverAttack:
    """While the context is open, keeps 1,100 half-open connections and sends 10 MB of garbage per second."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.opened = 0
        self.sent_bytes = 0
        self.seconds = 0.0
        self._address = address
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._half_open, self._send_garbage)]

    def is_alive(self) -> bool:
        return all(thread.is_alive() for thread in self._threads)

    def __enter__(self) -> Self:
        self._limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        soft, hard = self._limits
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2 * HALF_OPEN_CONNECTIONS)), hard))
        self._started_at = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self.seconds = self._elapsed()
        resource.setrlimit(resource.RLIMIT_NOFILE, self._limits)

    def _elapsed(self) -> float:
        return time.monotonic() - self._started_at

    def _connect(self) -> socket.socket | None:
        with contextlib.suppress(OSError):
            return socket.create_connection(self._address, timeout=5)
        return None

    def _half_open(self) -> None:
        connections: collections.deque[socket.socket] = collections.deque()
        while not self._stop.wait(PAUSE_SECONDS):
            if (connection := self._connect()) is not None:
                connections.append(connection)
                self.opened += 1
                with contextlib.suppress(OSError):
                    connection.sendall(b"POST /webhooks/argil/x HTTP/1.1\r\nHost: a\r\n")
            if len(connections) > HALF_OPEN_CONNECTIONS:
                connections.popleft().close()
        for connection in connections:
            connection.close()

    def _send_garbage(self) -> None:
        garbage = os.urandom(2**16)
        # It waits only when it is ahead of the rate, so that the time of connecting does not reduce the rate.
        while not self._stop.wait(max(0.0, self.sent_bytes / GARBAGE_BYTES_PER_SECOND - self._elapsed())):
            if (connection := self._connect()) is not None:
                with connection, contextlib.suppress(OSError):
                    connection.sendall(garbage)
                    self.sent_bytes += len(garbage)
