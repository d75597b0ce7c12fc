"""`avatars resume`, `retry` and `retrain`: continue provisionings, or re-open terminal ones."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from cli.concurrent_runs import run_each_and_report
from cli.flow_runner import run_and_report
from cli.ledger_actions import run_on_ledger
from cli.local_uploads import has_local_recordings, upload_fields
from cli.options import JsonFlag, ProvisioningKey
from cli.selection import BatchOption, ProvisioningKeys, Selection, StatusOption, require_changeable, select_ids
from models.clock import SystemClock
from models.exit_codes import EXIT_OK
from models.outcomes import OUTCOMES
from models.provisioning import LeaseOwner, Provisioning, Status
from models.reopening import RETRYABLE_STATUSES, SCHEDULE_RESUMABLE_STATUSES
from models.request import parse_reason
from models.settings import Settings
from models.text.plural import counted
from services.reopening import require_retrainable, require_retryable
from services.reopening import retry as retry_in_ledger
from services.store import Store, open_store

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

_IN_FLIGHT = frozenset(status for status in Status if not status.is_terminal)
_CONTINUED_STATUSES = SCHEDULE_RESUMABLE_STATUSES | _IN_FLIGHT
"""Of a batch. A provisioning that a person cancelled is named by its id or `--status CANCELLED`."""


def resume(
    *provisionings: ProvisioningKeys,
    status: StatusOption = None,
    batch: BatchOption = None,
    reason: str = "",
    json: JsonFlag = False,
) -> int:
    """Resume provisionings from their recorded status and wait for their outcome.

    TIMED_OUT, CANCELLED and VANISHED ones are re-opened where they stopped. What was submitted is not submitted
    again; what was not submitted yet is, and it is charged like any request.

    Args:
        reason: Who decided and why; it is recorded in the ledger.

    """
    selection = Selection(provisionings, status, batch)
    return _run(selection, _CONTINUED_STATUSES, action="resume", reason=reason, as_json=json)


def retry(
    *provisionings: ProvisioningKeys,
    status: StatusOption = None,
    batch: BatchOption = None,
    enqueue: Annotated[bool, Parameter(negative=())] = False,
    reason: str = "",
    json: JsonFlag = False,
) -> int:
    """Check and submit rejected provisionings again and wait for their outcome.

    The rejected attempts cost nothing, because nothing was sent. What passes the checks now is submitted, and
    charged like any request. Those whose recordings are in quarantine, or not in AVATARS_SOURCES, stay REJECTED.

    Args:
        enqueue: Return immediately; the schedule `provision-pending` submits them.
        reason: Who decided and why; it is recorded in the ledger.

    """
    selection = Selection(provisionings, status, batch)
    require_changeable(selection, RETRYABLE_STATUSES | _IN_FLIGHT, "retry")
    if not enqueue:
        return _run(selection, RETRYABLE_STATUSES, action="retry", reason=reason, as_json=json)
    owner = LeaseOwner(actor="retry", id=str(uuid.uuid4()))
    settings = Settings.load()

    async def reopen(store: Store, provisioning: Provisioning) -> Provisioning:
        return await retry_in_ledger(store.ledger, store.quarantine, provisioning, owner, settings.sources, reason)

    return run_on_ledger(
        asyncio.run(select_ids(selection, RETRYABLE_STATUSES)),
        reopen,
        is_one=selection.names_one,
        as_json=json,
        exit_code=lambda item: OUTCOMES[item.status].exit_code if item.status.is_terminal else EXIT_OK,
    )


def retrain(
    provisioning: ProvisioningKey,
    /,
    *,
    reason: str,
    dataset_video: str = "",
    consent_video: str = "",
    image: str = "",
    voice_id: str = "",
    voice_sample: str = "",
    json: JsonFlag = False,
) -> int:
    """Submit a failed provisioning again under its reference, which may be charged, and wait for its outcome.

    For TRAINING_FAILED, SUBMISSION_FAILED and VANISHED. After an earlier submission also for REJECTED, and for
    ACCEPTED with other recordings or another voice. If Argil has an earlier avatar that is usable or in training,
    that one is used, and nothing is submitted.

    Args:
        reason: Who decided and why; it is recorded in the ledger.
        dataset_video: Address of another dataset video, if it was recorded again. A path needs AVATARS_UPLOAD_URL,
            as for the other recordings.
        consent_video: Address or path of another consent video.
        image: Address or path of another image, for an image request.
        voice_id: Id of another voice at Argil, for an image request. It replaces the voice or the voice sample.
        voice_sample: Address or path of another voice sample, from which Argil clones a voice; it replaces the
            same.

    """
    parse_reason(reason)
    recordings = {
        "dataset_video": dataset_video,
        "consent_video": consent_video,
        "image": image,
        "voice_sample": voice_sample,
    }
    has_changes = any([voice_id, *recordings.values()])
    asyncio.run(_require_reopenable(provisioning, "retrain", has_changes=has_changes))
    if has_local_recordings(recordings):
        recordings = upload_fields(recordings, "avatars retrain", Settings.load())
    parameters = {"reason": reason, "voice_id": voice_id, **recordings}

    async def start() -> State:
        return await _start(provisioning, action="retrain", **parameters)

    return run_and_report(start, key=provisioning, title=f"retraining {provisioning}", as_json=json)


def _run(
    selection: Selection, batch_statuses: frozenset[Status], *, action: str, reason: str, as_json: bool
) -> int:
    if reason:
        parse_reason(reason)
    ids = asyncio.run(select_ids(selection, batch_statuses))
    if selection.names_one:
        asyncio.run(_require_reopenable(ids[0], action))
    title = f"{action}: {selection.keys[0] if selection.names_one else counted(len(ids), 'provisioning')}"

    async def start(provisioning_id: str) -> State:
        return await _start(provisioning_id, action=action, reason=reason)

    if selection.names_one:
        return run_and_report(lambda: start(ids[0]), key=ids[0], title=title, as_json=as_json)
    return run_each_and_report(start, ids, title=title, as_json=as_json)


async def _require_reopenable(key: str, action: str, *, has_changes: bool = False) -> None:
    """Raise the error that the run would end with, before a Prefect server is started or a file uploaded."""
    async with open_store(Settings.load(), SystemClock()) as store:
        provisioning = await store.ledger.get(key)
        if action == "retrain":
            await require_retrainable(store.ledger, store.quarantine, provisioning, has_changes=has_changes)
        elif action == "retry":
            await require_retryable(store.quarantine, provisioning)


async def _start(provisioning_id: str, **parameters: Any) -> State:
    from flows.resume_provisioning import resume_provisioning

    state: State = await resume_provisioning(provisioning_id, wait="block", return_state=True, **parameters)
    return state
