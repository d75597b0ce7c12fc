"""The JSON view of an error, as the command line prints it.

In a module of its own, so that the overview of `avatars --help` does not import pydantic.
"""

from __future__ import annotations

from typing import Any

from models.errors import AvatarsError


def error_view(error: AvatarsError) -> dict[str, Any]:
    """Return the error as a JSON document; its texts are redacted."""
    return {"error": {"code": error.code, "message": error.message, "hint": error.hint}}
