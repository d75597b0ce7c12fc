"""The task that records a request in the ledger or attaches to the provisioning of its reference."""

from __future__ import annotations

import logging

from prefect import task

from models.image_request import require_consent
from models.provisioning import LeaseOwner, Provisioning
from models.recordings.canonical_form import is_signed
from models.recordings.presigned_urls import SIGNATURE_NOTICE
from models.request import AvatarRequest
from models.request_fields import RECOMMENDED_MAX_EXTRAS
from services.context import app_context
from services.prefect_api.prefect_options import TASK_OPTIONS
from services.reopening import open_request
from services.run_log import log_about_one, log_to_run


@task(**TASK_OPTIONS)
async def get_or_create_provisioning(request: AvatarRequest, reference: str, owner: LeaseOwner) -> Provisioning:
    """Return the provisioning of this reference, created in ACCEPTED if there is none.

    Logs a notice if a recording's URL carries a signature, and one if there are more extras than Argil recommends.
    A REJECTED one with the same request is re-opened, once per run, unless its recordings may not be read.

    Raises:
        InvalidRequest: An image request without a consent video, which AVATARS_IMAGE_CONSENT requires.
        ReferenceConflict: The reference belongs to a different request.
        DatabaseError: The ledger cannot be read or written.

    """
    async with app_context() as context:
        require_consent(request, context.settings.avatars_image_consent)
        provisioning, is_new = await open_request(
            context.ledger, context.quarantine, request, reference, owner, context.settings.sources
        )
    if not is_new:
        log_to_run("attached to provisioning %s, which is %s", provisioning.id, provisioning.status)
    if any(map(is_signed, request.recordings.values())):
        log_to_run("%s", SIGNATURE_NOTICE)
    if is_new and len(request.extras) >= RECOMMENDED_MAX_EXTRAS:
        log_about_one(
            "Argil's documentation recommends at most %d extras, including the submission id",
            RECOMMENDED_MAX_EXTRAS,
            level=logging.WARNING,
        )
    return provisioning
