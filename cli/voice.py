"""`avatars voice`: record the voice of an avatar, which Argil's API requires for each video."""

from __future__ import annotations

import uuid
from typing import Annotated

from cyclopts import Parameter

from cli.flow_runner import load_api_key
from cli.ledger_actions import run_on_ledger
from cli.options import JsonFlag, ProvisioningKey
from clients.argil import ArgilClient
from models.clock import SystemClock
from models.errors import InvalidArguments
from models.provisioning import LeaseOwner, Provisioning
from models.settings import Settings
from models.voice import parse_voice_id
from services.given_voices import record_given_voice, remove_voice
from services.store import Store


def voice(
    provisioning: ProvisioningKey,
    voice_id: Annotated[str | None, Parameter(help="Id of the voice at Argil.")] = None,
    /,
    *,
    remove: Annotated[bool, Parameter(negative=())] = False,
    allow_older: Annotated[bool, Parameter(negative=())] = False,
    json: JsonFlag = False,
) -> int:
    """Record the voice of an avatar that is READY.

    Argil is asked for the voice first. A voice belongs to one avatar. One that is older than the submission is
    refused, because Argil did not create it for this avatar.

    Args:
        allow_older: Record the voice although it is older than the submission, for example a voice that was cloned
            earlier.
        remove: Remove the recorded voice from the ledger, for example because it belongs to another avatar. It
            stays at Argil.

    """
    if remove is (voice_id is not None):
        raise InvalidArguments(
            "either a voice or --remove is required", hint="write `avatars voice ID VOICE_ID`, or add --remove"
        )
    if remove and allow_older:
        raise InvalidArguments("--allow-older is for a voice that is recorded", hint="leave it out with --remove")
    owner = LeaseOwner(actor="voice", id=str(uuid.uuid4()))
    settings, clock = Settings.load(), SystemClock()
    given = None if voice_id is None else parse_voice_id(voice_id)
    key = load_api_key(settings) if given else ""

    async def change(store: Store, current: Provisioning) -> Provisioning:
        if given is None:
            return await remove_voice(store.ledger, current, owner)
        async with ArgilClient(
            settings.argil_api_url, key, clock=clock, requests_per_second=settings.avatars_requests_per_second
        ) as argil:
            return await record_given_voice(
                store.ledger, argil, clock, current, owner, given, allow_older=allow_older
            )

    return run_on_ledger([provisioning], change, is_one=True, as_json=json)
