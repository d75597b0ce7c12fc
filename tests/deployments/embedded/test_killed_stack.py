"""Kills of single processes of `avatars up`: no orphan, no occupied port, and every run reports its outcome."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import pytest

from tests.stack import RunningStack, wait_for

RUNS = 2
"""Fewer than those of a mass absence: the avatars of a simulator that ended are gone."""
SUBMITTED = ("TRAINING", "READY")

pytestmark = [pytest.mark.prefect, pytest.mark.system, pytest.mark.timeout(900)]


class KillableStack(RunningStack):
    """A stack that soon gives up avatars of an earlier simulator."""

    fast_settings: ClassVar[Mapping[str, str]] = {**RunningStack.fast_settings, "AVATARS_GONE_AFTER_SECONDS": "2"}


def arguments(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except FileNotFoundError:
        return ""


def find_process(up: RunningStack, module: str) -> int:
    return next(pid for pid in up.process_ids() if module in arguments(pid))


def kill_main(up: RunningStack) -> None:
    up.process.kill()


def kill_server(up: RunningStack) -> None:
    os.kill(find_process(up, "server_process"), signal.SIGKILL)


def kill_runner(up: RunningStack) -> None:
    os.kill(find_process(up, "runner_process"), signal.SIGKILL)


def interrupt_twice(up: RunningStack) -> None:
    up.process.send_signal(signal.SIGINT)
    up.process.send_signal(signal.SIGINT)


def is_free(url: str) -> bool | None:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", urlsplit(url).port or 0)) != 0 or None


@pytest.mark.parametrize("end", [kill_main, kill_server, kill_runner, interrupt_twice])
def test_end_of_one_process_loses_no_run(tmp_path: Path, end: Callable[[RunningStack], None]) -> None:
    up = KillableStack(tmp_path)
    try:
        run_ids = []
        for number in range(RUNS):
            parameters = {"request": up.request(f"Ada {number}"), "wait": "block"}
            run_ids.append(up.api.create_run("provision-avatar/on-demand", parameters).json()["id"])
        # Before, a recording could not be checked again: the next stack has another video host.
        wait_for(lambda: all(up.status_of(run_id) in SUBMITTED for run_id in run_ids) or None, "the submissions")
        pids = up.process_ids()
        end(up)
        up.process.wait(180)
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids) or None, "the end of all")
        for url in (up.environment["PREFECT_API_URL"], up.receiver):
            wait_for(lambda url=url: is_free(url), f"the port of {url}")  # type: ignore[misc]  # a bound default
    finally:
        up.close()
        if up.process.poll() is None:
            up.process.kill()
    with KillableStack(tmp_path) as again:
        for run_id in run_ids:
            state = again.api.wait_for_final_state(run_id)
            assert state["name"] in {"Ready", "Vanished"}, state
            details = again.avatars("show", run_id)
            assert (details["status"].title(), len(details["submissions"])) == (state["name"], 1)


def test_late_report_of_an_old_process_is_corrected(tmp_path: Path) -> None:
    """Prefect records the run as Crashed or Failed, although its provisioning is READY; a tick corrects it."""
    with RunningStack(tmp_path) as up:
        created = up.api.create_run("provision-avatar/on-demand", {"request": up.request("Ada"), "wait": "block"})
        run_id = created.json()["id"]
        assert up.api.wait_for_final_state(run_id)["name"] == "Ready"
        for late in ({"type": "CRASHED"}, {"type": "FAILED", "name": "ArgilUnauthorized"}):
            report = {"state": {**late, "message": "late"}, "force": True}
            assert up.api.call("POST", f"/flow_runs/{run_id}/set_state", report).status_code in {200, 201}
            wait_for(lambda: up.api.wait_for_final_state(run_id)["name"] == "Ready" or None, "the outcome")


def test_late_report_does_not_keep_a_run_from_suspending(tmp_path: Path) -> None:
    """Prefect forbids a run that was reported as Crashed to suspend itself; it does so anyway, and is resumed."""
    with RunningStack(tmp_path) as up:
        run_id = up.api.create_run("provision-avatar/on-demand", {"request": up.request("Ada")}).json()["id"]
        wait_for(lambda: up.status_of(run_id) or None, "the provisioning")
        crashed = {"state": {"type": "CRASHED", "message": "late"}, "force": True}
        assert up.api.call("POST", f"/flow_runs/{run_id}/set_state", crashed).status_code in {200, 201}
        wait_for(lambda: up.api.wait_for_final_state(run_id)["name"] == "Ready" or None, "the outcome")
        assert len(up.avatars("show", run_id)["submissions"]) == 1
