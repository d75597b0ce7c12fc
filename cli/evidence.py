"""`avatars evidence`: print the submission evidence of a provisioning for an audit."""

from __future__ import annotations

import asyncio
from typing import Any

from rich.table import Table

from cli.console import print_json, print_line, print_status
from cli.options import JsonFlag, ProvisioningKey
from cli.terminal import shown, stdout_console
from models.clock import SystemClock
from models.evidence import evidence_report
from models.exit_codes import EXIT_OK
from models.settings import Settings
from services.store import open_store
from store.evidence import list_evidence


def evidence(provisioning: ProvisioningKey, /, *, json: JsonFlag = False) -> int:
    """Print the evidence of each submission: time, actor, and digests and facts of both videos."""

    async def read() -> dict[str, Any]:
        async with open_store(Settings.load(), SystemClock()) as store:
            stored = await store.ledger.get(provisioning)
            records = await list_evidence(store.ledger.database, stored.id)
            releases = await store.quarantine.list_releases([stored.id])
            submissions = await store.ledger.list_submissions(stored.id)
            return evidence_report(stored, submissions, records, releases.get(stored.id, ()))

    document = asyncio.run(read())
    if json:
        print_json(document)
    else:
        _print(document)
    return EXIT_OK


def _print(document: dict[str, Any]) -> None:
    print_line(f"provisioning {document['id']}, reference {document['reference']}")
    for record in document["evidence"]:
        table = Table("", "Dataset video", "Consent video", title=f"Submission {record['submission_id']}")
        for field in ("identity", "identity_sha256", "etag", "size_bytes", "sha256", "facts"):
            table.add_row(field, *(shown(str(record[role][field])) for role in ("dataset", "consent")))
        stdout_console.print(table)
        run = f", flow run {record['flow_run_id']}" if record["flow_run_id"] else ""
        line = (
            f"  {record['recorded_at']} by {record['actor']}{run}: {record['state']}, avatar {record['avatar_id']}"
        )
        print_line(line)
    for release in document["releases"]:
        what = f"{release['recordings']} recordings released from quarantine: {release['reason']}"
        print_line(f"  {release['released_at']}: {what}")
    if not document["evidence"]:
        print_status("no evidence is recorded: nothing was submitted, or a restore lost it with its submission")
