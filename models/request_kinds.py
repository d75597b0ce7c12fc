"""The class of each kind of request, and the kind of a request that a caller writes as fields."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from models.adopted_request import AdoptedRequest
from models.errors import InvalidRequest
from models.image_request import ImageRequest
from models.media.rules import MediaRole
from models.request import AvatarRequest, ProvisioningRequest, RequestKind, validate_fields

REQUEST_CLASSES: Mapping[RequestKind, type[AvatarRequest]] = MappingProxyType(
    {request_class.kind: request_class for request_class in (ProvisioningRequest, ImageRequest, AdoptedRequest)}
)
SUBMITTED_KINDS = (RequestKind.VIDEO, RequestKind.IMAGE)
"""The kinds that are submitted to Argil."""
RECORDING_FIELDS = tuple(
    dict.fromkeys(field for each in REQUEST_CLASSES.values() for field in each.recording_fields.values())
)
"""The fields of all kinds that hold the address of a recording."""

RECORDING_ROLES: Mapping[str, MediaRole] = MappingProxyType(
    {field: role for each in REQUEST_CLASSES.values() for role, field in each.recording_fields.items()}
)
"""The role of the recording in each of these fields."""


def parse_fields(fields: Mapping[str, Any]) -> AvatarRequest:
    """Validate the fields of a request; one with an image is an image request, any other a video request.

    A field that is None or empty counts as absent here, as an empty cell of a manifest does.

    Raises:
        InvalidRequest: All problems. An image beside a dataset video is one.
    """
    if not fields.get("image"):
        return validate_fields(ProvisioningRequest, {k: v for k, v in fields.items() if k not in _IMAGE_ONLY or v})
    if fields.get("dataset_video"):
        raise InvalidRequest(
            [("image", "must not be given with dataset_video: an avatar is made from an image or from a video")],
            hint="remove one of the two",
        )
    return validate_fields(ImageRequest, {k: v for k, v in fields.items() if k != "dataset_video"})


_IMAGE_ONLY = ImageRequest.model_fields.keys() - ProvisioningRequest.model_fields.keys()
