"""A Prefect server that asks for a password, and every example of docs/api.md run against it as it stands.

One stack serves both: its start costs more than the tests. It has no webhook token or port of its own and its
schedules are a year away, so that nothing but the simulator's deliveries wakes a run.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.stack import Api, Up, until

pytestmark = [pytest.mark.prefect, pytest.mark.system, pytest.mark.timeout(240)]

USER, PASSWORD = "reader", "canary-password"
AUTH = f"{USER}:{PASSWORD}"
WRONG = f"{USER}:canary-wrong"
YEAR_SECONDS = str(365 * 86400)
PAGE = (Path(__file__).parents[2] / "docs/api.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


class Protected(Up):
    """`avatars up --simulate` where PREFECT_SERVER_API_AUTH_STRING alone is set; its callers know the password."""

    def __init__(self, home: Path) -> None:
        ours = {
            name: value for name, value in os.environ.items() if name not in {"PREFECT_API_URL", "SSL_CERT_FILE"}
        }
        self.home = home
        self.environment = {
            **ours,
            "HOME": str(home),
            "AVATARS_HOLD_SECONDS": "0",
            "AVATARS_RECONCILE_SECONDS": YEAR_SECONDS,
            "AVATARS_PENDING_SECONDS": YEAR_SECONDS,
        }
        words = [sys.executable, "-m", "cli", "up", "--simulate", "--port", "0", "--training-seconds", "8"]
        words += ["--home", str(home / ".avatars")]
        protected = {**self.environment, "PREFECT_SERVER_API_AUTH_STRING": AUTH}
        self.log = (home / "up.log").open("w+")
        self.process = subprocess.Popen(words, env=protected, stdout=self.log, stderr=self.log, text=True)
        until(lambda: self.printed(r"^(ready)") or None, "avatars up")
        self.url = self.printed(r"^Prefect API +(\S+)")
        self.api = Api(self.url.replace("://", f"://{AUTH}@"))
        self.environment |= {"PREFECT_API_URL": self.url, "PREFECT_API_AUTH_STRING": AUTH}
        self.dataset = self.printed(r"(https://\S+/dataset\.mp4)")
        self.consent = self.printed(r"(https://\S+/consent\.mp4)")

    def run(self, *words: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
        """Run a command in the environment of a caller with these changes, None: without."""
        own = {**self.environment, "ARGIL_API_KEY": "canary-key", **environment}
        ran = subprocess.run(
            [sys.executable, "-m", "cli", *words],
            env={name: value for name, value in own.items() if value is not None},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        for unwanted in ("canary", "Traceback"):
            assert unwanted not in ran.stdout + ran.stderr
        return ran


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Protected]:
    running = Protected(tmp_path_factory.mktemp("protected"))
    yield running
    assert running.end() == 0


@pytest.fixture
def taken_port() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield str(listener.getsockname()[1])


def test_who_does_not_know_the_password_is_not_let_in(up: Protected) -> None:
    for auth in (None, (USER, "canary-wrong")):
        assert httpx.post(f"{up.url}/flow_runs/filter", json={}, auth=auth).status_code == 401
    assert httpx.post(f"{up.url}/flow_runs/filter", json={}, auth=(USER, PASSWORD)).status_code == 200


def test_no_page_of_another_origin_may_read_the_api(up: Protected) -> None:
    def allowed(origin: str) -> object:
        answer = httpx.get(f"{up.url}/health", headers={"origin": origin})
        return answer.headers.get("access-control-allow-origin")

    own = up.url.removesuffix("/api")
    assert allowed(own) == own
    assert allowed("https://elsewhere.example") is None


@pytest.mark.parametrize(
    ("auth", "well", "told"),
    [
        (AUTH, True, "is ready, reconcile-avatars is scheduled"),
        (WRONG, False, "does not take PREFECT_API_AUTH_STRING"),
        (None, False, "asks who we are"),
    ],
    ids=["right", "wrong", "none"],
)
def test_doctor_tells_whether_the_password_is_right(up: Protected, auth: str | None, well: bool, told: str) -> None:
    ran = up.run("doctor", "--json", PREFECT_API_AUTH_STRING=auth)
    [prefect] = [finding for finding in json.loads(ran.stdout) if finding["subject"] == "Prefect"]
    assert (prefect["well"], told in prefect["detail"]) == (well, True)
    assert ("PREFECT_API_AUTH_STRING" in prefect["hint"]) is not well


@pytest.mark.parametrize(
    "words",
    [
        [
            "provision",
            "--name",
            "A",
            "--dataset-video",
            "https://a.example/1",
            "--consent-video",
            "https://a.example/2",
        ],
        ["deploy", "--pool", "any"],
        ["up"],
    ],
    ids=lambda words: words[0],
)
def test_a_wrong_password_is_one_clear_error(up: Protected, words: list[str]) -> None:
    ran = up.run(*words, PREFECT_API_AUTH_STRING=WRONG)
    assert (ran.returncode, ran.stdout) == (3, "")
    assert f"error the Prefect API at {up.url} does not take PREFECT_API_AUTH_STRING\n" in ran.stderr
    assert "set PREFECT_API_AUTH_STRING to the user:password" in ran.stderr


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, "`avatars up` runs already, with its Prefect database in "),
        (
            {"PREFECT_SERVER_API_AUTH_STRING": WRONG, "PREFECT_API_AUTH_STRING": AUTH},
            "PREFECT_API_AUTH_STRING is not",
        ),
        ({"PREFECT_SERVER_API_AUTH_STRING": ""}, "PREFECT_SERVER_API_AUTH_STRING is empty"),
    ],
    ids=["same-home", "two-passwords", "empty-password"],
)
def test_a_stack_that_could_not_work_does_not_start(up: Protected, environment: dict[str, str], told: str) -> None:
    ran = up.run("up", "--port", "0", **{"PREFECT_API_URL": None, **environment})
    assert (ran.returncode, ran.stdout) == (3, "")
    assert told in ran.stderr


def test_a_port_that_is_taken_is_named(up: Protected, taken_port: str, tmp_path: Path) -> None:
    where = {"PREFECT_API_URL": None, "HOME": str(tmp_path)}
    token = {"AVATARS_WEBHOOK_TOKEN": "0123456789abcdef", "AVATARS_WEBHOOK_PORT": taken_port}
    for words, more, hint in (
        (["--port", taken_port], {}, "choose another one with --port"),
        (["--port", "0"], token, "set AVATARS_WEBHOOK_PORT to another one"),
    ):
        ran = up.run("up", *words, **where, **more)
        assert (ran.returncode, ran.stdout) == (3, "")
        assert f"port {taken_port} cannot be used: Address already in use" in ran.stderr
        assert hint in ran.stderr


def reader(up: Protected) -> dict[str, str]:
    """The environment that the page asks of its reader."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**up.environment, "PATH": path, "DATASET": up.dataset, "CONSENT": up.consent}


def test_the_page_has_blocks_of_known_languages_alone() -> None:
    assert {language for language, _ in BLOCKS} == {"bash", "python"}


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_examples_for_bash_do_what_the_page_says(up: Protected, tmp_path: Path) -> None:
    mark = "--- the next block"
    script = "".join(f"{text}\necho '{mark}'\n" for language, text in BLOCKS if language == "bash")
    ran = subprocess.run(
        ["bash", "-c", script],
        env=reader(up),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert PASSWORD not in ran.stdout + ran.stderr
    started, wrong, followed, shown, queued, rest = ran.stdout.split(f"{mark}\n")
    assert rest == ""
    run_id = started.removeprefix("run ").strip()
    assert up.api.states(run_id)[-1]["name"] == "Ready"
    assert "'request.consent_video'" in wrong
    assert ran.stderr == "curl: (22) The requested URL returned error: 409\n"
    assert followed.splitlines()[:2] == ["COMPLETED", "Ready"]
    document = json.loads(shown)
    assert (document["reference"], document["status"]) == ("creator-4711", "READY")
    assert document["avatar_id"] in followed
    assert "reference creator-4713" in queued

    def resumed() -> bool | None:
        return True if up.avatars("show", "creator-4713")["status"] == "READY" else None

    until(resumed, "the run that was started by reference")
    [run] = up.api.runs_of("resume-provisioning")
    assert run["parameters"] == {"provisioning_id": "creator-4713"}


def test_the_example_in_python_does_what_the_page_says(up: Protected, tmp_path: Path) -> None:
    script = "\n".join(text for language, text in BLOCKS if language == "python")
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env=reader(up),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=150,
        check=True,
    )
    shown = up.avatars("show", "creator-4712")
    assert ran.stdout.startswith(f"Ready provisioning {shown['id']}. avatar {shown['avatar_id']}.")
    assert "Suspended" in [state["name"] for state in up.api.states(shown["flow_run_id"])]
    reconciles = up.api.runs_of("reconcile-avatars")
    assert {run["state_type"] for run in reconciles} <= {"SCHEDULED"}  # only a delivery can have woken it


def test_the_password_is_in_no_file(up: Protected) -> None:
    """The last test of this module: the stack has written whatever it writes."""
    files = [path for path in up.home.rglob("*") if path.is_file()]
    assert {"prefect.db", "server.log", "avatars.db", "up.log"} <= {path.name for path in files}
    for path in files:
        content = path.read_bytes()
        assert not any(secret in content for secret in (PASSWORD.encode(), base64.b64encode(AUTH.encode()))), path
