"""The request of an avatar that was created without this service and adopted later: it has no recordings."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import Field

from models.media.rules import MediaRole
from models.request import AvatarRequest, RequestKind
from models.request_fields import AvatarName, Extras, Reference


class AdoptedRequest(AvatarRequest):
    """What is known about an avatar that was created elsewhere."""

    kind = RequestKind.ADOPTED
    recording_fields = MappingProxyType({})

    name: AvatarName
    extras: Extras = Field(default_factory=dict)
    reference: Reference = None

    def _identity(self, forms: Mapping[MediaRole, str]) -> list[Any]:  # noqa: ARG002  # it has no recordings
        return [self.kind, self.name, sorted(self.extras.items())]
