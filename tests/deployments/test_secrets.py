"""A key and presigned queries pushed through a whole stack, each outcome and each kind of failure: found nowhere.

No name of a test or file here holds the secret's own word: paths are shown in logs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from simulator.media_host import MediaHost
from simulator.server import ArgilSimulator
from tests.secrets_search import columns_with_it, files_with_it, holds_it
from tests.stack import Up, until

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
RUNS_GENERATION = 3


class Stack(Up):
    """`avatars up` as it is for real, against the tests' own Argil."""

    kept_from_it: ClassVar[Set[str]] = {"PREFECT_API_URL"}
    token = TOKEN

    def words(self) -> list[str]:
        return []

    def run(self, *words: str, stdin: str = "", **environment: str) -> str:
        """Run a command to whatever end; returns all that it printed."""
        ran = subprocess.run(
            [sys.executable, "-m", "cli", *words],
            input=stdin,
            env={**self.environment, **environment},
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return ran.stdout + ran.stderr

    def everything_of_the_api(self) -> dict[str, str]:
        """What the API tells of everything that it has, page by page."""
        told = {}
        for kind in (
            "flow_runs",
            "task_runs",
            "logs",
            "artifacts",
            "automations",
            "deployments",
            "block_documents",
        ):
            offset, size = 0, 200
            while page := self.api.call("POST", f"/{kind}/filter", {"limit": size, "offset": offset}).json():
                told[f"{kind} from {offset}"] = str(page)
                offset += size
        page = self.api.call("POST", "/events/filter", {"limit": 50}).json()
        while page["events"]:
            told[f"events {len(told)}"] = str(page["events"])
            if not page["next_page"]:
                break
            page = self.api.call("GET", page["next_page"].partition("/api")[2]).json()
        return told

    def command_lines(self) -> bytes:
        """The arguments of the stack's processes, as everyone on the machine may read them."""
        lines = b""
        for pid in [self.process.pid, *self.family()]:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                lines += Path(f"/proc/{pid}/cmdline").read_bytes()
        return lines

    def kill_runs(self) -> int:
        """kill -9 to the process of each run; returns how many."""
        listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        parents = {int(pid): int(parent) for pid, parent in (line.split() for line in listed.splitlines())}

        def generation(pid: int) -> int:
            return 0 if pid == self.process.pid else 1 + generation(parents[pid]) if pid in parents else -99

        # This process starts the runner, which starts the one that each run is a fork of.
        runs = [pid for pid in parents if generation(pid) == RUNS_GENERATION]
        for pid in runs:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(runs)


@pytest.fixture
def stack(
    simulated: ArgilSimulator, sample_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stack]:
    home = tmp_path / "home"
    (home / ".avatars").mkdir(parents=True)
    (sample_folder / "page.html").write_text("<html>log in</html>")
    monkeypatch.setenv("AVATARS_DATABASE_URL", f"sqlite+aiosqlite:///{home}/.avatars/avatars.db")
    monkeypatch.setenv("AVATARS_TRAINING_TIMEOUT_SECONDS", "40")
    running = Stack(home)
    yield running
    if running.process.poll() is None:
        running.end()


def signed(videos: MediaHost) -> tuple[str, str]:
    return f"{videos.url('dataset.mp4')}?{AMAZON}", f"{videos.url('consent.mp4')}?{AZURE}"


def enqueue(stack: Stack, reference: str, dataset: str, consent: str, fault: str = "") -> str:
    words = ["enqueue", "--name", reference, "--reference", reference, "--json"]
    words += ["--dataset-video", dataset, "--consent-video", consent]
    return stack.run(*words, *(["--extra", f"simulator={fault}"] if fault else []))


def test_every_way_through_the_stack_leaves_them_in_one_column(stack: Stack, videos: MediaHost) -> None:
    """By reference alone: what the run is given names the request, which the ledger holds."""
    said = {}
    good = signed(videos)
    # First, and watched: whether it is gone for good only one who goes on watching can tell.
    enqueue(stack, "vanish", *good, "vanish")
    said["resume vanish"] = stack.run("resume", "vanish", "--json")
    for reference, (fault, _) in FAULTS.items():
        if fault == "refuse":  # its recordings are quarantined
            continue
        said[f"enqueue {reference}"] = enqueue(stack, reference, *good, fault)
    for reference, (place, _) in URLS.items():
        url = place if "://" in place else f"{videos.base_url}{place}"
        said[f"enqueue {reference}"] = enqueue(stack, reference, f"{url}?{AMAZON}", good[1])
    expected = {key: end for key, (_, end) in {**FAULTS, **URLS}.items() if key != "refuse"}
    door = f"http://127.0.0.1:{stack.environment['AVATARS_WEBHOOK_PORT']}/webhooks/argil/"
    body = {
        "event": "AVATAR_TRAINING_FAILED",
        "data": {"avatarId": "a-1", "videos": good, "x": f"https%3A//a?{AZURE}"},
    }
    for token in (TOKEN, f"{TOKEN}-wrong"):
        for json in (body, {"event": good[0]}):
            httpx.post(door + token, json=json, trust_env=False)

    started = stack.api.create_run(
        "resume-provisioning/on-demand", {"provisioning_id": "never", "wait": "hold"}
    ).json()["id"]
    until(lambda: stack.status_of("never") == "TRAINING" or None, "the training that never ends")
    until(
        lambda: stack.api.call("GET", f"/flow_runs/{started}").json()["state_type"] == "RUNNING" or None, "the run"
    )
    assert until(lambda: stack.kill_runs() or None, "a process to kill")
    until(
        lambda: all(stack.status_of(key) == end for key, end in expected.items()) or None,
        f"all ends but {[(key, stack.status_of(key)) for key in expected]}",
    )
    (stack.home / "rows.csv").write_text(
        f"name,dataset_video,consent_video,reference,{good[0]}\nA,{good[0]},{good[1]},r1,x\n"
    )
    (stack.home / "rows.jsonl").write_text(
        f'{{"name": "{good[0]}", "dataset_video": "x?{AZURE}", "consent_video": 7, "{good[1]}": 1}}\n'
    )
    commands = {
        "batch with a wrong column": ["batch", "rows.csv"],
        "batch with wrong rows": ["batch", "rows.jsonl", "--json"],
        "resume": ["resume", good[0]],
        "show": ["show", "echo", "--json"],
        "show for people": ["show", "echo"],
        "list": ["list"],
        "evidence": ["evidence", "ready"],
        "check": ["check", f"{videos.base_url}/status/403/a.mp4?{AMAZON}", "--role", "dataset"],
        "webhook": ["webhook", "list"],
        "unknown option": ["list", f"--{good[0]}"],
    }
    for name, words in commands.items():
        said[name] = stack.run(*words)
    for name, url in {
        "password": "postgresql+asyncpg://ada:canary-password@127.0.0.1:9/db",
        "odd password": "postgresql+asyncpg://ada:canary/pass@word@127.0.0.1:9/db?password=canary",
        "malformed": "postgres://ada:canary-password@[::1/db",
        "port": "postgresql+asyncpg://ada:canary-password@127.0.0.1:port/db",
    }.items():
        said[f"doctor: {name}"] = stack.run("doctor", AVATARS_DATABASE_URL=url)
        said[f"list: {name}"] = stack.run("list", AVATARS_DATABASE_URL=url)
    said["wrong key"] = stack.run("doctor", ARGIL_API_KEY="canary-wrong-key")
    said["credentials"] = stack.run("credentials", stdin="canary-api-key\n")
    assert "stored as the block" in said["credentials"]

    told: dict[str, Any] = {**said, **stack.everything_of_the_api()}
    assert {where for where, text in told.items() if holds_it(text.encode())} == set()
    assert not holds_it(stack.command_lines())
    assert columns_with_it(stack.home / ".avatars/avatars.db") == {"provisionings.request"}
    assert stack.end() == 0
    manifests = {"rows.csv", "rows.jsonl"}
    assert files_with_it(stack.home) - manifests <= {"avatars.db", "avatars.db-wal"}


def test_a_run_given_the_urls_keeps_them_in_its_parameters_alone(stack: Stack, videos: MediaHost) -> None:
    good = signed(videos)
    requests: dict[str, dict[str, Any]] = {
        "Ready": {"name": "Ada"},
        "Rejected": {"name": "Eve", "dataset_video": f"{videos.base_url}/status/403/a.mp4?{AMAZON}"},
        "SubmissionFailed": {"name": "Joan", "extras": {"simulator": "echo"}},
        # What its JSON schema lets pass, and the flow does not.
        "Failed": {"name": "Mallory", "dataset_video": f"https://ada:canary@a.example/b?{AMAZON}"},
    }
    runs = {}
    for name, own in requests.items():
        request = {"dataset_video": good[0], "consent_video": good[1], **own}
        created = stack.api.create_run("provision-avatar/on-demand", {"request": request})
        runs[name] = created.json()["id"]
    wrong = {"request": {"name": good[0], "dataset_video": f"http://a.example/b?{AZURE}", "consent_video": 7}}
    assert stack.api.create_run("provision-avatar/on-demand", wrong).status_code == 409
    assert {name: stack.api.end_of(run)["name"] for name, run in runs.items()} == {name: name for name in runs}
    assert stack.end() == 0
    assert columns_with_it(stack.home / ".avatars/prefect/prefect.db") == {"flow_run.parameters"}
    assert columns_with_it(stack.home / ".avatars/avatars.db") == {"provisionings.request"}
    databases = {f"{name}.db{end}" for name in ("avatars", "prefect") for end in ("", "-wal")}
    assert files_with_it(stack.home) <= databases
