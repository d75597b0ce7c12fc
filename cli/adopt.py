"""`avatars adopt`: put avatars that were made elsewhere on record. Nothing is created and nothing is paid."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from cli.argil_account import open_account
from cli.console import print_json, print_line, print_status
from cli.flow_runner import load_api_key
from cli.options import DryRunFlag, JsonFlag
from cli.rendering import print_outcome
from models.adoption import AdoptionResult
from models.environment.regular_files import read_regular_file
from models.errors import InvalidArguments, InvalidRequest
from models.exit_codes import EXIT_OK
from models.manifest.adoption_map import MAX_BYTES, parse_adoption_map, raise_problems
from models.provisioning import LeaseOwner
from models.reports.json_views import provisioning_summary
from models.settings import Settings
from models.text.plural import counted
from services.account.adoption import AdoptionReport, RequestedAdoption
from services.account.adoption import adopt as adopt_in_ledger

ACTOR = "adopt"


def adopt(
    avatar_id: str | None = None,
    /,
    *,
    reference: str = "",
    all_: Annotated[bool, Parameter(name="--all", negative=())] = False,
    map_: Annotated[Path | None, Parameter(name="--map")] = None,
    dry_run: DryRunFlag = False,
    json: JsonFlag = False,
) -> int:
    """Put avatars on record that were made without this service, with one list call; nothing is created.

    Either one avatar with `--reference`, or all avatars of a map. If one row of the map has a problem, none is
    adopted. An avatar that was adopted before stays as it is. One that this service created is refused.

    Args:
        avatar_id: Id of the avatar at Argil.
        reference: Your own unique key for it.
        all_: Adopt every avatar of the map.
        map_: CSV with the columns avatar_id and reference.
        dry_run: Check everything and record nothing.

    """
    requested = _read_requested(avatar_id, reference, map_, is_all=all_)
    settings = Settings.load()
    key = load_api_key(settings)

    async def run() -> AdoptionReport:
        owner = LeaseOwner(actor=ACTOR, id=str(uuid.uuid4()))
        async with open_account(settings, key) as (store, argil):
            return await adopt_in_ledger(store.ledger, argil, requested, owner, is_preview=dry_run)

    report = asyncio.run(run())
    _raise_problems(requested, report.results, is_one=map_ is None)
    if map_ is None:
        _print_one(report.results[0], requested[0], as_json=json, is_preview=dry_run)
    else:
        _print_all(report, as_json=json, is_preview=dry_run)
    return EXIT_OK


def _read_requested(
    avatar_id: str | None, reference: str, path: Path | None, *, is_all: bool
) -> list[RequestedAdoption]:
    """Return what the arguments ask for. Raises InvalidArguments, InvalidManifest or InvalidRequest."""
    is_one, is_mapped = avatar_id is not None, is_all or path is not None
    if is_one == is_mapped or is_all != (path is not None) or bool(reference) != is_one:
        raise InvalidArguments(
            "the arguments name neither one avatar nor a map",
            hint="pass AVATAR_ID --reference REFERENCE, or --all --map FILE with a CSV file of avatar_id,reference",
        )
    if path is None:
        return [RequestedAdoption("avatar", avatar_id or "", reference)]
    try:
        data = read_regular_file(path.expanduser(), MAX_BYTES)
    except OSError as error:
        raise InvalidRequest(
            [("map", f"{path} cannot be read: {error.strerror or type(error).__name__}")],
            hint="pass the path of a CSV file",
        ) from None
    return [
        RequestedAdoption(f"line {item.line}", item.avatar_id, item.reference) for item in parse_adoption_map(data)
    ]


def _raise_problems(
    requested: Sequence[RequestedAdoption], results: Sequence[AdoptionResult], *, is_one: bool
) -> None:
    problems = [
        (item.place, result.problem) for item, result in zip(requested, results, strict=True) if result.problem
    ]
    if is_one and problems:
        raise problems[0][1]
    raise_problems(
        [(place, f"{problem.message}; {problem.hint}") for place, problem in problems],
        "nothing was adopted: correct the map, or leave these lines out",
    )


def _print_one(result: AdoptionResult, item: RequestedAdoption, *, as_json: bool, is_preview: bool) -> None:
    if as_json:
        print_json(_to_json(item, result))
    elif result.provisioning is not None:
        print_outcome(result.provisioning)
    if is_preview and result.is_new:
        print_status(f"avatar {item.avatar_id} would be adopted; nothing was recorded")
    elif not result.is_new:
        print_status(f"avatar {item.avatar_id} was already adopted with this reference; nothing was changed")


def _print_all(report: AdoptionReport, *, as_json: bool, is_preview: bool) -> None:
    new_count = sum(result.is_new for result in report.results)
    known_count = len(report.results) - new_count
    if as_json:
        print_json(
            {
                "dry_run": is_preview,
                "adopted": new_count,
                "already_adopted": known_count,
                "remaining": report.remaining_count,
                "provisionings": [
                    provisioning_summary(result.provisioning, []) | {"is_new": result.is_new}
                    for result in report.results
                    if result.provisioning is not None
                ],
            }
        )
        return
    verb = "would be adopted" if is_preview else "adopted"
    print_line(f"{new_count:,} {verb}, {known_count:,} adopted before")
    if report.remaining_count:
        print_status(
            f"the map lacks {counted(report.remaining_count, 'avatar')} made elsewhere: see `avatars account`"
        )


def _to_json(item: RequestedAdoption, result: AdoptionResult) -> dict[str, Any]:
    if result.provisioning is None:
        return {"avatar_id": item.avatar_id, "reference": item.reference, "is_new": True, "dry_run": True}
    return provisioning_summary(result.provisioning, []) | {"is_new": result.is_new}
