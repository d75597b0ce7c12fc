"""`avatars provision` and `enqueue`: provision one avatar."""

from __future__ import annotations

import asyncio
import shlex
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from cli.confirmation import confirm
from cli.console import print_json, print_status
from cli.flow_runner import require_key_source, run_and_report
from cli.local_uploads import delete_finished, has_local_recordings, parse_and_upload
from cli.options import IgnoreUnknownFlag, JsonFlag, apply_ignore_unknown, parse_extras
from cli.rendering import print_outcome
from models.clock import SystemClock
from models.errors import InvalidRequest, RequestOnRecord
from models.exit_codes import EXIT_OK
from models.image_request import ImageRequest, require_consent
from models.provisioning import LeaseOwner, Provisioning, Status, Submission
from models.recordings.canonical_form import is_signed
from models.recordings.presigned_urls import SIGNATURE_NOTICE
from models.reports.json_views import provisioning_summary
from models.request import AvatarRequest
from models.request_kinds import parse_fields
from models.request_sources import require_sources
from models.settings import Settings
from models.text.redaction import redact
from services.equal_requests import find_equal_request
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

    dataset_video: str | None = None
    """Address of the training recording: MP4 or MOV, 1 to 5 minutes, up to 1.5 GB. An s3, gs or az URI, an HTTPS
    URL, or the path of a local file; a path needs AVATARS_UPLOAD_URL."""

    image: str | None = None
    """Address of an image instead: PNG, JPEG or WEBP, 16:9 or 9:16, 1280x720 to 3840x2160, at most 10 MB. A path
    needs AVATARS_UPLOAD_URL."""

    consent_video: str | None = None
    """Address of the person's recorded consent: MP4 or MOV, at most 30 seconds, at most 100 MB. Required with
    --dataset-video and --voice-sample, and with --image unless AVATARS_IMAGE_CONSENT is optional. A path needs
    AVATARS_UPLOAD_URL."""

    voice_id: str | None = None
    """The id of a voice at Argil for an avatar from an image; without it, Argil designs one from the image."""

    voice_sample: str | None = None
    """Address of a recording of the voice, from which Argil clones a voice for an avatar from an image. A path
    needs AVATARS_UPLOAD_URL."""

    extra: Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)] = ()
    """KEY=VALUE pair stored with the avatar at Argil; can be repeated, up to 9 pairs."""

    reference: str | None = None
    """Your own key for this avatar: one key, one avatar. The same key again attaches to it."""

    another: Annotated[bool, Parameter(negative=())] = False
    """Create another avatar although the same request is on record with another reference. Otherwise the command
    asks on a terminal, and elsewhere exits with 2 before anything is sent."""

    def to_request(self, command: str) -> AvatarRequest:
        """Return the validated request after its local recordings were uploaded.

        Raises:
            InvalidRequest: A field or a file breaks a rule; nothing was uploaded.
            RequestOnRecord: The same request is on record, and no person wants another avatar.
        """
        given = {
            "name": self.name,
            "dataset_video": self.dataset_video,
            "image": self.image,
            "consent_video": self.consent_video,
            "voice_id": self.voice_id,
            "voice_sample": self.voice_sample,
            "extras": parse_extras(self.extra),
            "reference": self.reference,
        }
        fields = {name: value for name, value in given.items() if value is not None}
        if self.dataset_video is None and self.image is None:
            raise InvalidRequest(
                [("recordings", "neither a dataset video nor an image is given")],
                hint="give --dataset-video or --image, and --consent-video",
            )
        if not has_local_recordings(fields):
            request = parse_fields(fields)
            self._require_ready(request, Settings.load(), command)
            return request
        settings = Settings.load()

        def parse(resolved: Mapping[str, Any]) -> AvatarRequest:
            request = parse_fields(resolved)
            require_consent(request, settings.avatars_image_consent)  # before anything is uploaded
            require_sources(request, settings.sources)
            return request

        def check(request: AvatarRequest) -> None:
            self._require_ready(request, settings, command)

        return parse_and_upload(fields, parse, check, f"avatars {command}", settings)

    def _require_ready(self, request: AvatarRequest, settings: Settings, command: str) -> None:
        """Check what does not depend on the recordings, and ask before an equal request creates another avatar."""
        if command == "provision":
            require_key_source(settings)  # before hours of uploading
        if self.another or (equal := asyncio.run(_find_equal(request, settings))) is None:
            return
        require_consent(request, settings.avatars_image_consent)
        require_sources(request, settings.sources)
        what = (
            f"provisioning {equal.id}, reference {redact(equal.reference)!r}, {equal.status}, created "
            f"{equal.created_at:%Y-%m-%d %H:%M} UTC, has the same name, recordings and extras"
        )
        if confirm(f"! {what}. Create another avatar, which is charged, too?"):
            return
        steps = [
            f"`avatars show {equal.id}` has its next step",
            f"`{shlex.quote(f'--reference={redact(equal.reference)}')}` attaches to it",
            *([f"`avatars cancel {equal.id}` withdraws it"] if equal.status is Status.ACCEPTED else []),
            "`--another` creates one more avatar",
        ]
        raise RequestOnRecord(f"{what}; nothing was sent", hint="; ".join(steps))


async def _find_equal(request: AvatarRequest, settings: Settings) -> Provisioning | None:
    async with open_store(settings, SystemClock()) as store:
        return await find_equal_request(store.ledger, request)


def provision(options: RequestOptions, *, ignore_unknown: IgnoreUnknownFlag = False, json: JsonFlag = False) -> int:
    """Provision one avatar and wait for its outcome."""
    apply_ignore_unknown(is_set=ignore_unknown)
    request = options.to_request("provision")

    async def start() -> State:
        state: State
        if isinstance(request, ImageRequest):
            from flows.provision_image_avatar import provision_image_avatar

            state = await provision_image_avatar(request, wait="block", return_state=True)
        else:
            from flows.provision_avatar import provision_avatar

            state = await provision_avatar(request, wait="block", return_state=True)
        return state

    code = run_and_report(start, key=request.reference, title=f"provisioning {request.name}", as_json=json)
    delete_finished(Settings.load())
    return code


def enqueue(options: RequestOptions, *, json: JsonFlag = False) -> int:
    """Record a request and return immediately; the schedule `provision-pending` submits it."""
    request = options.to_request("enqueue")

    async def record() -> tuple[Provisioning, list[Submission]]:
        settings = Settings.load()
        require_consent(request, settings.avatars_image_consent)
        async with open_store(settings, SystemClock()) as store:
            owner = LeaseOwner(actor="enqueue", id=str(uuid.uuid4()))
            recorded = await store.ledger.find_recorded(request)
            # The recordings of a request that stays as it is are not read again.
            if recorded is None or recorded.status is Status.REJECTED:
                require_sources(request, settings.sources)
            reference = request.reference or str(uuid.uuid4())
            provisioning, _ = await open_request(
                store.ledger, store.quarantine, request, reference, owner, settings.sources
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
