"""Settings from the environment or a .env file, checked all at once."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from models.errors import SettingsError
from models.media import Demands, Level
from models.redaction import withhold

HOME = Path("~/.avatars")
"""Where the embedded databases live."""


def is_loopback(host: str | None) -> bool:
    """Whether the host is this machine by name or by literal address."""
    if host is None:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _api_url(url: str) -> str:
    parts = urlsplit(url)
    if any(character.isspace() or not character.isprintable() for character in url):
        raise ValueError("must not hold white space or control characters")
    _ = parts.port  # raises ValueError where it is no port
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an https URL, as https://api.argil.ai/v1")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("must be https: plain http would show the API key to the network")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must hold no user name, password, query or fragment")
    return url.rstrip("/")


def valid_key(key: SecretStr | None) -> SecretStr | None:
    """Return an API key as it may be sent in a header, None for an empty one; raises ValueError."""
    text = key.get_secret_value() if key else ""
    if text.strip() != text or not text.isprintable() or not text.isascii():
        raise ValueError("must be printable ASCII without white space around it")
    return key if text else None


def _webhook_token(token: SecretStr | None) -> SecretStr | None:
    text = token.get_secret_value() if token else ""
    if text and not re.fullmatch(r"[A-Za-z0-9_-]{16,256}", text):
        raise ValueError("must be 16 to 256 letters, digits, - or _")
    return token if text else None


def _block(place: str) -> str:
    if place and not re.fullmatch(r"[a-z0-9-]+/[^/\s]+", place):
        raise ValueError("must be TYPE-SLUG/NAME, as argil-credentials/argil or secret/argil-api-key")
    return place


def _database_url(url: str) -> str:
    scheme = url.partition("://")[0]
    if scheme not in {"sqlite+aiosqlite", "postgresql+asyncpg"}:
        raise ValueError("must begin with sqlite+aiosqlite:/// or postgresql+asyncpg://")
    return url


def _default_database_url() -> str:
    return f"sqlite+aiosqlite:///{HOME.expanduser() / 'avatars.db'}"


LONGEST_SECONDS = 100 * 365 * 86400
"""A hundred years: sums with dates stay dates."""

Seconds = Annotated[float, Field(gt=0, le=LONGEST_SECONDS, allow_inf_nan=False)]
ScheduleSeconds = Annotated[float, Field(ge=1, le=LONGEST_SECONDS, allow_inf_nan=False)]
GraceSeconds = Annotated[float, Field(ge=0, le=LONGEST_SECONDS, allow_inf_nan=False)]


class Settings(BaseSettings):
    """Every setting, under the lower-case form of its environment variable."""

    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True, validate_default=True
    )

    argil_api_key: Annotated[SecretStr | None, AfterValidator(valid_key)] = None
    argil_api_url: Annotated[str, AfterValidator(_api_url)] = "https://api.argil.ai/v1"
    avatars_credentials_block: Annotated[str, AfterValidator(_block)] = "argil-credentials/argil"
    avatars_database_url: Annotated[
        SecretStr, AfterValidator(lambda url: SecretStr(_database_url(url.get_secret_value())))
    ] = Field(default_factory=lambda: SecretStr(_default_database_url()))
    avatars_media_check: Level = "strict"
    avatars_media_allowed_hosts: Annotated[frozenset[str], NoDecode] = frozenset()
    avatars_media_dataset_audio: Level = "warn"
    avatars_media_consent_audio: Level = "strict"
    avatars_media_url_margin_seconds: GraceSeconds = 3600
    avatars_consent_sha256: bool = True
    avatars_poll_floor_seconds: Seconds = 5
    avatars_poll_ceiling_seconds: Seconds = 60
    avatars_training_timeout_seconds: Seconds = 21600
    avatars_hold_seconds: GraceSeconds = 60
    avatars_lookup_grace_seconds: GraceSeconds = 30
    avatars_retrain_limit: Annotated[int, Field(ge=0)] = 0
    avatars_reconcile_seconds: ScheduleSeconds = 60
    avatars_pending_seconds: ScheduleSeconds = 60
    avatars_report_seconds: ScheduleSeconds = 86400
    avatars_webhook_port: Annotated[int, Field(ge=0, le=65535)] = 4201
    avatars_requests_per_second: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5
    avatars_webhook_token: Annotated[SecretStr | None, AfterValidator(_webhook_token)] = None

    @field_validator("avatars_media_allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """Read a comma-separated list."""
        if isinstance(value, str):
            return frozenset(host.strip().lower() for host in value.split(",") if host.strip())
        return value

    @classmethod
    def load(cls) -> Settings:
        """Read the environment and .env; from then on no output of this process holds the secrets among them.

        Raises SettingsError that lists every setting that breaks a rule.
        """
        try:
            settings = cls()
        except ValidationError as error:
            problems = [
                f"{'.'.join(str(part) for part in problem['loc']).upper()}: {problem['msg']}"
                for problem in error.errors(include_input=False, include_url=False)
            ]
            raise SettingsError("; ".join(problems), hint="see the settings table in README.md") from None
        if settings.avatars_poll_ceiling_seconds < settings.avatars_poll_floor_seconds:
            raise SettingsError(
                "AVATARS_POLL_CEILING_SECONDS is below AVATARS_POLL_FLOOR_SECONDS",
                hint="raise the ceiling or lower the floor",
            )
        for secret in (settings.argil_api_key, settings.avatars_webhook_token):
            if secret is not None:
                withhold(secret.get_secret_value())
        return settings

    @property
    def media_demands(self) -> Demands:
        """What the operator decides about recordings."""
        return Demands(
            dataset_audio=self.avatars_media_dataset_audio,
            consent_audio=self.avatars_media_consent_audio,
            url_margin_seconds=self.avatars_media_url_margin_seconds,
        )

    def require_api_key(self) -> str:
        """Return the API key of the environment; raises SettingsError, with both ways out, where none is set."""
        if self.argil_api_key is None:
            block = self.avatars_credentials_block
            raise SettingsError(
                "ARGIL_API_KEY is not set" + (f", and no Prefect block {block!r} was found" if block else ""),
                hint="export ARGIL_API_KEY=... or write it into .env; or store it in Prefect with `avatars "
                "credentials`, at the PREFECT_API_URL that runs report to; `avatars demo` needs none",
            )
        return self.argil_api_key.get_secret_value()

    def require_webhook_token(self) -> str:
        """Return the secret part of the receiver's path; raises SettingsError where none is set."""
        if self.avatars_webhook_token is None:
            raise SettingsError(
                "AVATARS_WEBHOOK_TOKEN is not set",
                hint="make one with `python3 -c 'import secrets; print(secrets.token_urlsafe(32))'`",
            )
        return self.avatars_webhook_token.get_secret_value()
