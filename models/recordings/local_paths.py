"""Tells the path of a local recording from its address. Only commands accept paths; see docs/sources.md."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from models.text.url_redaction import redact_url

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".qt")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
AUDIO_SUFFIXES = (".m4a", ".mp3", ".wav", ".flac", ".ogg", ".aac")
_SUFFIXES = (*VIDEO_SUFFIXES, *IMAGE_SUFFIXES, *AUDIO_SUFFIXES)
_FILE_URL = re.compile(r"file:", re.IGNORECASE)
_PATH_START = re.compile(r"(?:/|~|\./|\.\./|[A-Za-z]:[\\/]|\\\\)")


def is_local_path(text: str, folder: Path | None = None) -> bool:
    """Whether the text is meant as a path: it looks like one, or names something that exists.

    Args:
        text: The address or the path of a recording.
        folder: The folder in which a relative path begins; None is the working directory.
    """
    if "://" in text or not text.strip() or _FILE_URL.match(text):
        return False
    if _PATH_START.match(text) or text.lower().endswith(_SUFFIXES):
        return True
    try:
        return resolve_path(text, folder).exists()
    except (OSError, ValueError, RuntimeError):
        return False


def file_url_problem(text: str) -> str:
    """Return the rule that a file: URL breaks, with the path to write instead; empty for any other text."""
    if not _FILE_URL.match(text):
        return ""
    try:
        path = unquote(urlsplit(text).path)
    except ValueError:
        path = ""
    return "must be a path, not a file: URL" + (f": write {shown_path(path)}" if path else "")


def resolve_path(text: str, folder: Path | None = None) -> Path:
    """Return the absolute path. Raises ValueError for a NUL character, and RuntimeError for an unknown `~user`."""
    if "\0" in text:
        raise ValueError("the path contains a NUL character")
    return (folder or Path.cwd()) / Path(text).expanduser()


def shown_path(text: str) -> str:
    """Return a path for messages, without what would be the query of a URL without its scheme."""
    return redact_url(text)
