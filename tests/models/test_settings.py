"""Settings: defaults, validation with all problems at once, and secrecy."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from models.errors import SettingsError
from models.recordings.canonical_form import canonical_form
from models.settings import Settings, is_loopback
from models.text import redaction
from models.text.redaction import redact

KEY = "canary-key"
# From section 8 of the design.
DEFAULTS: dict[str, Any] = {
    "ARGIL_API_KEY": None,
    "ARGIL_API_URL": "https://api.argil.ai/v1",
    "AVATARS_MEDIA_CHECK": "strict",
    "AVATARS_MEDIA_ALLOWED_HOSTS": frozenset(),
    "AVATARS_UPLOAD_URL": None,
    "AVATARS_UPLOAD_DELETE": False,
    "AVATARS_POLL_MIN_SECONDS": 5,
    "AVATARS_POLL_MAX_SECONDS": 60,
    "AVATARS_TRAINING_TIMEOUT_SECONDS": 21600,
    "AVATARS_WATCH_BEFORE_SUSPEND_SECONDS": 60,
    "AVATARS_LOOKUP_GRACE_SECONDS": 30,
    "AVATARS_GONE_AFTER_SECONDS": 900,
    "AVATARS_RETRAIN_LIMIT": 0,
    "AVATARS_SUBMISSION_LIMIT": 5,
    "AVATARS_MAX_CREATES_PER_DAY": None,
    "AVATARS_MAX_CREATES_PER_BATCH": None,
    "AVATARS_CONFIRM_CREATES": 100,
    "AVATARS_REQUESTS_PER_SECOND": 5,
    "AVATARS_RECONCILE_INTERVAL_SECONDS": 60,
    "AVATARS_PENDING_INTERVAL_SECONDS": 60,
    "AVATARS_REPORT_INTERVAL_SECONDS": 3600,
    "AVATARS_WEBHOOK_TOKEN": None,
}
SECONDS = [name for name in DEFAULTS if name.endswith("_SECONDS")]
MAY_BE_ZERO = {
    "AVATARS_WATCH_BEFORE_SUSPEND_SECONDS",
    "AVATARS_LOOKUP_GRACE_SECONDS",
    "AVATARS_GONE_AFTER_SECONDS",
}


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run each test in an empty folder, so that only its own .env is read."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings_error(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    return str(caught.value)


@pytest.mark.parametrize(("name", "default"), DEFAULTS.items())
def test_setting_default_matches_the_design(name: str, default: object) -> None:
    assert getattr(Settings.load(), name.lower()) == default


def test_default_database_is_a_file_in_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    url = Settings.load().avatars_database_url.get_secret_value()
    assert url == f"sqlite+aiosqlite:///{tmp_path}/.avatars/avatars.db"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
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
        ("AVATARS_POLL_MIN_SECONDS", "0.05", 0.05),
        ("AVATARS_POLL_MAX_SECONDS", "5", 5),
        ("AVATARS_TRAINING_TIMEOUT_SECONDS", "1.5", 1.5),
        ("AVATARS_LOOKUP_GRACE_SECONDS", "0", 0),
        ("AVATARS_WATCH_BEFORE_SUSPEND_SECONDS", "0", 0),
        ("AVATARS_RECONCILE_INTERVAL_SECONDS", "1", 1),
        ("AVATARS_RETRAIN_LIMIT", "2", 2),
        ("AVATARS_MAX_CREATES_PER_DAY", "0", 0),
        ("AVATARS_MAX_CREATES_PER_DAY", "", None),
        ("AVATARS_MAX_CREATES_PER_BATCH", "412", 412),
        ("AVATARS_CONFIRM_CREATES", "0", 0),
        ("AVATARS_REQUESTS_PER_SECOND", "0.5", 0.5),
        ("AVATARS_WEBHOOK_TOKEN", "a_Z-0123456789ab", SecretStr("a_Z-0123456789ab")),
        ("AVATARS_WEBHOOK_TOKEN", "", None),
    ],
)
def test_valid_value_is_parsed(monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: object) -> None:
    monkeypatch.setenv(name, value)
    assert getattr(Settings.load(), name.lower()) == expected


BAD: list[tuple[str, str]] = [
    *((name, value) for name in SECONDS for value in ("-1", "nan", "inf", "1e12", "five", "", "5s")),
    *((name, "0") for name in SECONDS if name not in MAY_BE_ZERO),
    *(("AVATARS_RETRAIN_LIMIT", value) for value in ("-1", "1.5", "many", "")),
    *(("AVATARS_MAX_CREATES_PER_DAY", value) for value in ("-1", "1.5", "many")),
    *(("AVATARS_CONFIRM_CREATES", value) for value in ("-1", "many", "")),
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
def test_invalid_value_is_an_error_naming_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    message = settings_error(monkeypatch, **{name: value})
    assert message.startswith(f"{name}: ")
    assert "; " not in message


def test_all_invalid_values_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    message = settings_error(
        monkeypatch, ARGIL_API_URL="ftp://x", AVATARS_RETRAIN_LIMIT="-1", AVATARS_MEDIA_CHECK="no"
    )
    assert all(name in message for name in ("ARGIL_API_URL", "AVATARS_RETRAIN_LIMIT", "AVATARS_MEDIA_CHECK"))


def test_poll_max_below_poll_min_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    message = settings_error(monkeypatch, AVATARS_POLL_MIN_SECONDS="3", AVATARS_POLL_MAX_SECONDS="2")
    assert "AVATARS_POLL_MAX_SECONDS" in message
    assert "AVATARS_POLL_MIN_SECONDS" in message


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
        ("0.0.0.0", False),  # noqa: S104  # the address is rejected
        ("::", False),
        ("", False),
        (None, False),
    ],
)
def test_only_loopback_hosts_are_loopback(host: str | None, *, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_missing_api_key_is_an_error_naming_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="ARGIL_API_KEY is not set") as caught:
        Settings.load().require_api_key()
    assert "export ARGIL_API_KEY" in caught.value.hint
    monkeypatch.setenv("ARGIL_API_KEY", KEY)
    assert Settings.load().require_api_key() == KEY


def test_settings_repr_and_dump_hide_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGIL_API_KEY", KEY)
    monkeypatch.setenv("AVATARS_DATABASE_URL", "postgresql+asyncpg://u:canary-password@h/db")
    monkeypatch.setenv("AVATARS_WEBHOOK_TOKEN", "canary-webhook-token")
    settings = Settings.load()
    for text in (repr(settings), str(settings), settings.model_dump_json(), f"{settings.model_dump()}"):
        assert "canary" not in text


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
def test_settings_error_hides_secrets(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    context = caught.value.__context__
    text = "".join(traceback.format_exception(caught.value)) + f"{caught.value!r} {context} {context!r}"
    assert "canary" not in text


def test_valid_key_is_hidden_in_another_settings_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGIL_API_KEY", KEY)
    assert "canary" not in settings_error(monkeypatch, AVATARS_RETRAIN_LIMIT="x")


def test_environment_overrides_the_env_file(monkeypatch: pytest.MonkeyPatch, empty_folder: Path) -> None:
    env = (
        f"ARGIL_API_KEY={KEY}\nAVATARS_RETRAIN_LIMIT=1\nAVATARS_MEDIA_ALLOWED_HOSTS=a.example,b.example\nOTHER=1\n"
    )
    (empty_folder / ".env").write_text(env)
    monkeypatch.setenv("AVATARS_RETRAIN_LIMIT", "2")
    settings = Settings.load()
    assert settings.require_api_key() == KEY
    assert settings.avatars_retrain_limit == 2
    assert settings.avatars_media_allowed_hosts == {"a.example", "b.example"}


def test_allowed_hosts_are_a_comma_separated_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVATARS_ALLOWED_HOSTS", "Avatars.example, 192.168.1.5:8443 ,[2001:db8::1],")
    allowed = Settings.load().avatars_allowed_hosts
    assert allowed == {"avatars.example", "192.168.1.5:8443", "[2001:db8::1]"}


@pytest.mark.parametrize(
    "value", ["*", "https://a.example", "a.example/", "*.example", "a.example:0", "u@a", "é.fr"]
)
def test_allowed_hosts_must_be_hosts(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("AVATARS_ALLOWED_HOSTS", f"good.example,{value}")
    with pytest.raises(SettingsError, match=r"AVATARS_ALLOWED_HOSTS.*must be a host or host:port") as error:
        Settings.load()
    assert repr(value) in error.value.message


def test_signature_parameters_apply_to_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "https://h.example/a?Ticket=2&id=1&until=3"
    monkeypatch.setenv("AVATARS_SIGNATURE_PARAMETERS", "ticket, Until,")
    assert Settings.load().avatars_signature_parameters == {"ticket", "until"}
    assert canonical_form(url) == "https://h.example/a?id=1"
    monkeypatch.delenv("AVATARS_SIGNATURE_PARAMETERS")
    Settings.load()
    assert canonical_form(url) == url


@pytest.mark.parametrize("value", ["ticket=1", "?ticket", "a b", "a&b"])
def test_signature_parameters_must_be_names(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("AVATARS_SIGNATURE_PARAMETERS", value)
    with pytest.raises(SettingsError, match=r"AVATARS_SIGNATURE_PARAMETERS: .*names of query parameters"):
        Settings.load()


def test_invalid_value_in_env_file_names_its_variable(empty_folder: Path) -> None:
    (empty_folder / ".env").write_text("AVATARS_MEDIA_CHECK=perhaps\n")
    with pytest.raises(SettingsError, match="AVATARS_MEDIA_CHECK"):
        Settings.load()


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings.load().avatars_retrain_limit = 3  # type: ignore[misc]  # the frozen field is the point of this test


RENAMED_SETTINGS = [
    ("AVATARS_HOLD_SECONDS", "AVATARS_WATCH_BEFORE_SUSPEND_SECONDS"),
    ("AVATARS_POLL_FLOOR_SECONDS", "AVATARS_POLL_MIN_SECONDS"),
    ("AVATARS_POLL_CEILING_SECONDS", "AVATARS_POLL_MAX_SECONDS"),
    ("AVATARS_MEDIA_URL_MARGIN_SECONDS", "AVATARS_MEDIA_URL_MIN_VALIDITY_SECONDS"),
    ("AVATARS_PENDING_SECONDS", "AVATARS_PENDING_INTERVAL_SECONDS"),
    ("AVATARS_RECONCILE_SECONDS", "AVATARS_RECONCILE_INTERVAL_SECONDS"),
    ("AVATARS_REPORT_SECONDS", "AVATARS_REPORT_INTERVAL_SECONDS"),
    ("AVATARS_CONSENT_SHA256", "AVATARS_HASH_CONSENT_VIDEO"),
]


@pytest.mark.parametrize(("old", "new"), RENAMED_SETTINGS)
@pytest.mark.parametrize("value", ["5", ""])
def test_former_name_in_the_environment_is_an_error(
    monkeypatch: pytest.MonkeyPatch, old: str, new: str, value: str
) -> None:
    assert settings_error(monkeypatch, **{old: value}) == f"{old}: was renamed to {new}"


@pytest.mark.parametrize(("old", "new"), RENAMED_SETTINGS)
def test_former_name_in_the_env_file_is_an_error(empty_folder: Path, old: str, new: str) -> None:
    assert new.lower() in Settings.model_fields
    (empty_folder / ".env").write_text(f"{old}=5\n")
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert str(caught.value) == f"{old}: was renamed to {new}"
    assert "in .env" in caught.value.hint


def test_former_names_and_invalid_values_are_reported_at_once(
    monkeypatch: pytest.MonkeyPatch, empty_folder: Path
) -> None:
    (empty_folder / ".env").write_text("".join(f"{old}=5\n" for old, _ in RENAMED_SETTINGS[4:]))
    former_names = {old: "canary" for old, _ in RENAMED_SETTINGS[:5]}
    message = settings_error(monkeypatch, AVATARS_RETRAIN_LIMIT="-1", **former_names)
    problems = message.split("; ")
    assert sorted(problems[:-1]) == sorted(f"{old}: was renamed to {new}" for old, new in RENAMED_SETTINGS)
    assert problems[-1].startswith("AVATARS_RETRAIN_LIMIT: ")
    assert "canary" not in message


def test_former_name_and_poll_bounds_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    message = settings_error(
        monkeypatch,
        AVATARS_HOLD_SECONDS="5",
        AVATARS_POLL_MIN_SECONDS="3",
        AVATARS_POLL_MAX_SECONDS="2",
    )
    assert message == (
        "AVATARS_HOLD_SECONDS: was renamed to AVATARS_WATCH_BEFORE_SUSPEND_SECONDS; "
        "AVATARS_POLL_MAX_SECONDS: must not be less than AVATARS_POLL_MIN_SECONDS"
    )


def test_password_of_libpq_is_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_registered_secrets", [])
    monkeypatch.setenv("PGPASSWORD", "canary:k3y")
    Settings.load()
    assert redact("no canary:k3y here") == "no … here"


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("AVATARS_UPLOAD_URL", f"s3://uploads/{'k' * 960}/", "at most 1,024 bytes"),
        ("AVATARS_UPLOAD_URL", "https://uploads/people/", "must begin with s3://, gs:// or az://"),
        ("AVATARS_UPLOAD_URL", "s3://uploads/a/../b/", "the segment . or .."),
        ("AVATARS_UPLOAD_URL", "/people/uploads", "must begin with s3://"),
        ("AVATARS_S3_ENDPOINT", "https://store\u200b.example", "invisible characters"),
        ("AVATARS_S3_ENDPOINT", "https://store.example/recordings", "https://HOST"),
    ],
)
def test_store_setting_that_cannot_work_is_an_error(
    name: str, value: str, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=rule) as caught:
        Settings.load()
    assert name in caught.value.message
