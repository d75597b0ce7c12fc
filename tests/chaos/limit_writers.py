"""Writers in separate processes that race for a limit: `python -m tests.chaos.limit_writers`.

Settings come from the environment. Stdin is a JSON object: `references` of recorded requests, one writer for each;
`victims`, how many of the writers are killed at a random moment; and `seed`. Each writer submits once. Stdout is a
JSON list with the result of each writer: its status, the code of its error, or "killed".
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
import traceback
from uuid import uuid4

from clients.argil import ArgilClient
from models.clock import SystemClock
from models.errors import DayBudgetUsed, SubmissionRejected
from models.limits import SubmissionGuard
from models.provisioning import LeaseOwner, Status, SubmissionState
from models.settings import Settings
from services.store import open_store
from services.submissions import build_create_request

MAX_DELAY_SECONDS = 0.5
"""A victim is killed at most so long after the first writers began."""


async def _submit(reference: str) -> str:
    settings, clock, owner = Settings.load(), SystemClock(), LeaseOwner(actor="writer", id=str(uuid4()))
    guard = SubmissionGuard(settings.spend_limits)
    key, rate = settings.require_api_key(), settings.avatars_requests_per_second
    async with (
        open_store(settings, clock) as store,
        ArgilClient(settings.argil_api_url, key, clock=clock, requests_per_second=rate) as argil,
    ):
        accepted, ledger = await store.ledger.get(reference), store.ledger
        try:
            submitting, submission = await ledger.begin_submission(accepted, owner, "submitted", guard)
        except DayBudgetUsed as error:
            return error.code
        try:
            avatar = await argil.create_avatar(
                build_create_request(accepted.request, submission.id, accepted.request.recordings)
            )
        except SubmissionRejected as error:
            state, status = SubmissionState.NOT_CREATED, Status.SUBMISSION_FAILED
            message, avatar_id = error.message, None
        else:
            state, status, message, avatar_id = SubmissionState.CREATED, Status.TRAINING, "created", avatar.id
        await ledger.resolve_submission(
            submitting, owner, message, submission, state, new_status=status, avatar_id=avatar_id
        )
        return status


def _fork(reference: str) -> tuple[int, int]:
    """Fork a writer, which inherits the imported modules; return its process id and the pipe of its result."""
    read_end, write_end = os.pipe()
    if pid := os.fork():
        os.close(write_end)
        return pid, read_end
    try:
        result = asyncio.run(_submit(reference))
        os.write(write_end, result.encode())
    except BaseException:  # noqa: BLE001  # the empty result tells the parent process
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(0)


def main() -> None:
    """Start all writers, kill some of them, and print the results."""
    order = json.load(sys.stdin)
    rng = random.Random(order["seed"])  # noqa: S311  # seeded: repeatable
    writers = [_fork(reference) for reference in order["references"]]
    for delay, (pid, _) in sorted((rng.random(), writer) for writer in rng.sample(writers, order["victims"])):
        time.sleep(delay * MAX_DELAY_SECONDS / max(order["victims"], 1))  # kill at a random moment
        os.kill(pid, signal.SIGKILL)  # not waited for yet, so the id is still that of the writer
    results = []
    for pid, pipe in writers:
        with os.fdopen(pipe) as output:
            text = output.read()
        _, status = os.waitpid(pid, 0)
        results.append("killed" if os.WIFSIGNALED(status) else text)
    sys.stdout.write(json.dumps(results))


if __name__ == "__main__":
    main()
