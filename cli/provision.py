"""`avatars provision`, `enqueue` and `resume`: one avatar."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
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


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RequestWords:
    """A request as it is typed."""

    name: str
    """The avatar's name at Argil, 1 to 256 characters."""

    dataset_video: str
    """HTTPS URL of the training recording: MP4 or MOV, 1 to 5 minutes, 720p to 4K, at most 1.5 GB."""

    consent_video: str
    """HTTPS URL of the same person's recorded consent: MP4 or MOV, at most 30 seconds, at most 100 MB."""

    extra: tuple[str, ...] = ()
    """KEY=VALUE kept with the avatar at Argil; repeat it for more, up to 9."""

    reference: str | None = None
    """Your own key: the same reference never creates twice."""

    def read(self) -> ProvisioningRequest:
        """Return the request; raises InvalidRequest."""
        return read_request(
            {
                "name": self.name,
                "dataset_video": self.dataset_video,
                "consent_video": self.consent_video,
                "extras": _pairs(self.extra),
                "reference": self.reference,
            }
        )


def provision(words: RequestWords, *, json: Json = False) -> int:
    """Provision one avatar and wait for its outcome.

    Parameters
    ----------
    words
        The request as it was typed.
    json
        Print one JSON document on stdout and nothing else.

    """
    request = words.read()

    async def start() -> State:
        from flows.provision_avatar import provision_avatar

        state: State = await provision_avatar(request, wait="hold", return_state=True)
        return state

    return see_through(start, key=request.reference, title=f"provisioning {request.name}", as_json=json)


def enqueue(words: RequestWords, *, json: Json = False) -> int:
    """Record a request and return at once; the schedule `provision-pending` takes it up.

    Parameters
    ----------
    words
        The request as it was typed.
    json
        Print one JSON document on stdout and nothing else.

    """
    request = words.read()

    async def record() -> tuple[Provisioning, list[Submission]]:
        async with open_store(Settings.load(), SystemClock()) as (ledger, _, _):
            driver = Driver(actor="enqueue", id=str(uuid.uuid4()))
            provisioning, _ = await ledger.open(request, request.reference or str(uuid.uuid4()), driver)
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
