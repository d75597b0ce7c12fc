"""Re-opens a failed provisioning for another submission. It may cost money, so only a person asks for it."""

from __future__ import annotations

from collections.abc import Mapping

from models.errors import InvalidRequest, NotReopenable, SubmissionLimitReached
from models.provisioning import LeaseOwner, Provisioning, Status
from models.reopening import RETRAINED, CallerAction
from models.request import AvatarRequest, parse_reason, validate_fields
from models.request_sources import require_sources
from services.account.earlier_avatars import find_earlier_avatar
from services.context import AppContext
from services.reopening import require_retrainable
from services.submissions import limit_problem

_VOICE_FIELDS = frozenset({"voice_id", "voice_sample"})
"""Fields of an image request that exclude each other."""


async def retrain(
    context: AppContext, provisioning: Provisioning, owner: LeaseOwner, reason: str, **changes: str
) -> Provisioning:
    """Return the provisioning in ACCEPTED, or in TRAINING with an earlier avatar that did not fail after all.

    In the second case nothing is submitted, and the request stays as it is. One that waits in ACCEPTED for another
    submission gets other recordings or another voice. It is returned unchanged if this caller asked for a retrain
    before, also for one in flight: a run that starts again never retrains. The count for AVATARS_RETRAIN_LIMIT
    stays.

    Args:
        context: The context of this process.
        provisioning: The provisioning as it was read.
        owner: The caller.
        reason: Who decided and why; its event stores it.
        **changes: The addresses of other recordings, and another `voice_id` at Argil, by the field of the request;
            empty to keep what the request has. A voice and a voice sample replace each other.

    Raises:
        NotReopenable: Its status is none of `retrainable_statuses`.
        ProvisioningErased: It was erased.
        InvalidRequest: The reason, an address or the voice breaks a rule, or an address is not in AVATARS_SOURCES.
        SubmissionLimitReached: AVATARS_SUBMISSION_LIMIT is used up; nothing was changed.
        ArgilUnreachable: The earlier avatars could not be read; nothing was changed.
        SubmissionUnresolved: An earlier submission may have an avatar; nothing was changed.
        ArgilUnauthorized: Argil rejects the API key.
        StaleVersion: Another owner changed it since it was read.
        DatabaseError: The ledger cannot be read or written.
    """
    if await context.ledger.has_called(provisioning.id, owner, CallerAction.RETRAIN):
        return provisioning
    reason = parse_reason(reason)
    given = {name: text for name, text in changes.items() if text}
    try:
        await require_retrainable(context.ledger, context.quarantine, provisioning, has_changes=bool(given))
    except NotReopenable:
        if not provisioning.status.is_terminal:
            # If that attempt fails, too, only a new run retrains it, not this one when it starts again.
            await context.ledger.record_call(provisioning.id, owner, CallerAction.RETRAIN)
        raise
    request = _with_changes(provisioning.request, given)
    earlier = await find_earlier_avatar(context, provisioning, owner, for_retrain=True)
    if earlier is not None:
        message = (
            f"continued with avatar {earlier.avatar.id}, which Argil reports as {earlier.avatar.status}: {reason}"
        )
        return await context.ledger.reopen(
            provisioning, owner, CallerAction.RETRAIN, message, Status.TRAINING, earlier=earlier
        )
    require_sources(request, context.settings.sources)
    if problem := await limit_problem(context, provisioning):
        raise SubmissionLimitReached(
            f"provisioning {provisioning.id} cannot be retrained: {problem}", hint="raise AVATARS_SUBMISSION_LIMIT"
        )
    change = _describe_change(provisioning, request)
    return await context.ledger.reopen(
        provisioning,
        owner,
        CallerAction.RETRAIN,
        f"{RETRAINED} {change}: {reason}",
        Status.ACCEPTED,
        request=request,
    )


def _with_changes(request: AvatarRequest, changes: Mapping[str, str]) -> AvatarRequest:
    """Return the request with these fields; a voice replaces the former one. Raises InvalidRequest."""
    rule = f"is not a field of this request, which is of the kind {request.kind}"
    if problems := [(name, rule) for name in changes if name not in type(request).model_fields]:
        raise InvalidRequest(problems, hint="give its own recordings, or make a new request with another reference")
    if not changes:
        return request
    without = dict.fromkeys(_VOICE_FIELDS) if _VOICE_FIELDS & changes.keys() else {}
    return validate_fields(type(request), {**request.model_dump(), **without, **changes})


def _describe_change(provisioning: Provisioning, after: AvatarRequest) -> str:
    """Return what is other, for the event. Addresses of the same object, signed or not, are the same."""
    if provisioning.request_fingerprint in after.fingerprints:
        return "the same recordings"
    voice = {name: getattr(after, name) for name in _VOICE_FIELDS if hasattr(after, name)}
    is_only_voice = provisioning.request.model_copy(update=voice).fingerprint in after.fingerprints
    return "another voice" if is_only_voice else "other recordings"
