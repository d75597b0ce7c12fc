"""Each kind of child process receives the variables that it needs, and no others."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from models.environment.child_environment import (
    INSPECTOR,
    LEDGER,
    PREFECT_CLIENT,
    PREFECT_SERVER,
    PREFECT_SETTINGS,
    SERVICE,
    TOOL,
    InheritedVariables,
    python_command,
)

KINDS = {
    "tool": TOOL,
    "server": PREFECT_SERVER,
    "prefect-settings": PREFECT_SETTINGS,
    "prefect-client": PREFECT_CLIENT,
    "ledger": LEDGER,
    "service": SERVICE,
}
EVERYWHERE = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "MALLOC_ARENA_MAX"),
    *("HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "LOGNAME", "USER"),
)
NOWHERE = (
    *("SECRET_OF_OTHERS", "GITHUB_TOKEN", "AWS_BEARER_TOKEN_BEDROCK", "AZURE_OPENAI_API_KEY", "GOOGLE_API_KEY"),
    *("OPENAI_API_KEY", "SLACK_URL", "SSH_AUTH_SOCK", "MY_PREFECT_API_KEY", "XARGIL_API_KEY"),
    *("PGP_PASSPHRASE", "PGPASSPHRASE", "PGADMIN_DEFAULT_PASSWORD", "PGBACKREST_REPO1_S3_KEY_SECRET"),
    *("PYTHONANYWHERE_API_TOKEN", "PYTHON_KEYRING_BACKEND", "PYTHON_PACKAGE_TOKEN"),
)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("name", NOWHERE)
def test_variable_of_another_program_reaches_no_process(kind: InheritedVariables, name: str) -> None:
    assert name not in kind.select({name: "canary"})


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_process_gets_the_system_variables(kind: InheritedVariables) -> None:
    assert kind.select(dict.fromkeys((*EVERYWHERE, *NOWHERE), "x")) == {
        "DO_NOT_TRACK": "1",
        **dict.fromkeys(EVERYWHERE, "x"),
    }


@pytest.mark.parametrize(
    ("variable", "receivers"),
    [
        ("ARGIL_API_KEY", {"service"}),
        ("ARGIL_API_URL", {"service"}),
        ("AWS_SECRET_ACCESS_KEY", {"service"}),
        ("GOOGLE_APPLICATION_CREDENTIALS", {"service"}),
        ("AZURE_STORAGE_ACCOUNT_KEY", {"service"}),
        ("argil_api_key", {"service"}),
        ("prefect_server_api_auth_string", {"server", "prefect-settings"}),
        ("AVATARS_DATABASE_URL", {"ledger", "service"}),
        ("AVATARS_WEBHOOK_TOKEN", {"service"}),
        ("PGPASSWORD", {"ledger", "service", "server"}),
        ("PGSSLROOTCERT", {"ledger", "service", "server"}),
        ("PREFECT_API_URL", {"server", "prefect-settings", "prefect-client", "service"}),
        ("PREFECT_API_AUTH_STRING", {"server", "prefect-settings", "prefect-client", "service"}),
        ("PREFECT_API_KEY", {"prefect-settings", "prefect-client", "service"}),
        ("PREFECT_SERVER_API_AUTH_STRING", {"server", "prefect-settings"}),
        ("PREFECT_SERVER_DATABASE_CONNECTION_URL", {"server", "prefect-settings"}),
        ("PREFECT_API_DATABASE_PASSWORD", {"server", "prefect-settings"}),
        ("PREFECT_REDIS_MESSAGING_URL", {"server", "prefect-settings"}),
    ],
)
def test_variable_reaches_only_the_processes_that_need_it(variable: str, receivers: set[str]) -> None:
    assert {name for name, kind in KINDS.items() if variable in kind.select({variable: "canary"})} == receivers


@pytest.mark.parametrize(
    "name", ["HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE", "PGPASSWORD", "ARGIL_API_KEY", *NOWHERE]
)
def test_process_of_ffmpeg_gets_no_variable_for_connections(name: str) -> None:
    assert name not in INSPECTOR.select({name: "canary"})
    assert INSPECTOR.select({"PATH": "/bin"})["PATH"] == "/bin"


def test_selected_value_is_unchanged() -> None:
    values = {"DO_NOT_TRACK": "0", "LANG": "C.UTF-8\udcff", "PATH": ""}
    assert TOOL.select(values) == values


@pytest.mark.parametrize("path", ["{}:", ":{}", "::{}::", ":"])
def test_empty_entry_of_pythonpath_is_removed(tmp_path: Path, path: str) -> None:
    """`/x:$PYTHONPATH` has one if the variable was not set. Python reads it as the working directory."""
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "in_work.py").touch()
    environment = TOOL.select({"PYTHONPATH": path.format(tmp_path)})
    command = python_command("in_work")
    completed = subprocess.run(command, env=environment, cwd=tmp_path / "work", capture_output=True, check=False)
    assert b"No module named in_work" in completed.stderr
