"""The port of an embedded Prefect server belongs to it before its process starts."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.embedded import prefect_server as module
from deployments.embedded.prefect_server import HOST, prefect_server
from models.errors import SettingsError


class Started(Exception):
    """Ends the test when the process would start."""


@pytest.fixture
def free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_no_other_server_can_take_the_port_until_the_process_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    @contextlib.contextmanager
    def slow_start(*_args: object, **_options: object) -> Iterator[None]:
        with pytest.raises(OSError, match="in use"):
            socket.create_server((HOST, free_port))
        raise Started
        yield

    monkeypatch.setattr(module, "run_child", slow_start)
    with pytest.raises(Started), prefect_server(tmp_path, free_port, database={}):
        pass
    socket.create_server((HOST, free_port)).close()  # it was given back


def test_port_in_use_is_a_clear_error(tmp_path: Path, free_port: int) -> None:
    with (
        socket.create_server((HOST, free_port)),
        pytest.raises(SettingsError, match=f"port {free_port} cannot be used") as caught,
        prefect_server(tmp_path, free_port, database={}),
    ):
        pass
    assert "--port" in caught.value.hint
