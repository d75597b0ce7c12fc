"""The result of one check of `avatars doctor`."""

from __future__ import annotations

from dataclasses import dataclass

from models.errors import AvatarsError


@dataclass(frozen=True)
class DiagnosticResult:
    """Result of one check; `hint` says how to fix a failed one. One that is ok with a hint is a warning."""

    check: str
    ok: bool
    detail: str
    hint: str = ""

    @property
    def state(self) -> str:
        """Return `ok`, `warning` or `failed`."""
        if not self.ok:
            return "failed"
        return "warning" if self.hint else "ok"

    @classmethod
    def from_error(cls, check: str, error: AvatarsError) -> DiagnosticResult:
        """Return a failed check with the error's message and hint."""
        return cls(check, ok=False, detail=error.message, hint=error.hint)
