"""A Prefect server with a password, and every example of docs/api.md run unchanged against it.

Both share one stack, because its start takes longer than the tests. The stack sets no webhook token or port. Its
schedules fire once a year, so that only the simulator's webhook deliveries resume a run.
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

from tests.stack import PrefectApi, RunningStack, wait_for

pytestmark = [pytest.mark.prefect, pytest.mark.system, pytest.mark.timeout(240)]

USER, PASSWORD = "reader", "canary-password"
AUTH = f"{USER}:{PASSWORD}"
WRONG = f"{USER}:canary-wrong"
YEAR_SECONDS = str(365 * 86400)
PAGE = (Path(__file__).parents[2] / "docs/api.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


class Protected(RunningStack):
    """`avatars up --simulate` with only PREFECT_SERVER_API_AUTH_STRING set; its callers know the password."""

    def __init__(self, home: Path) -> None:
        inherited = {
            name: value for name, value in os.environ.items() if name not in {"PREFECT_API_URL", "SSL_CERT_FILE"}
        }
        self.home = home
        self.environment = {
            **inherited,
            "HOME": str(home),
            "AVATARS_WATCH_BEFORE_SUSPEND_SECONDS": "0",
            "AVATARS_RECONCILE_INTERVAL_SECONDS": YEAR_SECONDS,
            "AVATARS_PENDING_INTERVAL_SECONDS": YEAR_SECONDS,
        }
        args = [sys.executable, "-m", "cli", "up", "--simulate", "--port", "0", "--training-seconds", "8"]
        args += ["--data-dir", str(home / ".avatars")]
        real = {"AVATARS_DATABASE_URL": "sqlite+aiosqlite:////dev/null/real.db"}  # not the one in --data-dir
        protected = {**self.environment, **real, "PREFECT_SERVER_API_AUTH_STRING": AUTH}
        self.log = (home / "up.log").open("w+")
        self.process = subprocess.Popen(args, env=protected, stdout=self.log, stderr=self.log, text=True)
        wait_for(lambda: self.printed(r"^(ready)") or None, "avatars up")
        self.url = self.printed(r"^Prefect API +(\S+)")
        self.api = PrefectApi(self.url.replace("://", f"://{AUTH}@"))
        self.environment |= {"PREFECT_API_URL": self.url, "PREFECT_API_AUTH_STRING": AUTH}
        self.dataset = self.printed(r"(https://\S+/dataset\.mp4)")
        self.consent = self.printed(r"(https://\S+/consent\.mp4)")

    def run(self, *args: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
        """Run a command as a caller would, with changes to its environment; None removes a variable."""
        variables = {**self.environment, "ARGIL_API_KEY": "canary-key", **environment}
        completed = subprocess.run(
            [sys.executable, "-m", "cli", *args],
            env={name: value for name, value in variables.items() if value is not None},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        for unwanted in ("canary", "Traceback"):
            assert unwanted not in completed.stdout + completed.stderr
        return completed


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Protected]:
    running = Protected(tmp_path_factory.mktemp("protected"))
    yield running
    assert running.stop() == 0


@pytest.fixture
def used_port() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield str(listener.getsockname()[1])


def test_api_rejects_requests_without_the_password(up: Protected) -> None:
    for auth in (None, (USER, "canary-wrong")):
        assert httpx.post(f"{up.url}/flow_runs/filter", json={}, auth=auth).status_code == 401
    assert httpx.post(f"{up.url}/flow_runs/filter", json={}, auth=(USER, PASSWORD)).status_code == 200


def test_api_allows_only_its_own_origin(up: Protected) -> None:
    def allowed(origin: str) -> object:
        response = httpx.get(f"{up.url}/health", headers={"origin": origin})
        return response.headers.get("access-control-allow-origin")

    own_origin = up.url.removesuffix("/api")
    assert allowed(own_origin) == own_origin
    assert allowed("https://elsewhere.example") is None


@pytest.mark.parametrize(
    ("auth", "ok", "detail"),
    [
        (AUTH, True, "is ready, reconcile-avatars is scheduled"),
        (WRONG, False, "rejects PREFECT_API_AUTH_STRING"),
        (None, False, "requires authentication"),
    ],
    ids=["right", "wrong", "none"],
)
def test_doctor_checks_the_password(up: Protected, auth: str | None, ok: bool, detail: str) -> None:
    completed = up.run("doctor", "--json", PREFECT_API_AUTH_STRING=auth)
    [prefect] = [result for result in json.loads(completed.stdout) if result["check"] == "Prefect"]
    assert (prefect["ok"], detail in prefect["detail"]) == (ok, True)
    assert ("PREFECT_API_AUTH_STRING" in prefect["hint"]) is not ok


@pytest.mark.parametrize(
    "args",
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
    ids=lambda args: args[0],
)
def test_wrong_password_is_one_clear_error(up: Protected, args: list[str]) -> None:
    completed = up.run(*args, PREFECT_API_AUTH_STRING=WRONG)
    assert (completed.returncode, completed.stdout) == (3, "")
    assert f"error the Prefect API at {up.url} rejects PREFECT_API_AUTH_STRING\n" in completed.stderr
    assert "set PREFECT_API_AUTH_STRING to the user:password" in completed.stderr


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "`avatars up` is already running with its Prefect database in "),
        (
            {"PREFECT_SERVER_API_AUTH_STRING": WRONG, "PREFECT_API_AUTH_STRING": AUTH},
            "PREFECT_API_AUTH_STRING differs from PREFECT_SERVER_API_AUTH_STRING",
        ),
        ({"PREFECT_SERVER_API_AUTH_STRING": ""}, "PREFECT_SERVER_API_AUTH_STRING is empty"),
    ],
    ids=["same-home", "two-passwords", "empty-password"],
)
def test_up_fails_on_an_unusable_configuration(up: Protected, environment: dict[str, str], message: str) -> None:
    completed = up.run("up", "--port", "0", **{"PREFECT_API_URL": None, **environment})
    assert (completed.returncode, completed.stdout) == (3, "")
    assert message in completed.stderr


def test_up_names_a_port_that_is_in_use(up: Protected, used_port: str, tmp_path: Path) -> None:
    changes = {"PREFECT_API_URL": None, "HOME": str(tmp_path)}
    token = {"AVATARS_WEBHOOK_TOKEN": "0123456789abcdef", "AVATARS_WEBHOOK_PORT": used_port}
    for args, token_settings, hint in (
        (["--port", used_port], {}, "choose another port with --port"),
        (["--port", "0"], token, "set AVATARS_WEBHOOK_PORT to another port"),
    ):
        completed = up.run("up", *args, **changes, **token_settings)
        assert (completed.returncode, completed.stdout) == (3, "")
        assert f"port {used_port} cannot be used: Address already in use" in completed.stderr
        assert hint in completed.stderr


def test_simulated_service_names_a_port_in_use_before_it_starts_anything(
    up: Protected, used_port: str, tmp_path: Path
) -> None:
    completed = up.run("up", "--simulate", "--port", used_port, "--data-dir", str(tmp_path / "data"))
    assert (completed.returncode, completed.stdout) == (3, "")
    assert f"error port {used_port} cannot be used" in completed.stderr.splitlines()[0]
    assert "--port; 0 selects a free port" in completed.stderr
    assert not (tmp_path / "data").exists()


def reader_environment(up: Protected) -> dict[str, str]:
    """Return the environment that docs/api.md requires."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**up.environment, "PATH": path, "DATASET": up.dataset, "CONSENT": up.consent}


def test_api_page_has_only_bash_and_python_blocks() -> None:
    assert {language for language, _ in BLOCKS} == {"bash", "python"}


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_bash_examples_do_what_the_page_says(up: Protected, tmp_path: Path) -> None:
    separator = "--- next block"
    script = "".join(f"{text}\necho '{separator}'\n" for language, text in BLOCKS if language == "bash")
    completed = subprocess.run(
        ["bash", "-c", script],
        env=reader_environment(up),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert PASSWORD not in completed.stdout + completed.stderr
    started, invalid, followed, details, queued, rest = completed.stdout.split(f"{separator}\n")
    assert rest == ""
    run_id = started.removeprefix("run ").strip()
    assert up.api.states(run_id)[-1]["name"] == "Ready"
    assert "'request.consent_video'" in invalid
    assert completed.stderr == "curl: (22) The requested URL returned error: 409\n"
    assert followed.splitlines()[:2] == ["COMPLETED", "Ready"]
    document = json.loads(details)
    assert (document["reference"], document["status"]) == ("creator-4711", "READY")
    assert document["avatar_id"] in followed
    assert "reference creator-4713" in queued

    def resumed() -> bool | None:
        return True if up.avatars("show", "creator-4713")["status"] == "READY" else None

    wait_for(resumed, "the run that was started by its reference")
    [run] = up.api.runs_of("resume-provisioning")
    assert run["parameters"] == {"provisioning_id": "creator-4713"}


def test_python_example_does_what_the_page_says(up: Protected, tmp_path: Path) -> None:
    script = "\n".join(text for language, text in BLOCKS if language == "python")
    completed = subprocess.run(
        [sys.executable, "-c", script],
        env=reader_environment(up),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=150,
        check=True,
    )
    details = up.avatars("show", "creator-4712")
    assert completed.stdout.startswith(f"Ready provisioning {details['id']}. avatar {details['avatar_id']}.")
    assert "Suspended" in [state["name"] for state in up.api.states(details["flow_run_id"])]
    reconciles = up.api.runs_of("reconcile-avatars")
    assert {run["state_type"] for run in reconciles} <= {"SCHEDULED"}  # only a webhook can have resumed the run


def test_password_is_written_to_no_file(up: Protected) -> None:
    """Must run last in this module, when the stack has written everything."""
    files = [path for path in up.home.rglob("*") if path.is_file()]
    assert {"prefect.db", "server.log", "avatars.db", "up.log"} <= {path.name for path in files}
    for path in files:
        content = path.read_bytes()
        assert not any(secret in content for secret in (PASSWORD.encode(), base64.b64encode(AUTH.encode()))), path
