"""The voice that a person names for an avatar, and those that it may be. Without Prefect, which loads slowly."""

from __future__ import annotations

from clients.argil import ArgilClient
from models.argil.voice import Voice, earliest_creation
from models.clock import Clock
from models.errors import NotReady, OperationalError, PollFailed, VoiceRefused
from models.outcomes import next_step
from models.provisioning import LeaseOwner, Provisioning, Status, VoiceSource, submission_of_avatar
from store.ledger import Ledger


async def record_given_voice(
    ledger: Ledger,
    argil: ArgilClient,
    clock: Clock,
    provisioning: Provisioning,
    owner: LeaseOwner,
    voice_id: str,
    *,
    allow_older: bool = False,
) -> Provisioning:
    """Record the voice of a READY avatar; it replaces a former one. The next run of reconcile-avatars announces it.

    Args:
        ledger: The ledger.
        argil: The client of the account.
        clock: The clock of the ledger.
        provisioning: The provisioning as it was read.
        owner: The writer.
        voice_id: The id of the voice.
        allow_older: Whether a person said that the voice may be older than the submission. For an adopted avatar,
            which has none, any voice is accepted.

    Raises:
        NotReady: The avatar is not READY.
        VoiceRefused: Argil has no such voice, or created it before the submission.
        VoiceTaken: Another provisioning has the voice.
        ProvisioningErased: The provisioning was erased.
        OperationalError: Argil does not answer or rejects the API key, or the ledger fails.
        StaleVersion: Another owner changed the provisioning since it was read.

    """
    _require_ready(provisioning)
    if provisioning.voice_id == voice_id:
        return provisioning
    voice = await _read_voice(argil, voice_id)
    if not allow_older:
        await _require_newer(ledger, provisioning, voice)
    return await ledger.record_voice(
        provisioning,
        owner,
        voice_id,
        VoiceSource.GIVEN,
        f"voice {voice_id} is recorded: a person named it",
        announce_at=clock.now(),
    )


async def list_possible_voices(ledger: Ledger, argil: ArgilClient, provisioning: Provisioning) -> list[Voice]:
    """Return the voices of the account that may be that of a READY avatar, those of its name first.

    These have its name, or were created since its submission. Voices of other avatars are left out.

    Raises:
        NotReady: The avatar is not READY.
        OperationalError: Argil does not answer or rejects the API key, or the ledger fails.
    """
    _require_ready(provisioning)
    try:
        voices = (await argil.list_voices()).voices
    except PollFailed as error:
        raise OperationalError(
            f"the voices could not be listed: {error.message}", hint="run the command again later"
        ) from None
    submission = submission_of_avatar(provisioning, await ledger.list_submissions(provisioning.id))
    since = earliest_creation(provisioning, submission)
    possible = [
        voice
        for voice in voices
        if voice.name == provisioning.name or not (voice.created_at is None or voice.is_older_than(since))
    ]
    foreign = await ledger.find_foreign_voices(provisioning.avatar_id or "", [voice.id for voice in possible])
    possible.sort(key=lambda voice: (voice.name != provisioning.name, voice.id))
    return [voice for voice in possible if voice.id not in foreign]


async def remove_voice(ledger: Ledger, provisioning: Provisioning, owner: LeaseOwner) -> Provisioning:
    """Remove the voice of an avatar from the ledger, not from Argil. Raises the errors of `Ledger.transition`."""
    if provisioning.voice_id is None:
        return provisioning
    return await ledger.remove_voice(
        provisioning, owner, f"voice {provisioning.voice_id} is no longer recorded: a person removed it"
    )


def _require_ready(provisioning: Provisioning) -> None:
    if provisioning.status is not Status.READY:
        raise NotReady(
            f"provisioning {provisioning.id} is {provisioning.status}: only a READY avatar has a voice",
            hint=next_step(provisioning)
            if provisioning.status.is_terminal
            else f"wait until it is READY, see `avatars show {provisioning.id}`",
        )


async def _read_voice(argil: ArgilClient, voice_id: str) -> Voice:
    try:
        voice: Voice | None = await argil.get_voice(voice_id)
    except PollFailed as error:
        raise OperationalError(
            f"voice {voice_id} could not be read: {error.message}",
            hint="compare the id with that in Argil's app, then run the command again",
        ) from None
    if voice is None:
        raise VoiceRefused(
            f"Argil has no voice with the id {voice_id}", hint="copy the id of the voice from Argil's app"
        )
    return voice


async def _require_newer(ledger: Ledger, provisioning: Provisioning, voice: Voice) -> None:
    submission = submission_of_avatar(provisioning, await ledger.list_submissions(provisioning.id))
    if submission is not None and voice.is_older_than(submission.created_at):
        raise VoiceRefused(
            f"voice {voice.id} was created at {voice.created_at:%Y-%m-%d %H:%M:%S %Z}, before the avatar was "
            f"submitted at {submission.created_at:%Y-%m-%d %H:%M:%S %Z}",
            hint="name the voice that Argil created for this avatar, or add --allow-older if this one is right",
        )
