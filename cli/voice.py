"""`avatars voice`: record the voice of an avatar, which Argil's video API requires, or list possible ones."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC
from typing import Annotated

from cyclopts import Parameter

from cli.argil_client import argil_client
from cli.console import print_json, print_line, print_status
from cli.flow_runner import load_api_key
from cli.ledger_actions import run_on_ledger
from cli.options import JsonFlag, ProvisioningKey
from models.argil.voice import Voice, parse_voice_id
from models.clock import SystemClock
from models.errors import InvalidArguments, ProvisioningErased
from models.exit_codes import EXIT_OK
from models.provisioning import LeaseOwner, Provisioning
from models.settings import Settings
from services.store import Store, open_store
from services.voices.given_voices import list_possible_voices, record_given_voice, remove_voice


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

    Without a voice, the command lists those that it may be.

    Argil is asked for the voice first. A voice belongs to one avatar. One that is older than the submission is
    refused, because Argil did not create it for this avatar.

    Args:
        allow_older: Record the voice although it is older than the submission, for example a voice that was cloned
            earlier.
        remove: Remove the recorded voice from the ledger, for example because it belongs to another avatar. It
            stays at Argil.

    """
    if remove and voice_id is not None:
        raise InvalidArguments(
            "a voice and --remove exclude each other", hint="write `avatars voice ID VOICE_ID`, or only --remove"
        )
    if allow_older and voice_id is None:
        raise InvalidArguments("--allow-older is for VOICE_ID", hint="leave it out, or add VOICE_ID")
    owner = LeaseOwner(actor="voice", id=str(uuid.uuid4()))
    settings, clock = Settings.load(), SystemClock()
    if voice_id is None and not remove:
        return _list_possible(provisioning, settings, as_json=json)
    given = None if voice_id is None else parse_voice_id(voice_id)
    key = load_api_key(settings) if given else ""

    async def change(store: Store, current: Provisioning) -> Provisioning:
        if given is None:
            return await remove_voice(store.ledger, current, owner)
        async with argil_client(settings, key) as argil:
            return await record_given_voice(
                store.ledger, argil, clock, current, owner, given, allow_older=allow_older
            )

    return run_on_ledger([provisioning], change, is_one=True, as_json=json)


def _list_possible(provisioning_id: str, settings: Settings, *, as_json: bool) -> int:
    key = load_api_key(settings)

    async def read() -> tuple[Provisioning, list[Voice]]:
        async with open_store(settings, SystemClock()) as store, argil_client(settings, key) as argil:
            provisioning = await store.ledger.get(provisioning_id)
            if provisioning.erased_at is not None:
                raise ProvisioningErased(provisioning.id)
            return provisioning, await list_possible_voices(store.ledger, argil, provisioning)

    provisioning, voices = asyncio.run(read())
    if as_json:
        print_json([voice.model_dump(mode="json") for voice in voices])
        return EXIT_OK
    for voice in voices:
        created = (
            "created at an unknown time"
            if voice.created_at is None
            else f"created {voice.created_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        )
        mark = ", recorded for this avatar" if voice.id == provisioning.voice_id else ""
        print_line(f"{voice.id}  {voice.name or 'without a name'}, {created}{mark}")
    if voices:
        advice = (
            "some may be of other avatars. If the right one is among them, record it"
            if provisioning.voice_id is None
            else "another one replaces the recorded one"
        )
        print_status(f"{advice}: `avatars voice {provisioning.reference} VOICE_ID`")
    else:
        print_status(f"Argil has no voice that was created since the submission or is named {provisioning.name}")
    return EXIT_OK
