"""Settings from the environment or a .env file; all problems are reported at once."""

from __future__ import annotations

import functools
import ipaddress
import logging
import os
import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)

from models.environment.authority import parse_authority
from models.environment.env_file import ENVIRONMENT, SettingSources, read_environment, read_setting_sources
from models.environment.reference_host import reference_host
from models.errors import SettingsError
from models.image_request import ImageConsent
from models.media.rules import Enforcement, MediaPolicy
from models.recordings.addresses import ObjectAddress, SourcePrefix, parse_sources
from models.recordings.canonical_form import configure_signature_parameters
from models.recordings.endpoint_uris import configure_s3_endpoint
from models.recordings.object_store_uris import configure_azure_account
from models.recordings.recording_secrets import register_credentials, register_password
from models.recordings.signature_terms import MAX_LIFETIME_SECONDS
from models.recordings.store_credentials import AZURE_ACCOUNT_VARIABLE, register_store_credentials
from models.recordings.uploads import LONGEST_OBJECT_NAME
from models.request import RequestKind
from models.spend_limits import SpendLimits
from models.text.redaction import register_secret

HOME = Path("~/.avatars")
"""The default folder of the embedded databases."""
LEDGER_NAME = "avatars.db"
"""The default name of a SQLite ledger."""

logger = logging.getLogger(__name__)


def is_loopback(host: str | None) -> bool:
    """Whether the host is `localhost` or a literal loopback address."""
    if host is None:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _validate_api_url(url: str) -> str:
    parts = urlsplit(url)
    if any(character.isspace() or not character.isprintable() for character in url):
        raise ValueError("must not contain white space or control characters")
    _ = parts.port  # raises ValueError for an invalid port
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an https URL, for example https://api.argil.ai/v1")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("must be https: plain http would expose the API key to the network")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must not contain a user name, password, query or fragment")
    return url.rstrip("/")


def validate_api_key(key: SecretStr | None) -> SecretStr | None:
    """Return the API key, None if it is empty.

    Raises:
        ValueError: The key cannot be sent in an HTTP header.
    """
    text = key.get_secret_value() if key else ""
    if text.strip() != text or not text.isprintable() or not text.isascii():
        raise ValueError("must be printable ASCII without white space around it")
    return key if text else None


def _validate_webhook_token(token: SecretStr | None) -> SecretStr | None:
    text = token.get_secret_value() if token else ""
    if text and not re.fullmatch(r"[A-Za-z0-9_-]{16,256}", text):
        raise ValueError("must be 16 to 256 letters, digits, - or _")
    return token if text else None


def _validate_webhook_url(url: str | None) -> str | None:
    if url and not re.fullmatch(
        r"https://[A-Za-z0-9.\-]+(?::\d{1,5})?(?:/[A-Za-z0-9._~/\-]*)?", url[:MAX_WEBHOOK_URL]
    ):
        raise ValueError("must be a URL like https://avatars.example.com, without a query")
    return url.rstrip("/") if url else None


def _validate_block_reference(reference: str) -> str:
    if reference and not re.fullmatch(r"[a-z0-9-]+/[^/\s]+", reference):
        raise ValueError("must be TYPE-SLUG/NAME, for example argil-credentials/argil or secret/argil-api-key")
    return reference


def _validate_database_url(url: str) -> str:
    scheme = url.partition("://")[0]
    if scheme not in {"sqlite+aiosqlite", "postgresql+asyncpg"}:
        raise ValueError(
            "must begin with sqlite+aiosqlite:/// or postgresql+asyncpg://, which replaces postgres:// and postgresql://"
        )
    return url


def sqlite_url(file: Path) -> str:
    """Return the database URL of a SQLite file; a `?` or `%` of its path would begin a query or an escape.

    Raises:
        UnicodeEncodeError: The path is not UTF-8.
    """
    return f"sqlite+aiosqlite:///{quote(str(file), safe=' +/')}"  # as SQLAlchemy's URL.render_as_string


def _default_database_url() -> str:
    return sqlite_url(HOME.expanduser() / LEDGER_NAME)


def _validate_parameter_names(names: frozenset[str]) -> frozenset[str]:
    if any(re.search(r"[\s&=?#%]", name) for name in names):
        raise ValueError("must be comma-separated names of query parameters, for example `sig,expiry`")
    return names


def _validate_sources(sources: frozenset[str]) -> frozenset[str]:
    parse_sources(sources)
    return sources


def _validate_upload_url(url: str | None) -> str | None:
    if url is not None:
        try:
            ObjectAddress.parse(SourcePrefix.parse(url).address_of(LONGEST_OBJECT_NAME))
        except ValueError as error:
            raise ValueError(f"must be a folder of a bucket, such as s3://bucket/folder/: {error}") from None
    return url


def _validate_s3_endpoint(url: str | None) -> str | None:
    if url is None:
        return None
    parts = urlsplit(url)
    _ = parts.port  # raises ValueError for an invalid port
    if parts.scheme != "https" or not parts.hostname or parts.path.strip("/") or parts.username or parts.password:
        raise ValueError("must be https://HOST or https://HOST:PORT, the address of an S3-compatible store")
    if parts.query or parts.fragment or " " in url or not url.isprintable():
        raise ValueError("must not contain a query, a fragment, white space or invisible characters")
    return f"https://{parts.netloc}"


def _validate_manifest_dir(folder: Path | None) -> Path | None:
    if folder is not None and (not folder.is_absolute() or folder.resolve() == Path("/")):
        raise ValueError("must be an absolute path of a folder other than /")
    return folder


def _validate_hosts(hosts: frozenset[str]) -> frozenset[str]:
    for host in hosts:
        try:
            parse_authority(host)
        except ValueError as error:
            raise ValueError(f"{host!r} {error}, for example `avatars.example` or `avatars.example:8443`") from None
    return hosts


MAX_WEBHOOK_URL = 200
MAX_SECONDS = 100 * 365 * 86400
"""A hundred years, so that adding it to a date does not overflow."""

# An old name would otherwise be ignored silently. To be removed with version 1.0.
_RENAMED_SETTINGS = {
    "AVATARS_CONSENT_SHA256": "AVATARS_HASH_CONSENT_VIDEO",
    "AVATARS_HOLD_SECONDS": "AVATARS_WATCH_BEFORE_SUSPEND_SECONDS",
    "AVATARS_MEDIA_URL_MARGIN_SECONDS": "AVATARS_MEDIA_URL_MIN_VALIDITY_SECONDS",
    "AVATARS_PENDING_SECONDS": "AVATARS_PENDING_INTERVAL_SECONDS",
    "AVATARS_POLL_CEILING_SECONDS": "AVATARS_POLL_MAX_SECONDS",
    "AVATARS_POLL_FLOOR_SECONDS": "AVATARS_POLL_MIN_SECONDS",
    "AVATARS_RECONCILE_SECONDS": "AVATARS_RECONCILE_INTERVAL_SECONDS",
    "AVATARS_REPORT_SECONDS": "AVATARS_REPORT_INTERVAL_SECONDS",
}

_OWN_PREFIXES = ("argil", "avatar")
_SIMILARITY = 0.9
"""A name that is as similar as this to that of a setting (difflib) is a typo; others belong to other programs."""

Seconds = Annotated[float, Field(gt=0, le=MAX_SECONDS, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
OptionalCount = Annotated[Count | None, BeforeValidator(lambda value: None if value == "" else value)]
"""A number of avatars; empty means unlimited."""
ScheduleSeconds = Annotated[float, Field(ge=1, le=MAX_SECONDS, allow_inf_nan=False)]
RunRetentionSeconds = Annotated[float, Field(ge=3601, le=MAX_SECONDS, allow_inf_nan=False)]
"""Prefect keeps runs for more than an hour."""
GraceSeconds = Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)]


class Settings(BaseModel):
    """All settings; each field is the lower-case form of its environment variable.

    The constructor reads the environment, `load` also `.env`. This is not a BaseSettings of pydantic-settings: its
    import takes a tenth of the CPU time of `avatars list`, and its `env_file` would read any file or named pipe.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True, validate_default=True)

    argil_api_key: Annotated[SecretStr | None, AfterValidator(validate_api_key)] = None
    argil_api_url: Annotated[str, AfterValidator(_validate_api_url)] = "https://api.argil.ai/v1"
    avatars_credentials_block: Annotated[str, AfterValidator(_validate_block_reference)] = "argil-credentials/argil"
    avatars_database_url: Annotated[
        SecretStr, AfterValidator(lambda url: SecretStr(_validate_database_url(url.get_secret_value())))
    ] = Field(default_factory=lambda: SecretStr(_default_database_url()))
    avatars_manifest_dir: Annotated[
        Path | None, AfterValidator(_validate_manifest_dir), BeforeValidator(lambda value: value or None)
    ] = None
    avatars_media_check: Enforcement = "strict"
    avatars_media_allowed_hosts: frozenset[str] = frozenset()
    avatars_media_dataset_audio: Enforcement = "warn"
    avatars_media_consent_audio: Enforcement = "strict"
    avatars_media_url_min_validity_seconds: GraceSeconds = 3600
    avatars_hash_consent_video: bool = True
    avatars_image_consent: ImageConsent = "required"
    avatars_allowed_hosts: Annotated[frozenset[str], AfterValidator(_validate_hosts)] = frozenset()
    avatars_sources: Annotated[frozenset[str], AfterValidator(_validate_sources)] = frozenset()
    avatars_s3_endpoint: Annotated[
        str | None, AfterValidator(_validate_s3_endpoint), BeforeValidator(lambda value: value or None)
    ] = None
    avatars_upload_url: Annotated[
        str | None, AfterValidator(_validate_upload_url), BeforeValidator(lambda value: value or None)
    ] = None
    avatars_upload_delete: bool = False
    avatars_signed_url_seconds: Annotated[float, Field(ge=1, le=MAX_LIFETIME_SECONDS, allow_inf_nan=False)] = 86400
    avatars_signature_parameters: Annotated[frozenset[str], AfterValidator(_validate_parameter_names)] = frozenset()
    avatars_poll_min_seconds: Seconds = 5
    avatars_poll_min_image_seconds: Seconds = 2
    avatars_poll_max_seconds: Seconds = 60
    avatars_training_timeout_seconds: Seconds = 21600
    avatars_watch_before_suspend_seconds: GraceSeconds = 60
    avatars_lookup_grace_seconds: GraceSeconds = 30
    avatars_gone_after_seconds: GraceSeconds = 900
    avatars_retrain_limit: Annotated[int, Field(ge=0)] = 0
    avatars_submission_limit: Annotated[int, Field(ge=1)] = 5
    avatars_max_creates_per_day: OptionalCount = None
    avatars_max_creates_per_batch: OptionalCount = None
    avatars_confirm_creates: Count = 100
    avatars_ignore_unknown: bool = False
    avatars_reconcile_interval_seconds: ScheduleSeconds = 60
    avatars_pending_interval_seconds: ScheduleSeconds = 60
    avatars_report_interval_seconds: ScheduleSeconds = 3600
    avatars_run_retention_seconds: RunRetentionSeconds = 2592000
    avatars_event_retention_seconds: ScheduleSeconds = 604800
    avatars_webhook_port: Annotated[int, Field(ge=0, le=65535)] = 4201
    avatars_requests_per_second: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5
    avatars_webhook_token: Annotated[SecretStr | None, AfterValidator(_validate_webhook_token)] = None
    avatars_webhook_url: Annotated[str | None, AfterValidator(_validate_webhook_url)] = None

    def __init__(self, **values: Any) -> None:
        """Validate the settings; a value that is given replaces that of the environment."""
        environment = read_environment()
        set_values = {name: environment[name] for name in type(self).model_fields if name in environment}
        super().__init__(**{**set_values, **values})

    @field_validator(
        "avatars_allowed_hosts", "avatars_media_allowed_hosts", "avatars_signature_parameters", mode="before"
    )
    @classmethod
    def _split(cls, value: object) -> object:
        """Parse a comma-separated list."""
        if isinstance(value, str):
            return frozenset(item.strip().lower() for item in value.split(",") if item.strip())
        return value

    @field_validator("avatars_sources", mode="before")
    @classmethod
    def _split_sources(cls, value: object) -> object:
        """Parse a comma-separated list; the names of buckets and keys are case-sensitive."""
        if isinstance(value, str):
            return frozenset(item.strip() for item in value.split(",") if item.strip())
        return value

    @classmethod
    def load(cls) -> Settings:
        """Load the environment and .env, and apply them to this process.

        The secrets among them are redacted from now on, and AVATARS_SIGNATURE_PARAMETERS is part of no identity.

        Raises:
            SettingsError: All invalid settings, and all settings that are set by a former or misspelt name; or
                `.env` is not a regular file, or another user can change it.
        """
        sources = read_setting_sources()
        problems = _name_problems(sources.names)
        from_file: dict[str, Any] = {
            name: sources.file_values[name] for name in cls.model_fields if sources.is_from_file(name)
        }
        try:
            settings = cls(**from_file)
        except ValidationError as error:
            for problem in error.errors(include_input=False, include_url=False):
                name = str(problem["loc"][0]).upper()
                problems.append(f"{name}: {problem['msg']} (set by {sources.find(name) or 'default'})")
            raise _settings_error(problems) from None
        for minimum in ("AVATARS_POLL_MIN_SECONDS", "AVATARS_POLL_MIN_IMAGE_SECONDS"):
            if settings.avatars_poll_max_seconds < getattr(settings, minimum.lower()):
                problems.append(f"AVATARS_POLL_MAX_SECONDS: must not be less than {minimum}")
        if settings.avatars_webhook_url and settings.avatars_webhook_token is None:
            problems.append(
                "AVATARS_WEBHOOK_URL: also requires AVATARS_WEBHOOK_TOKEN, which its paths are derived from"
            )
        if problems:
            raise _settings_error(problems)
        for secret in (settings.argil_api_key, settings.avatars_webhook_token):
            if secret is not None:
                register_secret(secret.get_secret_value())
        register_password(settings.avatars_database_url.get_secret_value())
        register_credentials(f":{os.environ.get('PGPASSWORD', '')}")
        register_store_credentials(os.environ)
        configure_azure_account(os.environ.get(AZURE_ACCOUNT_VARIABLE, ""))
        configure_s3_endpoint(settings.avatars_s3_endpoint)
        configure_signature_parameters(settings.avatars_signature_parameters)
        _warn_of_contradictions(sources)
        return settings

    @property
    def media_policy(self) -> MediaPolicy:
        """The media policy that these settings configure."""
        return MediaPolicy(
            dataset_audio=self.avatars_media_dataset_audio,
            consent_audio=self.avatars_media_consent_audio,
            url_min_validity_seconds=self.avatars_media_url_min_validity_seconds,
        )

    def min_poll_seconds(self, kind: RequestKind) -> float:
        """Return the minimum poll interval: Argil trains an avatar from an image in seconds."""
        return self.avatars_poll_min_image_seconds if kind is RequestKind.IMAGE else self.avatars_poll_min_seconds

    @property
    def sources(self) -> frozenset[SourcePrefix]:
        """The buckets and folders of recordings whose addresses are URIs; that of the uploads is one of them."""
        upload_url = self.avatars_upload_url
        return parse_sources(self.avatars_sources if upload_url is None else self.avatars_sources | {upload_url})

    @property
    def upload_folder(self) -> SourcePrefix | None:
        """Where commands upload local files; None if they cannot."""
        return SourcePrefix.parse(self.avatars_upload_url) if self.avatars_upload_url else None

    @property
    def spend_limits(self) -> SpendLimits:
        """How many avatars may be created per UTC day and per batch."""
        return SpendLimits(self.avatars_max_creates_per_day, self.avatars_max_creates_per_batch)

    @property
    def reference_host(self) -> str:
        """The host whose name tells whether this machine can resolve names."""
        return reference_host(self.argil_api_url)

    def require_api_key(self) -> str:
        """Return the API key.

        Raises:
            SettingsError: No key is set; the hint names both ways to set one.
        """
        if self.argil_api_key is None:
            block = self.avatars_credentials_block
            raise SettingsError(
                "ARGIL_API_KEY is not set" + (f", and no Prefect block {block!r} was found" if block else ""),
                hint="export ARGIL_API_KEY=... or add it to .env; or store it in Prefect with `avatars "
                "credentials`, at the PREFECT_API_URL that the runs use; `avatars demo` needs no key",
            )
        return self.argil_api_key.get_secret_value()

    def require_webhook_token(self) -> str:
        """Return the token in the path of the webhook receiver.

        Raises:
            SettingsError: No token is set.
        """
        if self.avatars_webhook_token is None:
            raise SettingsError(
                "AVATARS_WEBHOOK_TOKEN is not set",
                hint="generate one with `python3 -c 'import secrets; print(secrets.token_urlsafe(32))'`",
            )
        return self.avatars_webhook_token.get_secret_value()


def _name_problems(names: set[str]) -> list[str]:
    """Return one problem for each name that is the former name of a setting, or similar to that of one."""
    problems = [f"{old}: was renamed to {new}" for old, new in _RENAMED_SETTINGS.items() if old.lower() in names]
    known = {*Settings.model_fields, *(old.lower() for old in _RENAMED_SETTINGS)}
    for name in sorted(names - known):
        if name.startswith(_OWN_PREFIXES):
            import difflib  # noqa: PLC0415  # few environments have such a name

            similar = difflib.get_close_matches(name, Settings.model_fields, n=1, cutoff=_SIMILARITY)
            problems += [f"{name.upper()}: is not a setting. Did you mean {match.upper()}?" for match in similar]
    return problems


def _warn_of_contradictions(sources: SettingSources) -> None:
    """Log which source applies if both set a setting, or if `.env` decides who receives the environment's key."""
    for message in sources.find_contradictions(Settings.model_fields):
        _warn_once(message)
    if sources.find("argil_api_key") == ENVIRONMENT and sources.find("argil_api_url") == str(sources.file):
        _warn_once(f"the environment's ARGIL_API_KEY is sent to the ARGIL_API_URL that {sources.file} sets")


@functools.cache
def _warn_once(message: str) -> None:
    logger.warning(message)


def _settings_error(problems: list[str]) -> SettingsError:
    return SettingsError("; ".join(problems), hint="correct these in the environment or in .env")
