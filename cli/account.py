"""`avatars account`: the differences between the account at Argil and the ledger."""

from __future__ import annotations

import asyncio
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from cli.argil_account import open_account
from cli.console import print_json, print_line, print_status
from cli.flow_runner import load_api_key
from cli.options import JsonFlag
from models.argil.unknown_avatars import REMEDY
from models.exit_codes import EXIT_OK
from models.recordings.uploads import Upload
from models.reports.account_report import AccountAvatar, AccountReport, LedgerAvatar, UnusedUploads
from models.settings import Settings

DEFAULT_LIMIT = 20
MAX_LIMIT = 10_000


def account(
    *,
    limit: Annotated[int, Parameter(validator=Number(gte=1, lte=MAX_LIMIT))] = DEFAULT_LIMIT,
    json: JsonFlag = False,
) -> int:
    """Compare the avatars of the Argil account with the ledger, with one list call.

    It also lists the uploads that no provisioning names. A difference is not an error: the exit code is 0.

    Args:
        limit: How many differences of each kind, and uploads, are named; the counts include all.

    """
    settings = Settings.load()
    key = load_api_key(settings)
    from services.account.account_report import compare_account  # it imports Prefect

    async def read() -> AccountReport:
        async with open_account(settings, key) as (store, argil):
            listed = await argil.list_account()
            return await compare_account(store.ledger, store.uploads, listed, limit)

    report = asyncio.run(read())
    if json:
        print_json(report.to_json())
    else:
        _print(report)
    return EXIT_OK


def _print(report: AccountReport) -> None:
    for line in report.describe():
        print_line(line)
    for name, differences in report.kinds.items():
        for item in differences.first:
            print_line(f"  {name}: {_describe(item)}")
        if (more := differences.count - len(differences.first)) > 0:
            print_line(f"  {name}: {more:,} more")
    _print_uploads(report.uploads)
    if report.ours.count > report.ignored_count:
        print_status(REMEDY)
    if report.others.count:
        print_status("`avatars adopt AVATAR_ID --reference R` puts an avatar that was made elsewhere on record")
    if report.missing.count:
        print_status(
            "the list may omit an avatar for minutes; `avatars reconcile` polls those in TRAINING by their ids. "
            "Others that stay missing were deleted at Argil, or belong to another account"
        )


def _print_uploads(uploads: UnusedUploads) -> None:
    for upload in uploads.first:
        print_line(f"  unused_uploads: {_describe_upload(upload)}")
    if (more := uploads.count - len(uploads.first)) > 0:
        print_line(f"  unused_uploads: {more:,} more")
    if uploads.count:
        print_status("delete the objects that you do not need; a command sends a file again if it needs it")


def _describe_upload(upload: Upload) -> str:
    state = "complete" if upload.completed_at else "perhaps incomplete"
    created = f"{upload.created_at:%Y-%m-%d %H:%M} UTC"
    return f"{upload.uri}  {upload.size_bytes:,} bytes  {state}  {created}  {upload.actor}"


def _describe(item: AccountAvatar | LedgerAvatar) -> str:
    if isinstance(item, LedgerAvatar):
        return f"{item.avatar_id}  {item.status}  {item.provisioning_id}  {item.reference}"
    parts = [item.avatar_id, item.status, item.name or "(no name)"]
    if item.submission_id is not None:
        parts.append(f"submission {item.submission_id}")
    if item.provisioning_id is not None:
        parts.append(f"of provisioning {item.provisioning_id}")
    return "  ".join([*parts, *(["ignored"] if item.is_ignored else [])])
