"""Secrets pass through a whole stack, for each outcome and each kind of failure, and are searched for afterwards.

The names of tests and files must not contain the word of the secrets, because logs contain paths.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from simulator.media_host import MediaHost
from simulator.server import ArgilSimulator
from tests.secret_scanner import columns_with_secret, contains_secret, files_with_secret
from tests.stack import RunningStack, wait_for

pytestmark = [pytest.mark.prefect, pytest.mark.system, pytest.mark.timeout(400)]

AMAZON = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=canary%2F20261124&X-Amz-Signature=canary-signature"
AZURE = "sv=2024-11-04&se=2036-01-01&sig=canary%2Bsignature%3D"
TOKEN = "canary-webhook-token-0123456789"
FAULTS = {
    "ready": ("", "READY"),
    "fail": ("fail", "TRAINING_FAILED"),
    "refuse": ("refuse", "REFUSED"),
    "invalid": ("invalid", "SUBMISSION_FAILED"),
    "echo": ("echo", "SUBMISSION_FAILED"),
    "unpaid": ("payment-required", "ACCEPTED"),
    "cut": ("cut-after-create", "READY"),
    "error": ("error-after-create", "READY"),
    "garbled": ("garbled", "READY"),
    "vanish": ("vanish", "VANISHED"),
    "never": ("never", "TIMED_OUT"),
}
URLS = {
    "forbidden": ("/status/403/a.mp4", "REJECTED"),
    "missing": ("/nothing.mp4", "REJECTED"),
    "page": ("/page.html", "REJECTED"),
    "broken-host": ("/status/503/a.mp4", "ACCEPTED"),
    "redirected": ("/redirect/" + urllib.parse.quote(f"http://a.example/b?{AZURE}", safe=""), "REJECTED"),
    "private": ("https://10.0.0.1/a.mp4", "REJECTED"),
    "nowhere": ("https://127.0.0.1:9/a.mp4", "ACCEPTED"),
}
LAST = {"refuse", "unpaid"}
"""`refuse` would quarantine the recordings of the others, and `unpaid` would pause their submissions."""
RUNS_GENERATION = 3


class Stack(RunningStack):
    """`avatars up` without --simulate, against the simulator of the tests."""

    configured: ClassVar[Mapping[str, str]] = {}
    excluded_environment: ClassVar[Set[str]] = {"PREFECT_API_URL"}
    token = TOKEN

    def args(self) -> list[str]:
        return []

    def run(self, *args: str, stdin: str = "", **environment: str) -> str:
        """Run a command, whatever its exit code, and return its stdout and stderr."""
        completed = subprocess.run(
            [sys.executable, "-m", "cli", *args],
            input=stdin,
            env={**self.environment, **environment},
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return completed.stdout + completed.stderr

    def command_lines(self) -> bytes:
        """Return the command lines of the stack's processes, which every user of the machine can read."""
        lines = b""
        for pid in [self.process.pid, *self.process_ids()]:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                lines += Path(f"/proc/{pid}/cmdline").read_bytes()
        return lines

    def kill_runs(self) -> int:
        """Kill the process of each run with SIGKILL; return their number."""
        processes = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        parents = {int(pid): int(parent) for pid, parent in (line.split() for line in processes.splitlines())}

        def generation(pid: int) -> int:
            return 0 if pid == self.process.pid else 1 + generation(parents[pid]) if pid in parents else -99

        # `avatars up` starts the runner, which starts the fork server, which forks the runs.
        run_pids = [pid for pid in parents if generation(pid) == RUNS_GENERATION]
        for pid in run_pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(run_pids)


@pytest.fixture
def stack(
    simulated: ArgilSimulator, sample_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stack]:
    home = tmp_path / "home"
    (home / ".avatars").mkdir(parents=True)
    (sample_folder / "page.html").write_text("<html>log in</html>")
    monkeypatch.setenv("AVATARS_DATABASE_URL", f"sqlite+aiosqlite:///{home}/.avatars/avatars.db")
    monkeypatch.setenv("AVATARS_TRAINING_TIMEOUT_SECONDS", "40")
    with Stack(home) as running:
        yield running


def signed(videos: MediaHost) -> tuple[str, str]:
    return f"{videos.url('dataset.mp4')}?{AMAZON}", f"{videos.url('consent.mp4')}?{AZURE}"


def enqueue(stack: Stack, reference: str, dataset: str, consent: str, fault: str = "") -> str:
    args = ["enqueue", "--name", reference, "--reference", reference, "--json"]
    args += ["--dataset-video", dataset, "--consent-video", consent]
    return stack.run(*args, *(["--extra", f"simulator={fault}"] if fault else []))


def test_secrets_are_stored_in_one_column_only(stack: Stack, videos: MediaHost) -> None:
    """Requests are enqueued and their runs get references only, so only the ledger stores the URLs."""
    outputs = {}
    good = signed(videos)
    # First and with `resume`: only a process that keeps polling detects that the avatar has vanished.
    enqueue(stack, "vanish", *good, "vanish")
    outputs["resume vanish"] = stack.run("resume", "vanish", "--json")
    for reference, (fault, _) in FAULTS.items():
        if reference in LAST:
            continue
        outputs[f"enqueue {reference}"] = enqueue(stack, reference, *good, fault)
    for reference, (path_or_url, _) in URLS.items():
        url = path_or_url if "://" in path_or_url else f"{videos.base_url}{path_or_url}"
        outputs[f"enqueue {reference}"] = enqueue(stack, reference, f"{url}?{AMAZON}", good[1])
    expected = {key: status for key, (_, status) in {**FAULTS, **URLS}.items() if key not in LAST}
    receiver = f"{stack.receiver}/webhooks/argil/"
    body = {
        "event": "AVATAR_TRAINING_FAILED",
        "data": {"avatarId": "a-1", "videos": good, "x": f"https%3A//a?{AZURE}"},
    }
    for token in (TOKEN, f"{TOKEN}-wrong"):
        for json in (body, {"event": good[0]}):
            httpx.post(receiver + token, json=json, trust_env=False)

    run_id = stack.api.create_run(
        "resume-provisioning/on-demand", {"provisioning_id": "never", "wait": "block"}
    ).json()["id"]
    wait_for(lambda: stack.status_of("never") == "TRAINING" or None, "the training that never ends")
    wait_for(
        lambda: stack.api.call("GET", f"/flow_runs/{run_id}").json()["state_type"] == "RUNNING" or None, "the run"
    )
    assert wait_for(lambda: stack.kill_runs() or None, "a process to kill")
    wait_for(
        lambda: all(stack.status_of(key) == status for key, status in expected.items()) or None,
        f"all statuses; now {[(key, stack.status_of(key)) for key in expected]}",
    )
    outputs["enqueue unpaid"] = enqueue(stack, "unpaid", *good, FAULTS["unpaid"][0])
    outputs["resume unpaid"] = stack.run("resume", "unpaid")
    assert "payment" in outputs["resume unpaid"]
    (stack.home / "rows.csv").write_text(
        f"name,dataset_video,consent_video,reference,{good[0]}\nA,{good[0]},{good[1]},r1,x\n"
    )
    (stack.home / "wrong.jsonl").write_text(
        f'{{"name": "{good[0]}", "dataset_video": "x?{AZURE}", "consent_video": 7, "{good[1]}": 1}}\n'
    )
    commands = {
        "batch with a wrong column": ["batch", "rows.csv"],
        "batch with wrong rows": ["batch", "wrong.jsonl", "--json"],
        "resume": ["resume", good[0]],
        "show": ["show", "echo", "--json"],
        "show for people": ["show", "echo"],
        "list": ["list"],
        "evidence": ["evidence", "ready"],
        "check": ["check", f"{videos.base_url}/status/403/a.mp4?{AMAZON}", "--role", "dataset"],
        "webhook": ["webhook", "list"],
        "unknown option": ["list", f"--{good[0]}"],
    }
    for name, args in commands.items():
        outputs[name] = stack.run(*args)
    for name, url in {
        "password": "postgresql+asyncpg://ada:canary-password@127.0.0.1:9/db",
        "odd password": "postgresql+asyncpg://ada:canary/pass@word@127.0.0.1:9/db?password=canary",
        "malformed": "postgres://ada:canary-password@[::1/db",
        "port": "postgresql+asyncpg://ada:canary-password@127.0.0.1:port/db",
    }.items():
        outputs[f"doctor: {name}"] = stack.run("doctor", AVATARS_DATABASE_URL=url)
        outputs[f"list: {name}"] = stack.run("list", AVATARS_DATABASE_URL=url)
    outputs["wrong key"] = stack.run("doctor", ARGIL_API_KEY="canary-wrong-key")
    outputs["credentials"] = stack.run("credentials", stdin="canary-api-key\n")
    assert "stored as the block" in outputs["credentials"]

    texts: dict[str, Any] = {**outputs, **stack.api.read_everything()}
    assert {source for source, text in texts.items() if contains_secret(text.encode())} == set()
    assert not contains_secret(stack.command_lines())
    assert columns_with_secret(stack.home / ".avatars/avatars.db") == {"provisionings.request"}
    assert stack.stop() == 0
    # The results repeat the cells of the manifest.
    manifests = {"rows.csv", "rows.results.csv", "wrong.jsonl", "wrong.results.csv"}
    assert files_with_secret(stack.home) - manifests <= {"avatars.db", "avatars.db-wal"}


def test_urls_of_a_run_are_stored_in_its_parameters_only(stack: Stack, videos: MediaHost) -> None:
    good = signed(videos)
    requests: dict[str, dict[str, Any]] = {
        "Ready": {"name": "Ada"},
        "Rejected": {"name": "Eve", "dataset_video": f"{videos.base_url}/status/403/a.mp4?{AMAZON}"},
        "SubmissionFailed": {"name": "Joan", "extras": {"simulator": "echo"}},
        # Passes the JSON schema, but not the validation of the flow.
        "Failed": {"name": "Mallory", "dataset_video": f"https://ada:canary@a.example/b?{AMAZON}"},
    }
    runs = {}
    for name, fields in requests.items():
        request = {"dataset_video": good[0], "consent_video": good[1], **fields}
        created = stack.api.create_run("provision-avatar/on-demand", {"request": request})
        runs[name] = created.json()["id"]
    invalid = {"request": {"name": good[0], "dataset_video": f"http://a.example/b?{AZURE}", "consent_video": 7}}
    assert stack.api.create_run("provision-avatar/on-demand", invalid).status_code == 409
    assert {name: stack.api.wait_for_final_state(run)["name"] for name, run in runs.items()} == {
        name: name for name in runs
    }
    assert stack.stop() == 0
    assert columns_with_secret(stack.home / ".avatars/prefect/prefect.db") == {"flow_run.parameters"}
    assert columns_with_secret(stack.home / ".avatars/avatars.db") == {"provisionings.request"}
    databases = {f"{name}.db{suffix}" for name in ("avatars", "prefect") for suffix in ("", "-wal")}
    assert files_with_secret(stack.home) <= databases
