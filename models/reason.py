"""A reason: a stable code, a message for people, and a hint on what to do."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict

from models.errors import AvatarsError

_RESUME_ROW = "run the batch again"


class Reason(BaseModel):
    """Why a provisioning has its status.

    `code` is stable, for example `dataset.duration-too-short`. `message` names the rule and the actual value;
    `hint` says what to do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    message: str
    hint: str = ""

    def addressed_to(self, provisioning_id: str | None) -> Self:
        """Return the reason with a hint whose commands can be copied.

        Args:
            provisioning_id: The provisioning that the hint is about; None for a row of a batch without one.
        """
        if provisioning_id is not None:
            hint = self.hint.replace("avatars resume ID", f"avatars resume {provisioning_id}")
        else:
            hint = self.hint.replace("run `avatars resume ID`", _RESUME_ROW).replace(
                "`avatars resume ID`", _RESUME_ROW
            )
        return self.model_copy(update={"hint": hint})

    @classmethod
    def from_error(cls, error: AvatarsError) -> Self:
        """Return the error as a reason, with its code, message and hint."""
        return cls(code=error.code, message=error.message, hint=error.hint)
