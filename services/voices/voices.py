"""Finds the voices of READY avatars: those that webhook deliveries name, or that match by name and creation.

READY never waits for a voice, and a failed lookup changes nothing else. A voice is recorded only after Argil
returned it by its id.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime

from models.argil.voice import TrainingPeriod, Voice, VoiceList, earliest_creation, match_voice, next_lookup_at
from models.errors import AvatarsError, ConcurrencyError, DatabaseError, OperationalError, PollFailed, RequestError
from models.image_request import ImageRequest
from models.provisioning import LeaseOwner, Provisioning, Status, Submission, VoiceSource, submission_of_avatar
from services.context import AppContext
from services.run_log import log_to_run
from services.voices.voice_cloning import cloned_voice_id

IMMEDIATE_SECONDS = 10.0
"""How long a run that has just recorded READY asks for the voices that deliveries name."""
CONCURRENT_LOOKUPS = 10
"""Voices that one pass looks up at a time."""
LOOKUP_SECONDS = 20.0
"""How long one pass starts lookups; the others stay due."""
MAX_FAILURES = 3
"""Failed requests after which a pass ends: Argil is away."""
MAX_DUE = 500
"""Provisionings per pass."""


async def find_delivered_voice(context: AppContext, provisioning: Provisioning, owner: LeaseOwner) -> Provisioning:
    """Record the voice that a delivery names for an avatar that has just become READY, if there is one.

    Returns:
        The provisioning, with its voice if it was found within IMMEDIATE_SECONDS.

    """
    if provisioning.status is not Status.READY or provisioning.avatar_id is None:
        return provisioning
    try:
        if (voice_id := await _requested_voice(context, provisioning)) is not None:
            return await context.ledger.record_requested_voice(provisioning, owner, voice_id)
        voice_ids = await context.ledger.list_delivered_voices(provisioning.avatar_id)
        if not voice_ids:
            return provisioning
        submissions = await context.ledger.list_submissions(provisioning.id)
        submission = submission_of_avatar(provisioning, submissions)
        async with asyncio.timeout(IMMEDIATE_SECONDS):
            voice = await _verify_delivered(context, voice_ids, earliest_creation(provisioning, submission))
        if voice is None:
            return provisioning
        return await context.ledger.record_voice(
            provisioning, owner, voice.id, VoiceSource.WEBHOOK, _describe(VoiceSource.WEBHOOK, voice)
        )
    except (AvatarsError, TimeoutError) as error:
        log_to_run("the voice of avatar %s is looked up later: %s", provisioning.avatar_id, _cause(error))
        return provisioning


async def look_up_voices(
    context: AppContext, owner: LeaseOwner, *, batch_id: str | None = None
) -> list[Provisioning]:
    """Look up the voices that are due, with at most one call of GET /voices; none while Argil pauses all requests.

    Args:
        context: The context of this process.
        owner: The caller, recorded in the events.
        batch_id: Only those of this batch, whenever they are due.

    Returns:
        The provisionings with a voice whose event `avatar.voice` is due, also from earlier passes.

    Raises:
        DatabaseError: The ledger cannot be read or written.

    """
    due = await context.ledger.list_voice_due(limit=MAX_DUE, batch_id=batch_id)
    found = [provisioning for provisioning in due if provisioning.voice_id is not None]
    missing = [provisioning for provisioning in due if provisioning.voice_id is None]
    if missing and not (await context.limits.read(context.guard)).pauses_requests:
        found += await _Lookup(context, owner).run(missing)
    return found


class _Lookup:
    """One pass: the account's voices, listed when the first provisioning needs them, and when it ends."""

    def __init__(self, context: AppContext, owner: LeaseOwner) -> None:
        self._context = context
        self._owner = owner
        self._deadline = context.clock.monotonic() + LOOKUP_SECONDS
        self._listed: VoiceList | None = None
        self._has_called_list = False
        self._list_lock = asyncio.Lock()
        self._failures = 0
        self._has_stopped = False
        self._error: DatabaseError | None = None
        self._slots = asyncio.Semaphore(CONCURRENT_LOOKUPS)

    async def run(self, missing: Sequence[Provisioning]) -> list[Provisioning]:
        """Look up each voice until the pass ends. Those that were looked up in vain are due again later."""
        context, found, looked_up = self._context, list[Provisioning](), list[Provisioning]()
        submissions = await context.ledger.list_submissions_by_provisioning([item.id for item in missing])

        async def look_up(provisioning: Provisioning) -> None:
            async with self._slots:
                if not self._is_over:
                    looked_up.append(provisioning)
                    submission = submission_of_avatar(provisioning, submissions[provisioning.id])
                    found.extend(await self._try(provisioning, submission))

        remaining = iter(missing)
        for provisioning in remaining:
            await look_up(provisioning)
            if found:
                break  # Argil answers; until then, one request at a time, which may fail
        await asyncio.gather(*map(look_up, remaining))
        if self._error is not None:
            raise self._error
        now = context.clock.now()
        await context.ledger.set_voice_due({item.id: next_lookup_at(item.updated_at, now) for item in looked_up})
        return found

    async def _try(self, provisioning: Provisioning, submission: Submission | None) -> list[Provisioning]:
        """Return the provisioning with its voice, or nothing; an error is logged, or ends the pass."""
        try:
            recorded = await self._look_up(provisioning, submission)
        except (ConcurrencyError, RequestError) as error:
            log_to_run("the voice of avatar %s was not recorded: %s", provisioning.avatar_id, error.message)
        except PollFailed as error:
            self._note_failure(provisioning, error)
        except DatabaseError as error:
            self._error, self._has_stopped = error, True
        except OperationalError as error:
            if not self._has_stopped:
                log_to_run("voices are looked up later: %s", error.message, level=logging.WARNING)
            self._has_stopped = True
        else:
            return [] if recorded is None else [recorded]
        return []

    @property
    def _is_over(self) -> bool:
        has_failed = self._has_stopped or self._failures >= MAX_FAILURES
        return has_failed or self._context.clock.monotonic() >= self._deadline

    def _note_failure(self, provisioning: Provisioning, error: PollFailed) -> None:
        """Count the failure: one voice that Argil cannot answer must not hide the others, but an outage ends it."""
        log_to_run(
            "the voice of avatar %s is looked up later: %s",
            provisioning.avatar_id,
            error.message,
            level=logging.WARNING,
        )
        # Retry-After pauses all requests of the account: the next one would wait for up to 15 minutes.
        self._failures += 1 if error.retry_after_seconds is None else MAX_FAILURES

    async def _look_up(self, provisioning: Provisioning, submission: Submission | None) -> Provisioning | None:
        if provisioning.avatar_id is None:
            return None
        context, source = self._context, VoiceSource.WEBHOOK
        if (voice_id := await _requested_voice(context, provisioning)) is not None:
            return await context.ledger.record_requested_voice(
                provisioning, self._owner, voice_id, announce_at=context.clock.now()
            )
        voice_ids = await context.ledger.list_delivered_voices(provisioning.avatar_id)
        voice = await _verify_delivered(context, voice_ids, earliest_creation(provisioning, submission))
        if voice is None and submission is not None:
            source = VoiceSource.MATCHED
            voice = await self._match(provisioning, provisioning.avatar_id, submission)
        if voice is None:
            return None
        return await context.ledger.record_voice(
            provisioning,
            self._owner,
            voice.id,
            source,
            _describe(source, voice),
            announce_at=context.clock.now(),
        )

    async def _match(self, provisioning: Provisioning, avatar_id: str, submission: Submission) -> Voice | None:
        async with self._list_lock:
            if not self._has_called_list:
                self._has_called_list = True
                self._listed = await self._context.argil.list_voices()
        if self._listed is None:
            return None  # the only call of this pass failed
        ledger = self._context.ledger
        period = TrainingPeriod(submission.created_at, provisioning.updated_at)
        named = self._listed.named(provisioning.name)
        foreign = await ledger.find_foreign_voices(avatar_id, [voice.id for voice in named]) if named else set()
        matched = match_voice(self._listed, provisioning.name, period, foreign)
        if matched is None or await ledger.has_namesake_in_training(provisioning, period):
            return None
        return await _verify(self._context, matched.id, submission.created_at)


async def _requested_voice(context: AppContext, provisioning: Provisioning) -> str | None:
    """Return the voice that an image request names or that was cloned for it. Argil returned its id before."""
    request = provisioning.request
    if not isinstance(request, ImageRequest):
        return None
    return request.voice_id or await cloned_voice_id(context, provisioning)


async def _verify_delivered(
    context: AppContext, voice_ids: Sequence[str], not_before: datetime | None
) -> Voice | None:
    """Return the only delivered voice that can be that of the avatar; None if there is none, or several."""
    verified = [
        voice for voice_id in voice_ids if (voice := await _verify(context, voice_id, not_before)) is not None
    ]
    return verified[0] if len(verified) == 1 else None


async def _verify(context: AppContext, voice_id: str, not_before: datetime | None) -> Voice | None:
    """Return the voice if Argil has it and did not create it earlier; None for `not_before` allows any time."""
    voice = await context.argil.get_voice(voice_id)
    return None if voice is None or voice.is_older_than(not_before) else voice


def _describe(source: VoiceSource, voice: Voice) -> str:
    how = {
        VoiceSource.WEBHOOK: "a webhook delivery named it",
        VoiceSource.MATCHED: "it is the only voice of this name that was created during the training",
    }
    return f"voice {voice.id} is recorded: {how[source]}"


def _cause(error: BaseException) -> str:
    return error.message if isinstance(error, AvatarsError) else "Argil takes too long"
