"""The environment of a real child process, as the operating system reports it, and the modules that it imports."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.embedded.child_process import (
    LOW_MEMORY_ENVIRONMENT,
    _exit_with_parent,
    describe_failed_start,
    run_child,
)
from models.environment.child_environment import PREFECT_SERVER
from tests.stack import wait_for


def environment_of(pid: int) -> dict[str, str]:
    """Return the environment with which a process was started."""
    entries = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(entry.split("=", 1) for entry in entries if entry)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux")
def test_child_receives_selected_and_added_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("SECRET_OF_OTHERS", "ARGIL_API_KEY", "AVATARS_WEBHOOK_TOKEN", "AVATARS_DATABASE_URL"):
        monkeypatch.setenv(name, "canary")
    monkeypatch.setenv("PREFECT_LOGGING_LEVEL", "ERROR")
    with (
        (tmp_path / "log").open("wb") as output,
        run_child("pdb", output=output, inherited=PREFECT_SERVER, environment={"PREFECT_HOME": "x"}) as process,
    ):
        # Popen returns when exec begins; the system sets the environment a moment later.
        environment = wait_for(lambda: environment_of(process.pid) or None, "the environment of the process")
    assert "canary" not in environment.values()
    assert environment["PREFECT_LOGGING_LEVEL"] == "ERROR"
    assert environment["PREFECT_HOME"] == "x"
    assert environment.keys() >= LOW_MEMORY_ENVIRONMENT.keys()


def test_child_imports_nothing_of_the_working_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("models", "services", "deployments", "httpx", "this"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the working directory')")
    monkeypatch.chdir(tmp_path)
    log = tmp_path / "log"
    with (
        log.open("wb") as output,
        run_child("this", output=output, inherited=PREFECT_SERVER, environment={}) as process,
    ):
        process.wait(100)
    assert "The Zen of Python" in log.read_text()


def test_group_ends_with_its_parent_although_no_process_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    signals: list[tuple[int, signal.Signals]] = []
    monkeypatch.setattr("os.read", lambda *_: b"")
    monkeypatch.setattr("os.killpg", lambda *sent: signals.append(sent))
    monkeypatch.setattr("subprocess.Popen", fail)
    _exit_with_parent()
    assert signals == [(os.getpgid(0), signal.SIGTERM)]


@pytest.mark.parametrize(
    ("exit_code", "problem"),
    [(None, "the runner is not ready after 120 seconds"), (-9, "the runner did not start (exit code -9)")],
)
def test_failed_start_tells_an_exit_from_a_timeout(exit_code: int | None, problem: str) -> None:
    assert describe_failed_start("the runner", exit_code) == problem


STUBBORN = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork():
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the leader of the group ends first
    pathlib.Path(sys.argv[1]).write_text(str(os.getpgid(0)))
time.sleep(600)
"""
PARENT = """
import sys
from deployments.embedded.child_process import run_child
from models.environment.child_environment import TOOL
with run_child("cProfile", *sys.argv[1:], output=None, inherited=TOOL, environment={}) as process:
    process.wait()
"""


def test_killed_parent_leaves_no_process_of_the_group(tmp_path: Path) -> None:
    """One process of the group ignores SIGTERM and outlives its leader."""
    script, group_file = tmp_path / "stubborn.py", tmp_path / "group"
    script.write_text(STUBBORN)
    command = [sys.executable, "-c", PARENT, str(script), str(group_file)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[3]) as parent:
        group = int(wait_for(lambda: (group_file.exists() and group_file.read_text()) or None, "the child"))
        os.killpg(group, 0)
        parent.kill()

    def is_gone() -> bool | None:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        return None

    wait_for(is_gone, "the end of the group")
