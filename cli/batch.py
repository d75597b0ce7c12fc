"""`avatars batch`: provision every row of a manifest."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from cyclopts import Parameter
from cyclopts.validators import Number

from cli.batch_display import print_result, showing_progress
from cli.batch_results import write_results
from cli.confirmation import confirm, require_confirmed_creates
from cli.console import print_json, print_status
from cli.flow_runner import prepared_environment, require_key_source, run_for_error
from cli.local_uploads import delete_finished, manifest_folder, upload_recordings
from cli.options import DryRunFlag, IgnoreUnknownFlag, JsonFlag, apply_ignore_unknown
from cli.upload_display import UploadDisplay
from media.manifest_loader import load_manifest
from models.batch import BatchProgress
from models.batch_record import BatchSource, manifest_name
from models.clock import SystemClock
from models.environment.env_file import ENV_FILE
from models.environment.private_files import replace_file, replacement_problem, trial_problem
from models.environment.regular_files import find_same_file
from models.errors import InvalidManifest
from models.exit_codes import EXIT_BATCH_INCOMPLETE, EXIT_OK
from models.manifest.columns import parse_column_map
from models.manifest.formats import FormatName, split_location
from models.manifest.manifest import Manifest, ManifestOptions
from models.manifest.shared_recordings import SharedRecordingGroup, shared_recordings_error
from models.manifest.template import render_template, template_format
from models.manifest.validation import ManifestRow, reject_without_consent
from models.reports.batch_results import results_format
from models.request import RequestKind
from models.settings import Settings
from services.batch_creates import count_creates
from services.recordings.local_recordings import UPLOAD_URL_HINT, LocalRecordings, refuse_path_of_remote_manifest
from services.recordings.recorded_references import use_recorded_references
from services.recordings.shared_recordings import find_new_shared_recordings
from services.store import find_ledger_file, open_store

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

SHARED_QUESTION = "Each row is a training of its own. Submit these rows?"
MAX_PRINTED_GROUPS = 200
"""Groups of rows that share recordings printed at the start."""


def batch(
    manifest: str | None = None,
    /,
    *,
    dry_run: DryRunFlag = False,
    results: Path | None = None,
    template: Path | None = None,
    format_name: Annotated[FormatName | None, Parameter(name="--format")] = None,
    column_map: Annotated[list[str] | None, Parameter(name="--map", metavar="HEADER=COLUMN", negative=())] = None,
    strict: Annotated[bool, Parameter(negative=())] = False,
    concurrency: Annotated[int, Parameter(validator=Number(gte=1, lte=1000))] = 20,
    allow_shared_recordings: Annotated[bool, Parameter(negative=())] = False,
    yes: Annotated[bool, Parameter(negative=())] = False,
    ignore_unknown: IgnoreUnknownFlag = False,
    json: JsonFlag = False,
) -> int:
    """Provision every row of a manifest.

    Running the same manifest again attaches to its existing provisionings and resumes them.

    Args:
        manifest: Path or HTTPS URL of a CSV, Excel (.xlsx), OpenDocument (.ods), JSONL or YAML file, or a link to
            Google Sheets. FILE.xlsx#SHEET names a sheet. Its columns are name, dataset_video and consent_video, or
            for avatars from images name, image and consent_video; optional are reference, extras.KEY, and with an
            image voice_id or voice_sample.
        dry_run: Check all rows and their videos, report what would happen, and send nothing to Argil.
        results: File for the result of each row, .csv, .xlsx or .json. The default is NAME.results.csv in the
            folder of the manifest. The first two can be corrected and used as a manifest: an earlier file that
            was changed, or that has other cells than the manifest, is kept under another name.
        template: Write an empty manifest with an example to this file, .xlsx or .csv, and do nothing else.
        format_name: The format of the manifest, if its name does not tell it.
        column_map: What a header of a CSV file or a spreadsheet means, for example "Video link=dataset_video".
            Several are allowed.
        strict: Refuse a CSV file or a spreadsheet with columns that are not read.
        concurrency: Rows to check and submit at a time. The number of concurrent trainings is not limited.
        allow_shared_recordings: Submit rows that share a recording with another row, or have the name, recordings
            and extras of a provisioning on record with another reference. Otherwise the command asks on
            a terminal, and elsewhere exits with 2 before anything is sent.
        yes: Create more than AVATARS_CONFIRM_CREATES avatars. Otherwise the command asks on a terminal, and
            elsewhere exits with 2 before anything is sent. It does not allow shared recordings.

    """
    apply_ignore_unknown(is_set=ignore_unknown)
    if template is not None:
        return _write_template(template)
    if manifest is None:
        raise InvalidManifest(
            "the batch has no manifest", hint="name a file, or write one with --template FILE.xlsx"
        )
    path = results or _default_results_path(manifest)
    settings = Settings.load()
    local = LocalRecordings(settings, UploadDisplay(), folder=manifest_folder(manifest), is_dry_run=dry_run)
    options = ManifestOptions(
        format_name,
        parse_column_map(column_map or ()),
        strict=strict,
        resolve_path=refuse_path_of_remote_manifest if "://" in manifest else local.address,
    )
    _validate_results_path(path, manifest, settings)
    # Report an unreadable manifest before a Prefect server is started.
    loaded = load_manifest(
        manifest,
        options=options,
        allowed_hosts=settings.avatars_media_allowed_hosts,
        reference_host=settings.reference_host,
    )
    for notice in loaded.notices:
        print_status(f"! {notice}")
    loaded, shared = asyncio.run(_compare_with_ledger(settings, loaded))
    _print_shared_recordings(shared, will_be_asked=dry_run and not allow_shared_recordings)
    if shared and not (allow_shared_recordings or dry_run or confirm(SHARED_QUESTION)):
        raise shared_recordings_error(shared)
    _require_confirmed_creates(settings, loaded.rows, is_confirmed=yes or dry_run)
    _upload(local, loaded.rows, settings, is_dry_run=dry_run)
    source = BatchSource(loaded.rows, manifest_name(manifest), loaded.sha256, _started_by())
    batches: list[BatchProgress] = []
    with prepared_environment(settings), showing_progress(batches):
        from flows.engine.batch import loaded_source, progress_observer
        from flows.provision_batch import provision_batch
        from services.recordings.recording_checks import local_reports

        async def start() -> State:
            progress_observer.set(batches.append)
            local_reports.set(local.reports if dry_run else {})
            loaded_source.set(source)
            state: State = await provision_batch(
                manifest=manifest,
                dry_run=dry_run,
                concurrency=concurrency,
                # Confirmed above for these rows; another batch may have recorded some of them since.
                allow_shared_recordings=allow_shared_recordings or bool(shared),
                return_state=True,
            )
            return state

        error = asyncio.run(run_for_error(start, "the batch"))
    if not batches:
        raise error or InvalidManifest("the batch did not start", hint="see the run's log in the Prefect UI")
    [progress] = batches
    write_results(path, progress, loaded, options)
    if not json:
        print_result(progress)
    elif error is None:
        print_json(_to_json(progress, loaded, shared))
    delete_finished(settings)
    if error is not None:
        raise error
    return EXIT_OK if progress.all_ready or (dry_run and progress.all_would_succeed) else EXIT_BATCH_INCOMPLETE


def _upload(
    local: LocalRecordings[UploadDisplay], rows: list[ManifestRow], settings: Settings, *, is_dry_run: bool
) -> None:
    if not local.reports:
        return
    if not is_dry_run:
        require_key_source(settings)  # before hours of uploading
        requests = [row.request for row in rows if row.request is not None]
        upload_recordings(local, requests, "avatars batch", settings)
    elif settings.upload_folder is None:
        print_status(f"! AVATARS_UPLOAD_URL is not set: {UPLOAD_URL_HINT}")


def _to_json(progress: BatchProgress, manifest: Manifest, shared: list[SharedRecordingGroup]) -> dict[str, Any]:
    return {
        "batch_id": progress.batch_id,
        "counts": {status: count for status, count in progress.counts.items() if count},
        "image_credits": progress.image_credits,
        "rows": progress.to_json_rows(),
        "shared_recordings": [group.to_json() for group in shared],
        "notices": list(manifest.notices),
    }


def _print_shared_recordings(groups: list[SharedRecordingGroup], *, will_be_asked: bool) -> None:
    for group in groups[:MAX_PRINTED_GROUPS]:
        print_status(f"! {group.text}")
    if len(groups) > MAX_PRINTED_GROUPS:
        print_status(f"! the first {MAX_PRINTED_GROUPS} of {len(groups):,} groups; `--dry-run --json` lists all")
    if groups and will_be_asked:
        print_status("! without --dry-run, these rows need --allow-shared-recordings, or a yes on a terminal")


def _require_confirmed_creates(settings: Settings, rows: list[ManifestRow], *, is_confirmed: bool) -> None:
    async def count() -> Counter[RequestKind]:
        async with open_store(settings, SystemClock()) as store:
            wanted = reject_without_consent(rows, settings.avatars_image_consent)
            return await count_creates(store.ledger, store.unknown_avatars, wanted)

    if is_confirmed:
        return
    # The question is outside of the event loop, where Ctrl-C would not interrupt it.
    require_confirmed_creates(asyncio.run(count()), settings.avatars_confirm_creates)


def _started_by() -> str:
    with contextlib.suppress(OSError, KeyError):  # a container may run as a user without a name
        return f"avatars batch ({getpass.getuser()})"
    return "avatars batch"


async def _compare_with_ledger(
    settings: Settings, manifest: Manifest
) -> tuple[Manifest, list[SharedRecordingGroup]]:
    """Return the manifest with the references on record, and the new rows that share recordings."""
    async with open_store(settings, SystemClock()) as store:
        rows = await use_recorded_references(store.ledger, manifest.rows)
        return replace(manifest, rows=rows), await find_new_shared_recordings(store.ledger, rows)


def _default_results_path(manifest: str) -> Path:
    """Return the default results file: next to the manifest, or in the working directory if it is a URL."""
    manifest = split_location(manifest).path_or_url
    if "://" in manifest:
        with contextlib.suppress(ValueError):
            return Path(f"{Path(urlsplit(manifest).path).stem or 'batch'}.results.csv")
        return Path("batch.results.csv")
    path = Path(manifest).expanduser()
    if not path.name:
        return Path("batch.results.csv")  # for a folder such as `.`, which is an error when it is read
    return path.with_name(f"{path.stem}.results.csv")


def _validate_results_path(path: Path, manifest: str, settings: Settings) -> None:
    """Raise InvalidManifest, before anything is sent, if the results cannot be written or would replace input."""
    if results_format(path.name) is None:
        raise InvalidManifest(
            f"cannot infer the format of the results file {path}",
            hint="use a file name that ends in .csv, .xlsx or .json",
        )
    inputs = {".env": ENV_FILE}
    if "://" not in manifest:
        inputs["the manifest"] = Path(split_location(manifest).path_or_url).expanduser()
    if (ledger := find_ledger_file(settings)) is not None:
        inputs["the ledger"] = ledger
    if certificates := os.environ.get("SSL_CERT_FILE"):
        inputs["SSL_CERT_FILE"] = Path(certificates)
    problem = trial_problem(path)
    if (name := find_same_file(path, inputs)) is not None:
        problem = f"it is {name} itself, which the results would replace"
    if problem is not None:
        raise InvalidManifest(
            f"the results file {path} cannot be written: {problem}", hint="name another file with --results"
        )


def _write_template(path: Path) -> int:
    """Write the template to a new file: an existing one may be a list that was filled in."""
    form = template_format(path.name)
    if form is None:
        raise InvalidManifest(
            f"cannot write the template {path}", hint="use a file name that ends in .xlsx or .csv"
        )
    problem = "it exists already" if path.exists() else replacement_problem(path)
    if problem is not None:
        raise InvalidManifest(f"cannot write the template {path}: {problem}", hint="name another file")
    replace_file(path, render_template(form))
    print_status(f"template written to {path}")
    return EXIT_OK
