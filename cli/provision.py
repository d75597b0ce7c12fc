"""`avatars provision` and `avatars resume`: one avatar, all the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cli.running import look_up, see_through
from models.errors import InvalidRequest
from models.request import read_request

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State


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


def provision(
    *,
    name: str,
    dataset_video: str,
    consent_video: str,
    extra: tuple[str, ...] = (),
    reference: str | None = None,
    json: Annotated[bool, Parameter(negative=())] = False,
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
    request = read_request(
        {
            "name": name,
            "dataset_video": dataset_video,
            "consent_video": consent_video,
            "extras": _pairs(extra),
            "reference": reference,
        }
    )

    async def start() -> State:
        from flows.provision_avatar import provision_avatar

        state: State = await provision_avatar(request, return_state=True)
        return state

    return see_through(start, key=reference or None, title=f"provisioning {name}", as_json=json)


def resume(provisioning: str, /, *, json: Annotated[bool, Parameter(negative=())] = False) -> int:
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

        state: State = await resume_provisioning(provisioning, return_state=True)
        return state

    return see_through(start, key=provisioning, title=f"resuming {provisioning}", as_json=json)
