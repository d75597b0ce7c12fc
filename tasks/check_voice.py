"""The task that checks before a submission whether Argil has the voice of an image request."""

from __future__ import annotations

from prefect import task

from models.errors import OperationalError, PollFailed
from models.image_request import ImageRequest
from models.provisioning import Provisioning
from models.reason import Reason
from services.context import app_context
from services.prefect_api.prefect_options import TASK_OPTIONS

VOICE_NOT_FOUND = "voice.not-found"


@task(**TASK_OPTIONS)
async def check_voice(provisioning: Provisioning) -> Reason | None:
    """Return why the voice of an image request cannot be used; None if it can, or if the request names none.

    Raises:
        ArgilUnauthorized: Argil rejects the API key.
        OperationalError: Argil does not tell whether it has the voice.

    """
    request = provisioning.request
    if not isinstance(request, ImageRequest) or request.voice_id is None:
        return None
    async with app_context() as context:
        try:
            voice = await context.argil.get_voice(request.voice_id)
        except PollFailed as error:
            raise OperationalError(
                f"the voice {request.voice_id} could not be checked: {error.message}",
                hint=f"wait: `provision-pending` tries again; or run `avatars resume {provisioning.id}`",
            ) from None
    if voice is not None:
        return None
    return Reason(
        code=VOICE_NOT_FOUND,
        message=f"voice_id: Argil has no voice {request.voice_id}",
        hint="copy the id of a voice of this account from Argil's app, or request the avatar without a voice",
    )
