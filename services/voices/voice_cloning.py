"""Clones the voice of an image request once: intent, POST, and a lookup by name if the outcome is unknown.

The same rules as for a submission apply (docs/outcomes.md): whatever crashes, the next lease owner finds the intent
and looks its voice up before another one is cloned.
"""

from __future__ import annotations

from collections.abc import Sequence

from models.argil.voice import Voice
from models.argil.voice_clone import UNRESOLVED_CLONES, VoiceClone, clones_of_sample
from models.errors import (
    ArgilUnavailable,
    ArgilUnreachable,
    NetworkUnavailable,
    PollFailed,
    RecordingChanged,
    RecordingsChange,
    StoreUnavailable,
    SubmissionOutcomeUnknown,
    SubmissionRejected,
    SubmissionUnresolved,
)
from models.limits import pause_after
from models.media.rules import MediaRole
from models.provisioning import LeaseOwner, Provisioning, SubmissionState
from models.reason import Reason
from models.recordings.identity import identity_digest
from services.admission import require_admission, wait_out_rate_pause
from services.context import AppContext
from services.recordings.recording_links import RecordingLinks

SAMPLE_REFUSED = "voice-sample.refused"
POLLS_PER_GRACE_PERIOD = 10
MIN_POLL_SECONDS = 0.2
MAX_POLL_SECONDS = 5.0
LOOKUP_TIMEOUT_SECONDS = 600.0
"""How long a lookup continues without a list that proves something; then it is an operational error."""


def sample_digest(provisioning: Provisioning) -> str | None:
    """Return the digest of the voice sample of a request, None if it has none."""
    sample = provisioning.request.recordings.get(MediaRole.VOICE_SAMPLE)
    return None if sample is None else identity_digest(sample)


async def cloned_voice_id(context: AppContext, provisioning: Provisioning) -> str | None:
    """Return the voice that was cloned from the sample of a request, None without one. Raises DatabaseError."""
    if (digest := sample_digest(provisioning)) is None:
        return None
    clones = clones_of_sample(await context.ledger.list_voice_clones(provisioning.id), digest)
    return next((clone.voice_id for clone in clones if clone.state is SubmissionState.CREATED), None)


async def clone_sample(
    context: AppContext, provisioning: Provisioning, owner: LeaseOwner, digest: str
) -> tuple[Provisioning, Reason | None]:
    """Clone the voice of a sample unless it was cloned before.

    Args:
        context: The context of this process.
        provisioning: An image request in ACCEPTED with a sample.
        owner: The owner of its lease.
        digest: The digest of the sample.

    Returns:
        The provisioning, and why Argil refused the sample; None if the voice exists.

    Raises:
        ArgilUnavailable: No voice was cloned, for a reason outside the request.
        StoreUnavailable: The store of the sample gives no access, or no URL can be signed.
        RecordingsChange: The sample changed after it was checked.
        SubmissionUnresolved: No list proves whether the voice exists; nothing changed.
        SubmissionPaused: A pause stands.
        DayBudgetUsed: AVATARS_MAX_CREATES_PER_DAY is used up.
        BatchBudgetUsed: AVATARS_MAX_CREATES_PER_BATCH is used up.
        LeaseLost: The owner's lease was lost before the POST.
        StaleVersion: Another owner changed the provisioning; a recorded intent is looked up later.
        DatabaseError: The ledger cannot be read or written.

    """
    clones = clones_of_sample(await context.ledger.list_voice_clones(provisioning.id), digest)
    if any(clone.state is SubmissionState.CREATED for clone in clones):
        return provisioning, None
    if sent := [clone for clone in clones if clone.state is not SubmissionState.NOT_CREATED]:
        provisioning, is_found = await _look_up(context, provisioning, owner, sent)
        if is_found:
            return provisioning, None
    await wait_out_rate_pause(context, lambda: require_admission(context, provisioning, owner))
    return await _clone(context, provisioning, owner, digest)


async def _clone(
    context: AppContext, provisioning: Provisioning, owner: LeaseOwner, digest: str
) -> tuple[Provisioning, Reason | None]:
    role = MediaRole.VOICE_SAMPLE
    with RecordingLinks(context, provisioning, {role: provisioning.request.recordings[role]}) as links:
        try:
            await links.renew()
        except RecordingChanged as error:
            raise _changed(provisioning, error) from None
        current, clone = await context.ledger.begin_voice_clone(provisioning, owner, digest)
        return await _send(context, current, owner, clone, links)


def _changed(provisioning: Provisioning, error: RecordingChanged) -> RecordingsChange:
    return RecordingsChange(error.message, hint=f"`avatars resume {provisioning.id}` checks it again")


async def _send(
    context: AppContext, current: Provisioning, owner: LeaseOwner, clone: VoiceClone, links: RecordingLinks
) -> tuple[Provisioning, Reason | None]:
    ledger = context.ledger

    async def renew_lease() -> None:
        await context.leases.renew(current.id, owner, context.lease_duration, version=current.version)

    async def sample_url() -> str:
        return (await links.take())[MediaRole.VOICE_SAMPLE]

    try:
        voice = await context.argil.create_voice(clone.name or "", sample_url, before_each_attempt=renew_lease)
    except RecordingChanged as error:
        changed = _changed(current, error)
        await ledger.resolve_voice_clone(current, owner, changed.message, clone, SubmissionState.NOT_CREATED)
        raise changed from None
    except SubmissionRejected as error:
        refused = await ledger.resolve_voice_clone(
            current, owner, error.message, clone, SubmissionState.NOT_CREATED
        )
        hint = "replace the voice sample, or request the avatar with a voice id or without a voice"
        return refused, Reason(code=SAMPLE_REFUSED, message=error.message, hint=hint)
    except (ArgilUnavailable, StoreUnavailable, NetworkUnavailable) as error:
        pause = (cause, context.guard) if (cause := pause_after(error)) is not None else None
        await ledger.resolve_voice_clone(
            current, owner, error.message, clone, SubmissionState.NOT_CREATED, pause=pause
        )
        raise
    except SubmissionOutcomeUnknown as error:
        unknown = await ledger.resolve_voice_clone(current, owner, error.message, clone, SubmissionState.UNKNOWN)
        sent = clone.model_copy(update={"state": SubmissionState.UNKNOWN})
        looked_up, is_found = await _look_up(context, unknown, owner, [sent])
        if is_found:
            return looked_up, None
        raise ArgilUnreachable(
            f"the request to clone the voice got no response, and no voice was cloned: {error.message}",
            hint=f"`avatars resume {current.id}` clones it again",
        ) from None
    created = await ledger.resolve_voice_clone(
        current, owner, f"Argil cloned voice {voice.id}", clone, SubmissionState.CREATED, voice_id=voice.id
    )
    return created, None


async def _look_up(
    context: AppContext, provisioning: Provisioning, owner: LeaseOwner, sent: Sequence[VoiceClone]
) -> tuple[Provisioning, bool]:
    """Adopt the voice of the earliest intent that has one; mark the others as lost.

    Returns:
        The provisioning, and whether a voice was adopted. Otherwise a complete list proved that there is none.

    """
    unresolved = [clone for clone in sent if clone.state in UNRESOLVED_CLONES]
    grace_seconds = context.settings.avatars_lookup_grace_seconds if unresolved else 0.0
    if any(clone.state is SubmissionState.PENDING for clone in unresolved):
        # After a step of the clock a lease only seems to have expired: its request may still be in transit.
        grace_seconds += context.lease_duration.total_seconds()
    found = await _poll_for_voice(context, provisioning, sent, grace_seconds)
    current = provisioning
    for clone in unresolved:
        if found is None or found[0].id != clone.id:
            message = "no voice has the name of the intent: it is considered lost"
            current = await context.ledger.resolve_voice_clone(current, owner, message, clone, SubmissionState.LOST)
    if found is None:
        return current, False
    clone, voice = found
    message = f"voice {voice.id} was cloned from the sample; found by its name and adopted"
    adopted = await context.ledger.resolve_voice_clone(
        current, owner, message, clone, SubmissionState.CREATED, voice_id=voice.id
    )
    return adopted, True


async def _poll_for_voice(
    context: AppContext, provisioning: Provisioning, sent: Sequence[VoiceClone], grace_seconds: float
) -> tuple[VoiceClone, Voice] | None:
    """Return the voice with the exact name of an intent; None if a list proves that there is none."""
    clock = context.clock
    interval = min(max(grace_seconds / POLLS_PER_GRACE_PERIOD, MIN_POLL_SECONDS), MAX_POLL_SECONDS)
    started_at = clock.monotonic()
    first_list_at: float | None = None
    while True:
        polled_at, wait, problem = clock.monotonic(), interval, ""
        try:
            listed = await context.argil.list_voices()
        except PollFailed as error:
            problem, wait = error.message, max(interval, error.retry_after_seconds or 0.0)
        else:
            for clone in sent:
                if clone.name and (named := listed.named(clone.name)):
                    return clone, named[0]
            first_list_at = polled_at if first_list_at is None else first_list_at
            problem = listed.incomplete_because
            if not problem and polled_at >= first_list_at + grace_seconds:
                return None
        if problem and polled_at - started_at > min(LOOKUP_TIMEOUT_SECONDS, 3 * grace_seconds + MAX_POLL_SECONDS):
            raise SubmissionUnresolved(
                f"it is unknown whether Argil cloned a voice: {problem}",
                hint="nothing is cloned again: wait until Argil responds, then run "
                f"`avatars resume {provisioning.id}`",
            )
        await clock.sleep(wait)
