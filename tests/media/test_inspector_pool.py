"""Child processes that inspect recordings: limits, replacement, and their end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest

from media.ffmpeg.inspection import FirstFrame
from media.ffmpeg.inspector_pool import FFMPEG, InspectorPool
from media.processes.available_bytes import InspectionFailed
from media.processes.child import InspectorChild
from media.processes.messages import InspectionLimits, Job, encode_job
from media.processes.pool import ChildPool
from tests.media.inspected_files import av1, encode, heavy_index, whole

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 60.0
SMALL = whole(encode("libx264"))


@pytest.fixture
def pool() -> Iterator[InspectorPool]:
    with InspectorPool(size=1) as running:
        yield running


def children(pool: ChildPool[Any]) -> list[int]:
    return sorted(child.pid for child in pool._children)


def wait_until(condition: Callable[[], object]) -> None:
    """Poll the state of another process or thread, which sends no event."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "not within the deadline"
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    """Whether a process has ended. A zombie counts: the parent that must reap it may have ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def run_script(body: str, **popen: object) -> subprocess.Popen[str]:
    """Start a process that has a pool `pool`, the recording `SMALL` and the pids of its children in `pids()`."""
    script = (
        "import os, signal, sys\n"
        "from media.ffmpeg.inspector_pool import InspectorPool, inspect_in_child, _shared_pool\n"
        "from media.processes.messages import InspectionLimits\n"
        "from tests.media.inspected_files import encode, heavy_index, whole\n"
        "SMALL = whole(encode('libx264'))\n"
        "def pids(pool): return ' '.join(str(child.pid) for child in pool._children)\n"
    )
    process: subprocess.Popen[str] = subprocess.Popen(
        [sys.executable, "-P", "-c", script + body],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **popen,  # type: ignore[call-overload]  # keyword arguments of Popen
    )
    return process


def read_pids(process: subprocess.Popen[str]) -> list[int]:
    assert process.stdout is not None
    return [int(pid) for pid in process.stdout.readline().split()]


# Jobs


def test_same_children_decode_av1_300_times() -> None:
    """With several threads and without a flush, the decoder of this file freezes within 50 rounds."""
    recording = whole(av1(320, 180))
    with InspectorPool(size=2) as pool, ThreadPoolExecutor(4) as threads:
        inspections = list(threads.map(lambda _: pool.inspect(recording), range(300)))
        started = len(pool._children)
        jobs = sum(child.jobs for child in pool._children)
    assert {inspection.videos[0].first_frame for inspection in inspections} == {FirstFrame.DECODED}
    assert (started, jobs) == (2, 300)  # no child was replaced


def test_two_jobs_share_a_child_and_a_third_one_gets_another() -> None:
    with InspectorPool(size=2, sharing_seconds=DEADLINE_SECONDS) as pool, ThreadPoolExecutor(3) as threads:
        pid, first = inspect_with_a_stopped_child(pool, threads)
        second = threads.submit(pool.inspect, SMALL)
        wait_until(lambda: pool._wanted == 2)
        assert children(pool) == [pid]
        third = threads.submit(pool.inspect, SMALL)
        assert wait((second, third), DEADLINE_SECONDS, FIRST_COMPLETED).done
        assert len(children(pool)) == 2
        os.kill(pid, signal.SIGCONT)
        assert all(job.result(DEADLINE_SECONDS) for job in (first, second, third))


def test_child_that_does_not_answer_delays_no_other_job() -> None:
    with InspectorPool(size=2, sharing_seconds=0.05) as pool, ThreadPoolExecutor(1) as threads:
        pid, job = inspect_with_a_stopped_child(pool, threads)
        assert pool.inspect(SMALL).videos
        assert not job.done()
        os.kill(pid, signal.SIGCONT)
        assert job.result(DEADLINE_SECONDS)


def test_child_is_recycled_after_its_jobs() -> None:
    with InspectorPool(size=1, jobs_per_child=2) as pool:
        seen = []
        for _ in range(4):
            pool.inspect(SMALL)
            seen.append(children(pool))
    assert seen[0] != []
    assert seen[1] == seen[3] == []
    assert seen[2] != seen[0]


def test_idle_child_ends() -> None:
    with InspectorPool(size=1, idle_seconds=0.01) as pool:
        pool.inspect(SMALL)
        wait_until(lambda: not children(pool))
        assert pool.inspect(SMALL).videos


# Replacement


def test_child_that_died_while_idle_is_replaced(pool: InspectorPool) -> None:
    pool.inspect(SMALL)
    (old,) = children(pool)
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: is_gone(old))
    assert pool.inspect(SMALL).videos
    assert children(pool) != [old]
    assert not Path(f"/proc/{old}").exists()  # no zombie


def inspect_with_a_stopped_child(pool: InspectorPool, threads: ThreadPoolExecutor) -> tuple[int, Future[object]]:
    """Start a job in a child that is stopped, and return its pid and the job."""
    pool.inspect(SMALL)
    (pid,) = children(pool)
    os.kill(pid, signal.SIGSTOP)
    job: Future[object] = threads.submit(pool.inspect, SMALL)
    wait_until(lambda: not pool._idle)
    return pid, job


def test_job_whose_child_was_killed_is_retried_once(pool: InspectorPool) -> None:
    with ThreadPoolExecutor(1) as threads:
        pid, job = inspect_with_a_stopped_child(pool, threads)
        os.kill(pid, signal.SIGKILL)
        assert job.result(DEADLINE_SECONDS)
    assert children(pool) != [pid]


def test_job_is_retried_in_a_new_child() -> None:
    """An idle one may fail for the same reason, for example if the system has no memory."""
    with InspectorPool(size=2) as pool, ThreadPoolExecutor(1) as threads:
        pid, job = inspect_with_a_stopped_child(pool, threads)
        pool.inspect(SMALL)  # in another child
        os.kill(pid, signal.SIGCONT)
        assert job.result(DEADLINE_SECONDS)
        stopped = set(children(pool))
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        job = threads.submit(pool.inspect, SMALL)
        wait_until(lambda: len(pool._idle) == 1)
        (taken,) = stopped - {child.pid for child in pool._idle}
        os.kill(taken, signal.SIGKILL)
        assert job.result(DEADLINE_SECONDS)
        assert not stopped & set(children(pool))


def test_killed_children_fail_none_of_twenty_jobs() -> None:
    with InspectorPool(size=2) as pool, ThreadPoolExecutor(20) as threads:
        for job in [threads.submit(pool.inspect, SMALL) for _ in range(2)]:
            job.result(DEADLINE_SECONDS)
        killed = children(pool)
        for pid in killed:
            os.kill(pid, signal.SIGSTOP)
        jobs = [threads.submit(pool.inspect, SMALL) for _ in range(20)]
        wait_until(lambda: not pool._idle)
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        assert all(job.result(DEADLINE_SECONDS).videos for job in jobs)
        assert not set(killed) & set(children(pool))
        assert len(children(pool)) <= 2


def test_one_bad_recording_of_twenty_fails_alone() -> None:
    limits = InspectionLimits(cpu_seconds=0.5)
    with InspectorPool(size=2, limits=limits) as pool, ThreadPoolExecutor(20) as threads:
        files = [whole(heavy_index()) if number == 5 else SMALL for number in range(20)]
        jobs = [threads.submit(pool.inspect, file) for file in files]
        failed = [number for number, job in enumerate(jobs) if job.exception(DEADLINE_SECONDS)]
        assert failed == [5]
        assert "in 2 attempts" in str(jobs[5].exception())
        assert all(job.result().videos for job in jobs if job is not jobs[5])


def test_stopped_child_is_killed_by_its_parent() -> None:
    child = InspectorChild(FFMPEG, InspectionLimits(backstop_seconds=0.5))
    os.kill(child.pid, signal.SIGSTOP)
    with pytest.raises(InspectionFailed, match=r"within 0\.5 s"):
        child.run(encode_job(Job(SMALL, None)))
    assert not child.is_alive
    child.end()


# Limits


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (InspectionLimits(cpu_seconds=0.02), "within 0.02 s of CPU time, in 2 attempts"),
        (InspectionLimits(wall_seconds=0.01), "within 0.01 s, in 2 attempts"),
    ],
)
def test_job_over_a_time_limit_fails_after_one_retry(limits: InspectionLimits, message: str) -> None:
    with InspectorPool(size=1, limits=limits) as pool:
        with pytest.raises(InspectionFailed) as failed:
            pool.inspect(whole(heavy_index()))
        assert str(failed.value).endswith(message)
        assert children(pool) == []


def test_tables_over_the_memory_limit_are_not_allocated() -> None:
    with InspectorPool(size=1, limits=InspectionLimits(memory_bytes=400 * 1024**2)) as pool:
        inspection = pool.inspect(whole(heavy_index()))
        (pid,) = children(pool)
        status = Path(f"/proc/{pid}/status").read_text()
    peak_kib = int(status.partition("VmPeak:")[2].split()[0])
    # FFmpeg reports it for a table of the file, and leaves out the frames if its own index of a track is too large.
    is_complete = inspection.error is None and all(video.first for video in inspection.videos)
    assert not is_complete
    assert inspection.error in {None, "Cannot allocate memory"}
    assert 200 * 1024 < peak_kib <= 400 * 1024


def test_bytes_over_the_memory_limit_fail() -> None:
    limits = InspectionLimits(memory_bytes=160 * 1024**2)
    with (
        InspectorPool(size=1, limits=limits) as pool,
        pytest.raises(InspectionFailed, match=r"within 160 MiB of memory, in 2 attempts"),
    ):
        pool.inspect(whole(bytes(100 * 1024**2)))


def test_limits_hold_if_the_parent_ignores_and_blocks_signals() -> None:
    body = (
        "ignored = [signal.SIGPROF, signal.SIGALRM]\n"
        "for number in ignored: signal.signal(number, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, ignored)\n"
        "pool = InspectorPool(size=1, limits=InspectionLimits(cpu_seconds=0.02))\n"
        "try: pool.inspect(whole(heavy_index()))\n"
        "except Exception as error: print(error)\n"
        "pool.close()\n"
    )
    output, _ = run_script(body).communicate(timeout=DEADLINE_SECONDS)
    assert "of CPU time, in 2 attempts" in output


# The end of the processes


def test_close_leaves_no_process() -> None:
    with InspectorPool(size=1) as pool, ThreadPoolExecutor(1) as threads:
        pid, job = inspect_with_a_stopped_child(pool, threads)
        pool.close()
        assert not Path(f"/proc/{pid}").exists()
        assert isinstance(job.exception(DEADLINE_SECONDS), InspectionFailed)
    assert children(pool) == []
    with pytest.raises(InspectionFailed, match="closed"):
        pool.inspect(SMALL)


def test_children_end_if_their_parent_is_killed() -> None:
    with run_script("inspect_in_child(SMALL); print(pids(_shared_pool()), flush=True); input()") as process:
        (pid,) = read_pids(process)
        assert not is_gone(pid)
        process.kill()
        wait_until(lambda: is_gone(pid))


def test_children_end_when_their_parent_exits() -> None:
    with run_script("inspect_in_child(SMALL); print(pids(_shared_pool()), flush=True); input()") as process:
        (pid,) = read_pids(process)
        process.communicate("\n")
        assert process.returncode == 0
        assert not Path(f"/proc/{pid}").exists()


def test_fork_has_children_of_its_own() -> None:
    body = (
        "inspect_in_child(SMALL)\n"
        "pool = _shared_pool()\n"
        "print(pids(pool), flush=True)\n"
        "pool._lock.acquire()\n"  # as another thread may, at the moment of the fork
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    inspect_in_child(SMALL)\n"
        "    print(os.getpid(), pids(pool), flush=True)\n"
        "signal.pause()\n"
    )
    with run_script(body) as process:
        (of_parent,) = read_pids(process)
        fork, of_fork = read_pids(process)
        process.kill()
        wait_until(lambda: is_gone(of_parent))
        assert not is_gone(of_fork)
        os.kill(fork, signal.SIGKILL)
        wait_until(lambda: is_gone(of_fork))


# Isolation


def test_child_has_no_secret_and_no_file_of_its_parent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ARGIL_API_KEY", "AVATARS_WEBHOOK_TOKEN", "PGPASSWORD", "GITHUB_TOKEN", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "https://user:CANARY@proxy")
    with (tmp_path / "open").open("w") as file, socket.socket() as connection, InspectorPool(size=1) as pool:
        os.set_inheritable(file.fileno(), True)
        os.set_inheritable(connection.fileno(), True)
        pool.inspect(SMALL)
        (pid,) = children(pool)
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        files = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]
    assert b"PYTHONPATH=" in environment
    assert b"CANARY" not in environment
    assert all(name.startswith("pipe:") or name == "/dev/null" for name in files), files


def loaded_modules(module: str) -> set[str]:
    script = f"import {module}, sys; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-c", script]
    return set(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split())


def test_child_imports_neither_prefect_nor_a_network_client() -> None:
    loaded = loaded_modules("media.ffmpeg.inspector_process")
    assert "av" in loaded
    assert not loaded & {"prefect", "httpx", "httpcore", "sqlalchemy", "pydantic", "asyncio"}


def test_parent_does_not_load_ffmpeg() -> None:
    assert "av" not in loaded_modules("media.checker")


def test_child_can_be_started_from_any_folder(tmp_path: Path) -> None:
    for name in ("media", "av", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(1)")
    process = run_script("sys.path[:] = ['', *sys.path]; inspect_in_child(SMALL); print('done')", cwd=tmp_path)
    output, _ = process.communicate(timeout=DEADLINE_SECONDS)
    assert output == "done\n"
