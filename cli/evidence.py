"""`avatars evidence`: print the submission evidence of a provisioning for an audit."""

from __future__ import annotations

import asyncio
import json as json_module
from collections.abc import Iterator
from typing import Any

from cli.console import print_json, print_line, print_status
from cli.options import JsonFlag, ProvisioningKey
from models.clock import SystemClock
from models.evidence import evidence_report
from models.exit_codes import EXIT_OK
from models.media.rules import MediaRole
from models.settings import Settings
from models.text.plural import counted
from services.store import open_store
from store.evidence import list_evidence

_LABEL_WIDTH = len("identity_sha256")


def evidence(provisioning: ProvisioningKey, /, *, json: JsonFlag = False) -> int:
    """Print the evidence of each submission: time, actor, and digests and facts of its recordings."""

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
        run = f", flow run {record['flow_run_id']}" if record["flow_run_id"] else ""
        avatar = f", avatar {record['avatar_id']}" if record["avatar_id"] else ""
        print_line(f"submission {record['submission_id']}: {record['state']}{avatar}")
        print_line(f"  {record['recorded_at']} by {record['actor']}{run}")
        for role in MediaRole:
            if role.value in record:
                print_line(f"  {role.value}")
                for label, value in _facts(record[role.value]):
                    print_line(f"    {label:<{_LABEL_WIDTH}}  {value}")
    for release in document["releases"]:
        what = f"{counted(release['recordings'], 'recording')} released from quarantine: {release['reason']}"
        print_line(f"  {release['released_at']}: {what}")
    if not document["evidence"]:
        print_status(
            "no evidence is recorded: nothing was submitted here, or a restore lost it with its submission"
        )


def _facts(recording: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the known facts of a recording, those of the media check last, each once."""
    facts = recording["facts"] or {}
    for name, value in {**{key: value for key, value in recording.items() if key != "facts"}, **facts}.items():
        if value is not None:
            yield name, value if isinstance(value, str) else json_module.dumps(value)
