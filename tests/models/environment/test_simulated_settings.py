"""A simulated process is separated from everything that the machine is configured for."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.environment.simulated_settings import removed_variables, simulated_settings
from models.settings import Settings

FOLDER = Path("/data/simulated")
REAL = {
    "ARGIL_API_KEY": "real-key",
    "ARGIL_API_URL": "https://api.argil.ai/v1",
    "AVATARS_CREDENTIALS_BLOCK": "secret/real",
    "AVATARS_DATABASE_URL": "postgresql+asyncpg://real@db/real",
    "AVATARS_MEDIA_ALLOWED_HOSTS": "10.0.0.1",
    "AVATARS_MEDIA_CHECK": "off",
    "AVATARS_SIGNATURE_PARAMETERS": "sig,token",
    "AVATARS_HASH_CONSENT_VIDEO": "false",
    "AVATARS_TRAINING_TIMEOUT_SECONDS": "7",
    "AVATARS_REQUESTS_PER_SECOND": "3",
    "AVATARS_RETRAIN_LIMIT": "4",
    "AVATARS_WEBHOOK_PORT": "4321",
    "AVATARS_WEBHOOK_TOKEN": "real-token-0123456789",
}
BEHAVIOUR = {
    *("avatars_media_check", "avatars_signature_parameters", "avatars_hash_consent_video"),
    *("avatars_training_timeout_seconds", "avatars_requests_per_second", "avatars_retrain_limit"),
}


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Configure a real service by variables or by .env."""
    monkeypatch.chdir(tmp_path)
    if request.param == "variables":
        for name, value in REAL.items():
            monkeypatch.setenv(name, value)
    else:
        Path(".env").write_text("".join(f"{name}={value}\n" for name, value in REAL.items()))


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("configured", ["variables", ".env"], indirect=True)
@pytest.mark.parametrize("keeps_behaviour", [False, True])
def test_settings_outside_of_the_process_are_replaced(
    monkeypatch: pytest.MonkeyPatch, keeps_behaviour: bool
) -> None:
    for name, value in simulated_settings(FOLDER, keeps_behaviour=keeps_behaviour).items():
        monkeypatch.setenv(name, value)
    settings = Settings.load()
    kept = BEHAVIOUR if keeps_behaviour else set()
    replaced = {"avatars_database_url", "avatars_credentials_block", "avatars_webhook_port"}
    assert settings.avatars_database_url.get_secret_value() == "sqlite+aiosqlite:////data/simulated/avatars.db"
    assert (settings.avatars_credentials_block, settings.avatars_webhook_port) == ("", 0)
    for name, field in Settings.model_fields.items():
        if name not in replaced:
            assert (getattr(settings, name) == field.default) is (name not in kept), name


@pytest.mark.parametrize(
    "name",
    [
        *("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "PREFECT_PROFILE", "PREFECT_HOME"),
        *("PREFECT_PROFILES_PATH", "PREFECT_API_DATABASE_CONNECTION_URL", "PREFECT_SERVER_DATABASE_HOST"),
        *("PREFECT_REDIS_MESSAGING_URL", "PREFECT_UI_API_URL", "PREFECT_CLIENT_CUSTOM_HEADERS", "prefect_api_url"),
        *("PREFECT_DEFAULT_RESULT_STORAGE_BLOCK", "HTTPS_PROXY", "https_proxy", "all_proxy"),
        *("avatars_database_url", "Argil_Api_Key"),
    ],
)
def test_variable_of_a_real_service_is_removed(name: str) -> None:
    assert removed_variables({name: "x"}) == [name]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "PATH",
            "HOME",
            "PREFECT_SERVER_API_AUTH_STRING",
            "PREFECT_LOGGING_LEVEL",
            "PREFECT_SERVER_LOGGING_LEVEL",
        ),
        *("AVATARS_DATABASE_URL", "avatars_poll_min_seconds", "NO_PROXY"),
    ],
)
def test_other_variable_is_kept(name: str) -> None:
    assert removed_variables({name: "x"}) == []


def test_prefect_reads_no_configured_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from prefect.settings.models.root import Settings as PrefectSettings

    defaults = PrefectSettings().server
    monkeypatch.chdir(tmp_path)
    Path("prefect.toml").write_text(
        '[api]\nurl = "https://real.example/api"\nkey = "real"\nauth_string = "real:real"\n'
        '[server.docket]\nurl = "redis://real/0"\n[server.concurrency]\nlease_storage = "real"\n'
        '[server.events]\nmessaging_broker = "real"\nmessaging_cache = "real"\ncausal_ordering = "real"\n'
        '[server.database]\nconnection_url = "sqlite+aiosqlite:////real.db"\n'
    )
    for name, value in simulated_settings(tmp_path, keeps_behaviour=True).items():
        monkeypatch.setenv(name, value)
    prefect = PrefectSettings()
    assert not prefect.api.url
    assert not prefect.api.key
    assert not prefect.api.auth_string
    assert prefect.server.database.connection_url is not None
    assert (
        prefect.server.database.connection_url.get_secret_value()
        == f"sqlite+aiosqlite:///{tmp_path}/prefect/prefect.db"
    )
    assert (prefect.home, prefect.profiles_path) == (tmp_path / "prefect", tmp_path / "prefect/profiles.toml")
    assert prefect.server.docket == defaults.docket
    assert prefect.server.concurrency.lease_storage == defaults.concurrency.lease_storage
    for name in ("messaging_broker", "messaging_cache", "causal_ordering"):
        assert getattr(prefect.server.events, name) == getattr(defaults.events, name)


@pytest.mark.parametrize("source", ["prefect.toml", "pyproject.toml", ".env"])
def test_prefect_writes_no_configured_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str) -> None:
    from prefect.settings.models.root import Settings as PrefectSettings

    monkeypatch.chdir(tmp_path)
    table = "tool.prefect." if source == "pyproject.toml" else ""
    Path(source).write_text(
        "PREFECT_SERVER_MEMO_STORE_PATH=/real/memo\nPREFECT_SERVER_UI_STATIC_DIRECTORY=/real/ui\n"
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH=/real/results\nPREFECT_RESULTS_PERSIST_BY_DEFAULT=true\n"
        if source == ".env"
        else f'[{table}server]\nmemo_store_path = "/real/memo"\n[{table}server.ui]\nstatic_directory = "/real/ui"\n'
        f'[{table}results]\nlocal_storage_path = "/real/results"\npersist_by_default = true\n'
    )
    assert PrefectSettings().results.local_storage_path == Path("/real/results")
    for name, value in simulated_settings(tmp_path, keeps_behaviour=True).items():
        monkeypatch.setenv(name, value)
    prefect = PrefectSettings()
    assert prefect.server.memo_store_path == tmp_path / "prefect/memo_store.toml"
    assert not prefect.server.ui.static_directory
    assert prefect.results.local_storage_path == tmp_path / "prefect/storage"
    assert not prefect.results.persist_by_default


@pytest.mark.parametrize("name", ["PREFECT_UI_API_URL", "PREFECT_SERVER_UI_API_URL"])
@pytest.mark.parametrize("source", ["prefect.toml", "pyproject.toml", ".env"])
def test_prefect_calls_no_configured_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, name: str
) -> None:
    from prefect.settings.models.root import Settings as PrefectSettings

    defaults = PrefectSettings().server.worker_channel
    monkeypatch.chdir(tmp_path)
    table = "tool.prefect." if source == "pyproject.toml" else ""
    url = "https://real.example/api"
    Path(source).write_text(
        f"{name}={url}\nPREFECT_SERVER_WORKER_CHANNEL_CLEANUP_QUEUE_STORAGE=real\n"
        if source == ".env"
        else f'[{table}server.ui]\napi_url = "{url}"\n'
        f'[{table}server.worker_channel]\ncleanup_queue_storage = "real"\n'
    )
    assert PrefectSettings().server.ui.api_url == url
    for variable, value in simulated_settings(tmp_path, keeps_behaviour=True).items():
        monkeypatch.setenv(variable, value)
    prefect = PrefectSettings()
    assert not prefect.server.ui.api_url
    assert prefect.server.worker_channel == defaults
