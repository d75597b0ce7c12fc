"""`avatars provision` and `enqueue`: provision one avatar."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cli.console import print_json, print_status
from cli.flow_runner import require_key_source, run_and_report
from cli.local_uploads import delete_finished, has_local_recordings, parse_and_upload
from cli.options import IgnoreUnknownFlag, JsonFlag, apply_ignore_unknown, parse_extras
from cli.rendering import print_outcome
from models.clock import SystemClock
from models.exit_codes import EXIT_OK
from models.json_views import provisioning_summary
from models.presigned_urls import SIGNATURE_NOTICE
from models.provisioning import LeaseOwner, Provisioning, Submission
from models.recording_identity import is_signed
from models.request import ProvisioningRequest, parse_request
from models.settings import Settings
from services.reopening import open_request
from services.store import open_store

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RequestOptions:
    """The options of a request."""

    name: str
    """Name of the avatar at Argil, 1 to 256 characters."""

    dataset_video: str
    """Path, or s3, gs or az URI, or HTTPS URL of the training recording: MP4 or MOV, 1 to 5 minutes, 720p to 4K, at
    most 1.5 GB."""

    consent_video: str
    """The same of the person's recorded consent: MP4 or MOV, at most 30 seconds, at most 100 MB."""

    extra: Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)] = ()
    """KEY=VALUE pair stored with the avatar at Argil; can be repeated, up to 9 pairs."""

    reference: str | None = None
    """Your own key for this avatar. The same reference never creates a second avatar."""

    def to_request(self, command: str) -> ProvisioningRequest:
        """Return the validated request after its local recordings were uploaded; raises InvalidRequest."""
        fields = {
            "name": self.name,
            "dataset_video": self.dataset_video,
            "consent_video": self.consent_video,
            "extras": parse_extras(self.extra),
            "reference": self.reference,
        }
        if not has_local_recordings(fields):
            return parse_request(fields)
        settings = Settings.load()
        if command == "provision":
            require_key_source(settings)  # before hours of uploading
        return parse_and_upload(fields, parse_request, f"avatars {command}", settings)


def provision(options: RequestOptions, *, ignore_unknown: IgnoreUnknownFlag = False, json: JsonFlag = False) -> int:
    """Provision one avatar and wait for its outcome."""
    apply_ignore_unknown(is_set=ignore_unknown)
    request = options.to_request("provision")

    async def start() -> State:
        from flows.provision_avatar import provision_avatar

        state: State = await provision_avatar(request, wait="block", return_state=True)
        return state

    code = run_and_report(start, key=request.reference, title=f"provisioning {request.name}", as_json=json)
    delete_finished(Settings.load())
    return code


def enqueue(options: RequestOptions, *, json: JsonFlag = False) -> int:
    """Record a request and return immediately; the schedule `provision-pending` submits it."""
    request = options.to_request("enqueue")

    async def record() -> tuple[Provisioning, list[Submission]]:
        async with open_store(Settings.load(), SystemClock()) as store:
            owner = LeaseOwner(actor="enqueue", id=str(uuid.uuid4()))
            provisioning, _ = await open_request(
                store.ledger, store.quarantine, request, request.reference or str(uuid.uuid4()), owner
            )
            return provisioning, await store.ledger.list_submissions(provisioning.id)

    provisioning, submissions = asyncio.run(record())
    if any(map(is_signed, request.recordings.values())):
        print_status(SIGNATURE_NOTICE)
    if json:
        print_json(provisioning_summary(provisioning, submissions))
    else:
        print_outcome(provisioning)
    return EXIT_OK
