"""`avatars doctor`: what is wrong with settings, key, database, Prefect or time, and how to mend it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.markup import escape
from rich.table import Table

from cli.console import print_json, result
from cli.running import find_key
from clients.argil import ArgilClient
from models.clock import SystemClock
from models.errors import AvatarsError, PrefectError, SettingsError
from models.outcomes import EXIT_OK, EXIT_OPERATOR
from models.redaction import redact_url
from models.settings import Settings
from tasks.runtime import open_store

TOLERATED_OFFSET_SECONDS = 30


@dataclass(frozen=True)
class Finding:
    """One thing looked at; `hint` says the way out where it is not well."""

    subject: str
    well: bool
    detail: str
    hint: str = ""

    @classmethod
    def of(cls, subject: str, error: AvatarsError) -> Finding:
        """Return the error as a finding."""
        return cls(subject, well=False, detail=error.message, hint=error.hint)


async def _argil(settings: Settings, key: str) -> Finding:
    subject = f"Argil at {settings.argil_api_url}"
    client = ArgilClient(
        settings.argil_api_url,
        key,
        clock=SystemClock(),
        requests_per_second=settings.avatars_requests_per_second,
    )
    async with client:
        try:
            offset = await client.clock_offset_seconds()
        except AvatarsError as error:
            hint = error.hint or "check ARGIL_API_URL, the network, proxies and SSL_CERT_FILE"
            return Finding(subject, well=False, detail=error.message, hint=hint)
    if offset is not None and abs(offset) > TOLERATED_OFFSET_SECONDS:
        detail = f"answers and takes the key; this machine's clock differs by {offset:.0f} s"
        return Finding(subject, well=False, detail=detail, hint="set the clock: leases and deadlines count by it")
    return Finding(subject, well=True, detail="answers and takes the key")


async def _database(settings: Settings) -> Finding:
    subject = "Ledger"
    try:
        async with open_store(settings, SystemClock()) as (ledger, _, _):
            await ledger.try_writing()
            return Finding(subject, well=True, detail=f"{ledger.database.place} can be read and written")
    except AvatarsError as error:
        return Finding.of(subject, error)


def _certificates() -> Finding:
    subject = "SSL_CERT_FILE"
    path = os.environ.get("SSL_CERT_FILE")
    if path is None:
        return Finding(subject, well=True, detail="not set: the certificates that come with Python are used")
    if Path(path).is_file():
        return Finding(subject, well=True, detail=path)
    return Finding(subject, well=False, detail=f"{path} is no file", hint="correct it or unset it")


async def _prefect() -> Finding:
    from deployments.prefect_access import configured_api, embedded_password, require_access

    try:
        if (url := configured_api()) is None:
            embedded_password()
            return Finding("Prefect", well=True, detail="no API is configured: each command starts one on loopback")
        require_access(url)
    except PrefectError as error:
        return Finding.of("Prefect", error)
    from deployments.registration import reconcile_is_scheduled

    shown = redact_url(url)
    if await reconcile_is_scheduled():
        return Finding("Prefect", well=True, detail=f"the API at {shown} is ready, reconcile-avatars is scheduled")
    return Finding(
        "Prefect",
        well=False,
        detail=f"at {shown} reconcile-avatars is not scheduled: nothing would resume a run that sleeps",
        hint="`avatars up` or `avatars deploy --pool NAME`; a paused schedule is resumed in the UI",
    )


def _key(settings: Settings) -> str | Finding:
    """Return the API key, or why there is none."""
    try:
        return find_key(settings)
    except (SettingsError, PrefectError) as error:
        return Finding.of("Argil", error)


async def _findings(settings: Settings, key: str | Finding) -> AsyncIterator[Finding]:
    yield Finding("Settings", well=True, detail="every setting keeps its rules")
    yield key if isinstance(key, Finding) else await _argil(settings, key)
    yield await _database(settings)
    yield await _prefect()


def doctor(*, json: Annotated[bool, Parameter(negative=())] = False) -> int:
    """Look at settings, key, database, Prefect and time; say what is wrong and how to mend it.

    Parameters
    ----------
    json
        Print one JSON array on stdout and nothing else.

    """
    findings = [_certificates()]
    try:
        settings = Settings.load()
    except SettingsError as error:
        findings.append(Finding.of("Settings", error))
    else:
        key = _key(settings)

        async def look() -> list[Finding]:
            return [finding async for finding in _findings(settings, key)]

        findings += asyncio.run(look())
    if json:
        print_json([asdict(finding) for finding in findings])
    else:
        table = Table("", "What", "Found", "What to do", show_lines=True)
        for one in findings:
            mark = "[green]ok[/]" if one.well else "[red]bad[/]"
            table.add_row(mark, escape(one.subject), escape(one.detail), escape(one.hint))
        result.print(table)
    return EXIT_OK if all(finding.well for finding in findings) else EXIT_OPERATOR
