"""Settings: their defaults, what they refuse and how that is told, and that they keep their secrets."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from models.errors import SettingsError
from models.settings import Settings, is_loopback

KEY = "canary-key"
# Section 6 of the design.
DEFAULTS: dict[str, Any] = {
    "ARGIL_API_KEY": None,
    "ARGIL_API_URL": "https://api.argil.ai/v1",
    "AVATARS_MEDIA_CHECK": "strict",
    "AVATARS_MEDIA_ALLOWED_HOSTS": frozenset(),
    "AVATARS_POLL_FLOOR_SECONDS": 5,
    "AVATARS_POLL_CEILING_SECONDS": 60,
    "AVATARS_TRAINING_TIMEOUT_SECONDS": 21600,
    "AVATARS_HOLD_SECONDS": 60,
    "AVATARS_LOOKUP_GRACE_SECONDS": 30,
    "AVATARS_RETRAIN_LIMIT": 0,
    "AVATARS_REQUESTS_PER_SECOND": 5,
    "AVATARS_RECONCILE_SECONDS": 60,
    "AVATARS_PENDING_SECONDS": 60,
    "AVATARS_REPORT_SECONDS": 86400,
    "AVATARS_WEBHOOK_TOKEN": None,
}
SECONDS = [name for name in DEFAULTS if name.endswith("_SECONDS")]
MAY_BE_ZERO = {"AVATARS_HOLD_SECONDS", "AVATARS_LOOKUP_GRACE_SECONDS"}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No .env but the test's own is read."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problem(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    return str(caught.value)


@pytest.mark.parametrize(("name", "default"), DEFAULTS.items())
def test_the_default_is_the_designs(name: str, default: object) -> None:
    assert getattr(Settings.load(), name.lower()) == default


def test_the_ledger_is_by_default_a_file_in_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    url = Settings.load().avatars_database_url.get_secret_value()
    assert url == f"sqlite+aiosqlite:///{tmp_path}/.avatars/avatars.db"


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("ARGIL_API_KEY", "key-1", SecretStr("key-1")),
        ("ARGIL_API_KEY", "", None),
        ("ARGIL_API_URL", "https://argil.example/v2/", "https://argil.example/v2"),
        ("ARGIL_API_URL", "http://127.0.0.1:8080/v1", "http://127.0.0.1:8080/v1"),
        ("ARGIL_API_URL", "http://localhost:8080", "http://localhost:8080"),
        ("ARGIL_API_URL", "http://[::1]:8080", "http://[::1]:8080"),
        ("AVATARS_DATABASE_URL", "postgresql+asyncpg://u:p@h/db", SecretStr("postgresql+asyncpg://u:p@h/db")),
        ("AVATARS_MEDIA_CHECK", "warn", "warn"),
        ("AVATARS_MEDIA_ALLOWED_HOSTS", "a.example", frozenset({"a.example"})),
        ("AVATARS_MEDIA_ALLOWED_HOSTS", " A.example, 127.0.0.1 ,,", frozenset({"a.example", "127.0.0.1"})),
        ("AVATARS_MEDIA_ALLOWED_HOSTS", "", frozenset()),
        ("AVATARS_POLL_FLOOR_SECONDS", "0.05", 0.05),
        ("AVATARS_POLL_CEILING_SECONDS", "5", 5),
        ("AVATARS_TRAINING_TIMEOUT_SECONDS", "1.5", 1.5),
        ("AVATARS_LOOKUP_GRACE_SECONDS", "0", 0),
        ("AVATARS_HOLD_SECONDS", "0", 0),
        ("AVATARS_RECONCILE_SECONDS", "1", 1),
        ("AVATARS_RETRAIN_LIMIT", "2", 2),
        ("AVATARS_REQUESTS_PER_SECOND", "0.5", 0.5),
        ("AVATARS_WEBHOOK_TOKEN", "a_Z-0123456789ab", SecretStr("a_Z-0123456789ab")),
        ("AVATARS_WEBHOOK_TOKEN", "", None),
    ],
)
def test_a_good_value_is_read(monkeypatch: pytest.MonkeyPatch, name: str, value: str, read: object) -> None:
    monkeypatch.setenv(name, value)
    assert getattr(Settings.load(), name.lower()) == read


BAD: list[tuple[str, str]] = [
    *((name, value) for name in SECONDS for value in ("-1", "nan", "inf", "1e12", "five", "", "5s")),
    *((name, "0") for name in SECONDS if name not in MAY_BE_ZERO),
    *(("AVATARS_RETRAIN_LIMIT", value) for value in ("-1", "1.5", "many", "")),
    *(("AVATARS_REQUESTS_PER_SECOND", value) for value in ("0", "-1", "nan", "inf", "fast")),
    *(("AVATARS_MEDIA_CHECK", value) for value in ("Strict", "on", "")),
    *(("AVATARS_DATABASE_URL", value) for value in ("", "ledger.db", "sqlite:///a.db", "postgresql://h/db")),
    *(("AVATARS_WEBHOOK_TOKEN", value) for value in ("short", "a" * 257, "a/../b/0123456789", "0123456789abcdeé")),
    *(("ARGIL_API_KEY", value) for value in (" key", "key\n", "k\x07ey", "schlüssel")),
    *(
        ("ARGIL_API_URL", value)
        for value in (
            "",
            "api.argil.ai",
            "ftp://api.argil.ai",
            "https://",
            "https://[::1",
            "https://api.argil.ai:99999",
            "https://api.argil.ai:port",
            "https://api.argil.ai?key=1",
            "https://api.argil.ai#v1",
            "https://ada@api.argil.ai",
            "https://ada:secret@api.argil.ai",
            " https://api.argil.ai",
            "https://api argil.ai",
            "https://api.argil.ai\n",
            "http://api.argil.ai/v1",
            "http://localhost.evil.example",
            "http://127.evil.example",
            "http://10.0.0.1",
            "http://0.0.0.0",
        )
    ),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_an_error_that_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    told = problem(monkeypatch, **{name: value})
    assert told.startswith(f"{name}: ")
    assert "; " not in told


def test_every_bad_value_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told = problem(monkeypatch, ARGIL_API_URL="ftp://x", AVATARS_RETRAIN_LIMIT="-1", AVATARS_MEDIA_CHECK="no")
    assert all(name in told for name in ("ARGIL_API_URL", "AVATARS_RETRAIN_LIMIT", "AVATARS_MEDIA_CHECK"))


def test_a_ceiling_below_the_floor_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    told = problem(monkeypatch, AVATARS_POLL_FLOOR_SECONDS="3", AVATARS_POLL_CEILING_SECONDS="2")
    assert "AVATARS_POLL_CEILING_SECONDS" in told
    assert "AVATARS_POLL_FLOOR_SECONDS" in told


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("localhost.evil.example", False),
        ("evil.example", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104  # the address that is refused
        ("::", False),
        ("", False),
        (None, False),
    ],
)
def test_only_this_machine_is_loopback(host: str | None, *, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_what_is_required_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="ARGIL_API_KEY is not set") as caught:
        Settings.load().require_api_key()
    assert "export ARGIL_API_KEY" in caught.value.hint
    monkeypatch.setenv("ARGIL_API_KEY", KEY)
    assert Settings.load().require_api_key() == KEY


def test_no_secret_shows_in_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGIL_API_KEY", KEY)
    monkeypatch.setenv("AVATARS_DATABASE_URL", "postgresql+asyncpg://u:canary-password@h/db")
    monkeypatch.setenv("AVATARS_WEBHOOK_TOKEN", "canary-webhook-token")
    settings = Settings.load()
    for shown in (repr(settings), str(settings), settings.model_dump_json(), f"{settings.model_dump()}"):
        assert "canary" not in shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ARGIL_API_KEY", f"{KEY}\n"),
        ("ARGIL_API_KEY", f" {KEY}"),
        ("AVATARS_DATABASE_URL", "postgresql://u:canary-password@h/db"),
        ("AVATARS_WEBHOOK_TOKEN", "canary/webhook/token"),
        ("ARGIL_API_URL", "https://u:canary-password@h/v1"),
        ("ARGIL_API_URL", "https://h/v1?key=canary"),
        ("ARGIL_API_URL", "http://h/v1?key=canary"),
    ],
)
def test_no_secret_shows_in_an_error(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    context = caught.value.__context__
    shown = "".join(traceback.format_exception(caught.value)) + f"{caught.value!r} {context} {context!r}"
    assert "canary" not in shown


def test_a_good_key_does_not_show_in_the_error_of_another_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGIL_API_KEY", KEY)
    assert "canary" not in problem(monkeypatch, AVATARS_RETRAIN_LIMIT="x")


def test_a_file_is_read_and_the_environment_overrules_it(
    monkeypatch: pytest.MonkeyPatch, in_an_empty_folder: Path
) -> None:
    env = (
        f"ARGIL_API_KEY={KEY}\nAVATARS_RETRAIN_LIMIT=1\nAVATARS_MEDIA_ALLOWED_HOSTS=a.example,b.example\nOTHER=1\n"
    )
    (in_an_empty_folder / ".env").write_text(env)
    monkeypatch.setenv("AVATARS_RETRAIN_LIMIT", "2")
    settings = Settings.load()
    assert settings.require_api_key() == KEY
    assert settings.avatars_retrain_limit == 2
    assert settings.avatars_media_allowed_hosts == {"a.example", "b.example"}


def test_a_bad_value_in_the_file_is_an_error_that_names_its_variable(in_an_empty_folder: Path) -> None:
    (in_an_empty_folder / ".env").write_text("AVATARS_MEDIA_CHECK=perhaps\n")
    with pytest.raises(SettingsError, match="AVATARS_MEDIA_CHECK"):
        Settings.load()


def test_settings_do_not_change_once_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings.load().avatars_retrain_limit = 3  # type: ignore[misc]  # what is tested
