"""The flow `provision-batch`: runs every row of a manifest until its outcome is recorded."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from pydantic import Field, WithJsonSchema

from flows.engine.batch import BatchRun, loaded_source, progress_observer
from flows.engine.batch_artifacts import publish_shared_recordings, publishing_progress
from flows.engine.batch_limits import refreshing_limits
from flows.engine.final_state import final_state_for_batch, final_state_for_error
from flows.engine.run_context import lease_owner_for_batch
from flows.engine.suspension import watch_timeout
from models.batch import INVALID
from models.batch_record import BatchSource, manifest_name, rows_sha256
from models.errors import AvatarsError, InvalidManifest
from models.image_request import ImageConsent
from models.manifest.columns import COLUMN_PATTERN, parse_column_map
from models.manifest.formats import FormatName
from models.manifest.manifest import ManifestOptions, parse_rows
from models.manifest.shared_recordings import shared_recordings_error
from models.manifest.validation import count_signed, reject_without_consent
from models.recordings.presigned_urls import SIGNATURE_NOTICE
from models.text.escaping import run_name
from models.text.plural import counted
from models.text.redaction import redact
from services.account.unknown_avatars import report_undecided
from services.context import app_context
from services.prefect_api.prefect_options import FLOW_OPTIONS
from services.recordings.recorded_references import use_recorded_references
from services.recordings.shared_recordings import find_new_shared_recordings
from services.run_log import log_to_run
from tasks.read_manifest import read_manifest

FLOW_NAME = "provision-batch"
DEFAULT_CONCURRENCY = 20
EXAMPLE_ROW = {
    "name": "Ada Lovelace",
    "dataset_video": "s3://recordings/ada/dataset.mp4",
    "consent_video": "s3://recordings/ada/consent.mp4",
    "reference": "creator-4711",
    "extras": {"team": "berlin"},
}
ExampleRow = Annotated[
    Any, WithJsonSchema({"type": "object", "default": EXAMPLE_ROW, "description": "One request."})
]
"""A row of any content, since an invalid one does not stop the others. The form offers the example."""
ONE_SOURCE = {
    "if": {"not": {"properties": {"manifest": {"type": "string"}}, "required": ["manifest"]}},
    "then": {"properties": {"rows": {"type": "array"}}, "required": ["rows"]},
    "else": {"properties": {"rows": {"type": "null"}}},
}
"""JSON schema: exactly one of `manifest` and `rows` has a value.

Prefect checks the defaults of a deployment without `required`; both may then be absent.
"""


def _name_run() -> str:
    """Return the name of the run: that of the manifest without a query, or the number of rows."""
    parameters = flow_run.parameters
    manifest, rows = parameters.get("manifest"), parameters.get("rows")
    if isinstance(manifest, str) and manifest:
        return run_name(redact(manifest_name(manifest)))
    return counted(len(rows) if isinstance(rows, list) else 0, "row")


@flow(name=FLOW_NAME, flow_run_name=_name_run, **FLOW_OPTIONS)
async def provision_batch(
    manifest: Annotated[str | None, Field(examples=["https://example.com/creators.xlsx"])] = None,
    rows: Annotated[list[ExampleRow] | None, Field(examples=[[EXAMPLE_ROW]])] = None,
    *,
    dry_run: bool = False,
    wait: Literal["block", "none"] = "block",
    concurrency: Annotated[int, Field(ge=1, le=1000)] = DEFAULT_CONCURRENCY,
    allow_shared_recordings: bool = False,
    columns: Annotated[
        dict[str, Annotated[str, Field(pattern=COLUMN_PATTERN)]] | None,
        Field(examples=[{"Video link": "dataset_video", "Team": "extras.team"}]),
    ] = None,
    strict: bool = False,
    format: FormatName | None = None,  # noqa: A002  # the name of the parameter in the form, as of the option --format
) -> State:
    """Provision every row of a manifest. Running the same manifest again attaches to its provisionings.

    An invalid or refused row does not stop the others. The final state is Completed "Ready" if every row is READY,
    otherwise Failed, named after the most frequent other outcome.

    Args:
        manifest: A list in Excel (.xlsx), OpenDocument (.ods), CSV, JSONL or YAML: an HTTPS URL, a link to Google
            Sheets that anyone with the link can open, or a path below AVATARS_MANIFEST_DIR on the machine that runs
            the flow. `#SHEET` after .xlsx or .ods names a sheet. An `s3://` URI is not read: use a presigned HTTPS
            URL. Leave it empty if you enter rows.
        rows: The rows themselves, instead of a manifest. In the form, click Add item, then choose Use default value
            in the menu of the row: the editor then has the example
            `[{"name": "Ada Lovelace", "dataset_video": "s3://recordings/ada/dataset.mp4",
            "consent_video": "s3://recordings/ada/consent.mp4", "reference": "creator-4711"}]`.
            Prefect limits all parameters together to 512 KiB.
        dry_run: Check everything, including the videos, and send nothing.
        wait: `block`: the run ends when every training has ended. `none`: it ends after the submissions, and
            `reconcile-avatars` completes the provisionings.
        concurrency: The number of rows checked and submitted at a time. Trainings in progress are not limited.
        allow_shared_recordings: Submit rows that share a recording with another row, or have the name, recordings
            and extras of a provisioning on record with another reference. Otherwise such a batch fails
            before anything is sent, unless the ledger already has all of these rows.
        columns: What other headers of a CSV file or a spreadsheet mean, for example
            `{"Video link": "dataset_video", "Team": "extras.team"}`.
        strict: Refuse a CSV file or a spreadsheet with columns that are not read.
        format: csv, jsonl, yaml, xlsx or ods: the format of the manifest, if neither its name nor its content tells
            it.

    """
    owner = lease_owner_for_batch(FLOW_NAME)
    try:
        async with app_context() as context:
            # The context comes first: a derived reference depends on AVATARS_SIGNATURE_PARAMETERS.
            column_map = parse_column_map(f"{header}={column}" for header, column in (columns or {}).items())
            options = ManifestOptions(format, column_map, strict=strict)
            source = _checked_source(
                await _load_source(manifest, rows, options), context.settings.avatars_image_consent
            )
            source = replace(source, rows=await use_recorded_references(context.ledger, source.rows))
            if shared := await find_new_shared_recordings(context.ledger, source.rows):
                await publish_shared_recordings(shared, str(flow_run.id))
                if not (allow_shared_recordings or dry_run):
                    raise shared_recordings_error(shared)
            if not dry_run:
                await context.batches.begin(source, owner)
            batch = BatchRun(
                context,
                source.rows,
                owner,
                timeout_seconds=watch_timeout(wait),
                concurrency=concurrency,
                dry_run=dry_run,
            )
            if (observe := progress_observer.get()) is not None:
                observe(batch.progress)
            if dry_run:
                await report_undecided(context.unknown_avatars)
            async with (
                publishing_progress(batch.progress, str(flow_run.id), context.clock.monotonic),
                refreshing_limits(batch.progress, context, owner.batch_id),
            ):
                await batch.run()
                if not dry_run:
                    await batch.find_voices()
            if not dry_run:
                await context.batches.end(owner, invalid_count=batch.progress.counts[INVALID])
    except AvatarsError as error:
        return final_state_for_error(error)
    if (stopped_by := batch.abort_error or batch.waiting_error) is not None:
        return final_state_for_error(stopped_by)
    return final_state_for_batch(batch.progress, dry_run=dry_run)


def _checked_source(source: BatchSource, consent: ImageConsent) -> BatchSource:
    """Return the source with the problems of its image rows, and log how many of its rows have signed URLs."""
    if signed_count := count_signed(source.rows):
        log_to_run("%d of %d rows: %s", signed_count, len(source.rows), SIGNATURE_NOTICE)
    return replace(source, rows=reject_without_consent(source.rows, consent))


async def _load_source(manifest: str | None, rows: list[Any] | None, options: ManifestOptions) -> BatchSource:
    if (manifest is None) == (rows is None):
        raise InvalidManifest(
            "the batch has no single source: either `manifest` or `rows` is required",
            hint="set `manifest` to an HTTPS URL, or `rows` to a list of requests",
        )
    if (loaded := loaded_source.get()) is not None:
        return loaded
    if rows is None:
        read = await read_manifest(manifest or "", options)
        return BatchSource(read.rows, manifest_name(manifest or ""), read.sha256, FLOW_NAME)
    if options.column_map or options.format_name:
        raise InvalidManifest(
            "`columns` and `format` describe a manifest, and the batch has `rows`",
            hint="omit both, and name the fields of each row as the columns of a manifest",
        )
    return BatchSource(parse_rows(rows), None, rows_sha256(rows), FLOW_NAME)
