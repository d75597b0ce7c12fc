"""Avatars that were made elsewhere and are put on record: what is adopted, and with which status."""

from __future__ import annotations

from dataclasses import dataclass

from models.adopted_request import AdoptedRequest
from models.argil.avatar import Avatar, AvatarStatus
from models.errors import AvatarsError, InvalidRequest
from models.provisioning import Provisioning, Status
from models.request import validate_fields
from models.request_fields import SUBMISSION_ID_EXTRA

UNNAMED = "adopted avatar"
"""The name of an avatar whose name at Argil no request may have, for example an empty one."""
_STATUSES = {
    AvatarStatus.IDLE: Status.READY,
    AvatarStatus.TRAINING_FAILED: Status.TRAINING_FAILED,
    AvatarStatus.REFUSED: Status.REFUSED,
}


@dataclass(frozen=True, slots=True)
class Adoption:
    """An avatar in the account list and the reference that a person gives it. `place` names it in a problem."""

    place: str
    reference: str
    request: AdoptedRequest
    avatar: Avatar

    @property
    def status(self) -> Status:
        """The status of its provisioning: that of the avatar, TRAINING for an undocumented one."""
        return next((status for raw, status in _STATUSES.items() if self.avatar.status == raw), Status.TRAINING)


@dataclass(frozen=True, slots=True)
class AdoptionResult:
    """What became of one adoption: its provisioning, or the problem because of which nothing is adopted.

    `provisioning` is None for a new one that was not written: there is a problem, or it was a preview.
    """

    provisioning: Provisioning | None = None
    is_new: bool = False
    problem: AvatarsError | None = None


def adopt_request(avatar: Avatar, reference: str) -> AdoptedRequest:
    """Return the request of an adopted avatar, with the name and the extras that Argil reports.

    A name or extras that a request may not have, for example a secret, are left out.

    Raises:
        InvalidRequest: The reference breaks a rule.
    """
    without_name = validate_fields(AdoptedRequest, {"name": UNNAMED, "reference": reference})
    if without_name.reference is None:
        raise InvalidRequest([("reference", "must not be empty")], hint="give the avatar a unique key of your own")
    extras = {key: text for key, text in avatar.extras.items() if key != SUBMISSION_ID_EXTRA}
    for fields in ({"name": avatar.name, "extras": extras}, {"name": avatar.name}, {"extras": extras}):
        try:
            return validate_fields(AdoptedRequest, {"name": UNNAMED, "reference": reference, **fields})
        except InvalidRequest:
            continue
    return without_name
