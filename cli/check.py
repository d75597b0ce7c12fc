"""`avatars check`: the media check alone, before anything is recorded or paid."""

from __future__ import annotations

import asyncio
from typing import Annotated

from cyclopts import Parameter
from rich.markup import escape
from rich.table import Table

from cli.console import print_json, result
from clients.media_probe import MediaChecker
from models.media import MediaFacts, MediaReport, MediaRole
from models.outcomes import EXIT_OK, EXIT_USAGE
from models.request import check_url
from models.settings import Settings


def check(url: str, /, *, role: MediaRole, json: Annotated[bool, Parameter(negative=())] = False) -> int:
    """Check a video against Argil's rules: reads its index only, and sends nothing to Argil.

    Parameters
    ----------
    url
        Its HTTPS URL.
    role
        What it is for.
    json
        Print one JSON document on stdout and nothing else.

    """
    check_url(url)
    settings = Settings.load()
    with MediaChecker(allowed_hosts=settings.avatars_media_allowed_hosts, demands=settings.media_demands) as media:
        report = asyncio.run(media.check(url, role))
    passed = not report.reasons
    if json:
        found = report.model_dump(mode="json")
        reasons = [reason.model_dump() for reason in report.reasons]
        warnings = [warning.model_dump() for warning in report.warnings]
        print_json({**found, "passed": passed, "reasons": reasons, "warnings": warnings})
    else:
        _print(report)
    return EXIT_OK if passed else EXIT_USAGE


def _print(report: MediaReport) -> None:
    if report.facts is not None:
        result.print(_told(report.facts), markup=False, soft_wrap=True)
        result.print(f"read with {report.requests} requests, {report.bytes_fetched:,} bytes", style="dim")
    table = Table("", "Rule: it must be", "Found", "What to do", show_lines=True)
    for row in report.checks:
        broken = "[red]fail[/]" if row.binding else "[yellow]warn[/]"
        mark = "[green]pass[/]" if row.passed else broken
        table.add_row(mark, escape(row.rule), escape(row.seen), "" if row.passed else escape(row.hint))
    result.print(table)


def _told(facts: MediaFacts) -> str:
    told = {
        "size": f"{facts.size_bytes:,} bytes",
        "container": facts.container,
        "codec": facts.video_codec,
        "picture": f"{facts.width}x{facts.height}" if facts.width else None,
        "duration": f"{facts.duration_seconds:.2f} s" if facts.duration_seconds else None,
        "frame rate": f"{facts.frame_rate:.2f}" if facts.frame_rate else None,
        "sound": "yes" if facts.has_audio else "no",
    }
    return ", ".join(f"{label} {value}" for label, value in told.items() if value)
