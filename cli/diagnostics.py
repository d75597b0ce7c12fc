"""The result of one check of `avatars doctor`."""

from __future__ import annotations

from dataclasses import dataclass

from models.errors import AvatarsError


@dataclass(frozen=True)
class DiagnosticResult:
    """Result of one check; `hint` says how to fix a failed one."""

    check: str
    ok: bool
    detail: str
    hint: str = ""

    @classmethod
    def from_error(cls, check: str, error: AvatarsError) -> DiagnosticResult:
        """Return a failed check with the error's message and hint."""
        return cls(check, ok=False, detail=error.message, hint=error.hint)
