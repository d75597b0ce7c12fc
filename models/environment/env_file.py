"""Reads `.env`, if no other user can change it, and tells which source sets a setting.

A `.env` in a folder that others can write could send the API key of the environment to their own ARGIL_API_URL. The
files from which Prefect reads settings could send it to their own PREFECT_API_URL.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from models.environment.private_files import WRITABLE_BY_OTHERS, is_replaceable_by_others
from models.environment.regular_files import UnsuitableFile, open_regular_file, read_regular_file
from models.errors import SettingsError

ENV_FILE = Path(".env")
PREFECT_FILE, PROJECT_FILE = Path("prefect.toml"), Path("pyproject.toml")
"""Prefect reads the first, and the table `tool.prefect` of the second."""
MAX_BYTES = 1024 * 1024
ENVIRONMENT = "the environment"
_ROOT_USER_ID = 0


@dataclass(frozen=True)
class SettingSources:
    """The settings of both sources, by their lower-case names; the environment has precedence over the file."""

    environment: Mapping[str, str | None] = field(repr=False)  # both contain secrets
    file_values: Mapping[str, str | None] = field(repr=False)
    file: Path
    """The absolute path of `.env`, whether or not it exists."""

    @property
    def names(self) -> set[str]:
        """The lower-case names that either source sets, those of other programs included."""
        return {*self.environment, *self.file_values}

    def find(self, name: str) -> str | None:
        """Return which source sets a setting: the environment, the path of `.env`, or None for its default."""
        if name.lower() in self.environment:
            return ENVIRONMENT
        return str(self.file) if name.lower() in self.file_values else None

    def is_from_file(self, name: str) -> bool:
        """Whether `.env` decides the value of a setting, given by its lower-case name."""
        return name not in self.environment and self.file_values.get(name) is not None

    def describe(self, names: Iterable[str]) -> str:
        """Return the source of each setting, with a note if `.env` sets another value that does not apply."""
        parts = []
        for name in names:
            ignored = f" ({self.file} differs and is ignored)" if self._is_contradicted(name.lower()) else ""
            parts.append(f"{name} {f'from {source}' if (source := self.find(name)) else 'not set'}{ignored}")
        return ", ".join(parts)

    def find_contradictions(self, names: Iterable[str]) -> list[str]:
        """Return one message for each setting that both sources set differently."""
        return [
            f"{name.upper()} is set by the environment and, differently, in {self.file}; the environment applies"
            for name in sorted(names)
            if self._is_contradicted(name)
        ]

    def _is_contradicted(self, name: str) -> bool:
        both_set = name in self.environment and name in self.file_values
        return both_set and self.environment[name] != self.file_values[name]


def read_environment() -> dict[str, str]:
    """Return the environment by lower-case names: a setting is read in any case."""
    return {name.lower(): value for name, value in os.environ.items()}


def read_setting_sources() -> SettingSources:
    """Read the environment and `.env` of the current folder, which need not exist.

    Raises:
        SettingsError: `.env`, or a file with settings of Prefect, is not a regular file, or another user can
            change it.
    """
    try:
        file = ENV_FILE.absolute()
    except FileNotFoundError:  # the current folder was deleted
        file = ENV_FILE
    for prefect_file in (PREFECT_FILE, PROJECT_FILE):
        _require_trusted_prefect_file(file.with_name(prefect_file.name))
    return SettingSources(read_environment(), _read_env_file(file), file)


def _read_env_file(file: Path) -> dict[str, str | None]:
    try:
        link = file.lstat()
    except (FileNotFoundError, PermissionError):  # a folder that this user cannot search has no file for it
        return {}
    try:
        with open_regular_file(file, os.O_RDONLY) as descriptor:
            status = os.fstat(descriptor)
            _require_trusted(file, link, status)
            if status.st_size > MAX_BYTES:
                raise UnsuitableFile(f"it is larger than {MAX_BYTES:,} bytes")
            with open(descriptor, encoding="utf-8-sig", closefd=False) as lines:
                text = lines.read(MAX_BYTES)
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError:
        raise SettingsError(f"{file} cannot be read: it is not valid UTF-8", hint="save it as UTF-8") from None
    except OSError as error:
        raise SettingsError(
            f"{file} cannot be read: {error.strerror}",
            hint="make it a readable file, or remove it and set the variables in the environment",
        ) from None
    from dotenv import dotenv_values  # noqa: PLC0415  # only a folder with this file needs it

    return {name.lower(): value for name, value in dotenv_values(stream=io.StringIO(text)).items()}


def _require_trusted_prefect_file(file: Path) -> None:
    """Raise SettingsError if Prefect would read settings from a file that another user can change."""
    try:
        link, content, status = file.lstat(), read_regular_file(file, MAX_BYTES), file.stat()
    except (FileNotFoundError, PermissionError):
        return
    except OSError as error:
        raise SettingsError(
            f"{file} cannot be read: {error.strerror}",
            hint="make it a readable file, or remove it; Prefect reads its settings from it",
        ) from None
    if file.name == PREFECT_FILE.name or _has_prefect_table(content):
        _require_trusted(file, link, status)


def _has_prefect_table(project: bytes) -> bool:
    import tomllib  # noqa: PLC0415  # only a folder with this file needs it

    try:
        return "prefect" in tomllib.loads(project.decode()).get("tool", {})
    except (ValueError, TypeError):  # Prefect refuses it, too
        return False


def _require_trusted(file: Path, link: os.stat_result, status: os.stat_result) -> None:
    """Raise SettingsError if a user other than this one and root can change what a file with settings contains.

    Args:
        file: The path of the file.
        link: The status of the path itself, perhaps of a symbolic link.
        status: The status of the file that was opened.
    """
    target = file.resolve()
    owners = {link.st_uid, status.st_uid} - {os.geteuid(), _ROOT_USER_ID}
    if owners:
        problem, remedy = f"it belongs to the user with id {min(owners)}", "take its ownership with chown"
    elif status.st_mode & WRITABLE_BY_OTHERS:
        problem = f"other users can change it (mode {stat.S_IMODE(status.st_mode):04o})"
        remedy = f"check its content, then run `chmod go-w {target}`"
    elif folders := [f for f in dict.fromkeys((*file.parents, *target.parents)) if is_replaceable_by_others(f)]:
        problem = f"other users can replace it, because the folder {folders[0]} is world-writable"
        remedy = f"check its content, then run `chmod o-w {folders[0]}`"
    else:
        return
    raise SettingsError(
        f"{file} is not read: {problem}",
        hint=f"{remedy}; or remove it and set the variables in the environment",
    )
