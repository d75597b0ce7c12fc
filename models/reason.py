"""A reason: what is wrong, in words for a person and a code for a machine, and the way out."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict

from models.errors import AvatarsError


class Reason(BaseModel):
    """Why a provisioning stands where it stands.

    `code` is stable (`dataset.too-short`), `message` names the rule and the value seen, `hint` the way out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    message: str
    hint: str = ""

    @classmethod
    def of(cls, error: AvatarsError) -> Self:
        """Return the error as a reason."""
        return cls(code=error.code, message=error.message, hint=error.hint)
