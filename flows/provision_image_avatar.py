"""The flow `provision-image-avatar`: runs one image request until its outcome is recorded."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State

from flows.engine.single_request import run_request
from flows.engine.suspension import WaitMode
from models.image_request import ImageRequest
from services.prefect_api.prefect_options import FLOW_OPTIONS

NAME = "provision-image-avatar"


@flow(name=NAME, flow_run_name="{request.name}", **FLOW_OPTIONS)
async def provision_image_avatar(request: ImageRequest, wait: WaitMode = "suspend") -> State:
    """Create one avatar from an image.

    Without a reference, the flow run id is used, so a resumed or retried run attaches to its own provisioning.
    The final state is named after the outcome; the ledger holds the details.

    Args:
        request: The avatar's name, its image, the consent of the person, and optional metadata.
        wait: What the run does during the training. `suspend`: it suspends itself, needs no process, and is
            resumed when the training ends. `block`: its process keeps polling. `none`: it ends after the
            submission, and `reconcile-avatars` completes the provisioning.

    """
    return await run_request(request, wait, NAME)
