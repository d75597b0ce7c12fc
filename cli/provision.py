"""`avatars provision`, `enqueue` and `resume`: one avatar."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cli.console import print_json
from cli.running import look_up, see_through
from cli.tables import print_outcome
from models.clock import SystemClock
from models.document import document
from models.errors import InvalidRequest
from models.outcomes import EXIT_OK
from models.provisioning import Driver, Provisioning, Submission
from models.request import ProvisioningRequest, read_request
from models.settings import Settings
from tasks.runtime import open_store

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

Json = Annotated[bool, Parameter(negative=())]


def _pairs(extras: tuple[str, ...]) -> dict[str, str]:
    """Read K=V words; raises InvalidRequest with every word that is none, and every key given twice."""
    pairs: dict[str, str] = {}
    problems = []
    for word in extras:
        key, equals, value = word.partition("=")
        if not equals:
            problems.append(("extra", f"must be KEY=VALUE; it is {word!r}"))
        elif key in pairs:
            problems.append(("extra", f"the key {key!r} is given twice"))
        pairs[key] = value
    if problems:
        raise InvalidRequest(problems, hint="as --extra team=berlin --extra tier=gold")
    return pairs


def _request(
    name: str, dataset_video: str, consent_video: str, extra: tuple[str, ...], reference: str | None
) -> ProvisioningRequest:
    return read_request(
        {
            "name": name,
            "dataset_video": dataset_video,
            "consent_video": consent_video,
            "extras": _pairs(extra),
            "reference": reference,
        }
    )


def provision(
    *,
    name: str,
    dataset_video: str,
    consent_video: str,
    extra: tuple[str, ...] = (),
    reference: str | None = None,
    json: Json = False,
) -> int:
    """Provision one avatar and wait for its outcome.

    Parameters
    ----------
    name
        The avatar's name at Argil, 1 to 256 characters.
    dataset_video
        HTTPS URL of the training recording: MP4 or MOV, 1 to 5 minutes, 720p to 4K, at most 1.5 GB.
    consent_video
        HTTPS URL of the same person's recorded consent: MP4 or MOV, at most 30 seconds, at most 100 MB.
    extra
        KEY=VALUE kept with the avatar at Argil; repeat it for more, up to 9.
    reference
        Your own key: the same reference never creates twice.
    json
        Print one JSON document on stdout and nothing else.

    """
    request = _request(name, dataset_video, consent_video, extra, reference)

    async def start() -> State:
        from flows.provision_avatar import provision_avatar

        state: State = await provision_avatar(request, wait="hold", return_state=True)
        return state

    return see_through(start, key=reference or None, title=f"provisioning {name}", as_json=json)


def enqueue(
    *,
    name: str,
    dataset_video: str,
    consent_video: str,
    extra: tuple[str, ...] = (),
    reference: str | None = None,
    json: Json = False,
) -> int:
    """Record a request and return at once; the schedule `provision-pending` takes it up.

    Parameters
    ----------
    name
        The avatar's name at Argil, 1 to 256 characters.
    dataset_video
        HTTPS URL of the training recording: MP4 or MOV, 1 to 5 minutes, 720p to 4K, at most 1.5 GB.
    consent_video
        HTTPS URL of the same person's recorded consent: MP4 or MOV, at most 30 seconds, at most 100 MB.
    extra
        KEY=VALUE kept with the avatar at Argil; repeat it for more, up to 9.
    reference
        Your own key: the same reference never creates twice.
    json
        Print one JSON document on stdout and nothing else.

    """
    request = _request(name, dataset_video, consent_video, extra, reference)

    async def record() -> tuple[Provisioning, list[Submission]]:
        async with open_store(Settings.load(), SystemClock()) as (ledger, _, _):
            driver = Driver(actor="enqueue", id=str(uuid.uuid4()))
            provisioning, _ = await ledger.open(request, reference or str(uuid.uuid4()), driver)
            return provisioning, await ledger.submissions(provisioning.id)

    provisioning, submissions = asyncio.run(record())
    if json:
        print_json(document(provisioning, submissions))
    else:
        print_outcome(provisioning)
    return EXIT_OK


def resume(provisioning: str, /, *, json: Json = False) -> int:
    """Drive a provisioning on from wherever it stands, and wait for its outcome.

    Parameters
    ----------
    provisioning
        Its id or reference.
    json
        Print one JSON document on stdout and nothing else.

    """
    look_up(provisioning)

    async def start() -> State:
        from flows.resume_provisioning import resume_provisioning

        state: State = await resume_provisioning(provisioning, wait="hold", return_state=True)
        return state

    return see_through(start, key=provisioning, title=f"resuming {provisioning}", as_json=json)
