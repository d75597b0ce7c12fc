"""A reason: a stable code, a message for people, and a hint on what to do."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict

from models.errors import AvatarsError


class Reason(BaseModel):
    """Why a provisioning has its status.

    `code` is stable, for example `dataset.duration-too-short`. `message` names the rule and the actual value;
    `hint` says what to do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    message: str
    hint: str = ""

    @classmethod
    def from_error(cls, error: AvatarsError) -> Self:
        """Return the error as a reason, with its code, message and hint."""
        return cls(code=error.code, message=error.message, hint=error.hint)
