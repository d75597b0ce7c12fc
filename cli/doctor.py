"""`avatars doctor`: diagnose settings, host names, API key, database, disks, clocks, schedule and Prefect."""

from __future__ import annotations

import asyncio
import json as json_module
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from urllib.parse import urlsplit

from rich.padding import Padding
from rich.text import Text

from cli.account_diagnostics import check_account
from cli.argil_client import argil_client
from cli.console import print_json
from cli.diagnostics import DiagnosticResult
from cli.flow_runner import load_api_key
from cli.ledger_diagnostics import LEDGER_CHECK, check_ledger
from cli.options import JsonFlag
from cli.terminal import shown, stdout_console
from cli.webhook_diagnostics import check_webhooks
from models.argil.video_create import VIDEO_CREATE_NOTICE
from models.clock import MAX_CLOCK_DIFFERENCE
from models.environment.certificates import VARIABLE, require_usable_certificates
from models.environment.child_environment import PREFECT_SETTINGS, python_command
from models.environment.env_file import read_setting_sources
from models.errors import AvatarsError, PrefectError, SettingsError
from models.exit_codes import EXIT_OK, EXIT_OPERATIONAL_ERROR
from models.settings import Settings

_STATE_STYLES = {"ok": "green", "warning": "yellow", "failed": "red"}
_STATE_WIDTH = 9
TRACED_SETTINGS = ("ARGIL_API_URL", "ARGIL_API_KEY", "AVATARS_DATABASE_URL")
"""The settings whose source is reported: they decide where the key and the personal data go."""


async def _check_argil(settings: Settings, key: str) -> DiagnosticResult:
    check = f"Argil at {settings.argil_api_url}"
    try:
        async with argil_client(settings, key) as client:
            offset = await client.check_access()
            await client.check_path()
    except AvatarsError as error:
        hint = error.hint or "check ARGIL_API_URL, the network, proxies and SSL_CERT_FILE"
        return DiagnosticResult(check, ok=False, detail=error.message, hint=hint)
    if offset is not None and abs(offset) > MAX_CLOCK_DIFFERENCE.total_seconds():
        detail = f"reachable, accepts the key; the clock of this machine differs by {offset:.0f} s"
        return DiagnosticResult(
            check, ok=False, detail=detail, hint="synchronize the clock: leases and deadlines depend on it"
        )
    return DiagnosticResult(check, ok=True, detail=f"reachable, accepts the key {_key_source(settings)}")


def _key_source(settings: Settings) -> str:
    """Return where the API key comes from; the block is used only if no ARGIL_API_KEY is set."""
    if settings.argil_api_key is None:
        return f"of the Prefect block {settings.avatars_credentials_block}"
    return f"from {read_setting_sources().find('ARGIL_API_KEY')}"


def _check_host_names(settings: Settings) -> DiagnosticResult:
    """Check that this machine resolves names: an operator confuses its failure with a wrong URL of a recording."""
    check, host = "Host names", settings.reference_host
    if urlsplit(settings.argil_api_url).hostname != host:
        return DiagnosticResult(check, ok=True, detail="not checked: ARGIL_API_URL has a numeric address")
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError) as error:
        cause = getattr(error, "strerror", None) or "not a valid name"
        return DiagnosticResult(
            check,
            ok=False,
            detail=f"this machine cannot resolve {host}: {cause}",
            hint="check the network, the DNS servers and ARGIL_API_URL; the media check uses no proxy, so on a "
            "machine without DNS set AVATARS_MEDIA_CHECK=off",
        )
    return DiagnosticResult(check, ok=True, detail=f"{host} has an address")


def _check_video_create() -> DiagnosticResult:
    """Warn that Argil will remove the create with videos; a pause of it is a failure of the check of the limits."""
    hint = "plan images for new avatars: `avatars provision --image`, or the column `image` of a manifest"
    return DiagnosticResult("Video create", ok=True, detail=VIDEO_CREATE_NOTICE, hint=hint)


def _check_certificates() -> DiagnosticResult:
    check = VARIABLE
    try:
        require_usable_certificates()
    except SettingsError as error:
        return DiagnosticResult.from_error(check, error)
    path = os.environ.get(VARIABLE)
    return DiagnosticResult(check, ok=True, detail=path or "not set: Python's default certificates are used")


def _check_prefect() -> DiagnosticResult:
    """Check the Prefect API in a child process: importing Prefect takes over a second of CPU time."""
    try:
        require_usable_certificates()  # otherwise the import itself fails
    except SettingsError as error:
        return DiagnosticResult.from_error("Prefect", error)
    child = subprocess.run(  # noqa: S603  # our own interpreter and module
        python_command("cli.prefect_check"),
        env=PREFECT_SETTINGS.select(os.environ),
        stdout=subprocess.PIPE,
        check=False,
    )
    if child.returncode != 0:
        detail = f"the check failed with exit code {child.returncode}"
        return DiagnosticResult("Prefect", ok=False, detail=detail, hint="see the output on stderr")
    return DiagnosticResult("Prefect", **json_module.loads(child.stdout))


def _check_key(settings: Settings) -> str | DiagnosticResult:
    """Return the API key, or a failed check if there is none."""
    try:
        return load_api_key(settings)
    except (SettingsError, PrefectError) as error:
        return DiagnosticResult.from_error("Argil", error)


async def _run_diagnostics(settings: Settings, key: str | DiagnosticResult) -> AsyncIterator[DiagnosticResult]:
    sources = read_setting_sources().describe(TRACED_SETTINGS)
    yield DiagnosticResult("Settings", ok=True, detail=f"valid; {sources}")
    yield await asyncio.to_thread(_check_host_names, settings)
    argil = key if isinstance(key, DiagnosticResult) else await _check_argil(settings, key)
    yield argil
    if argil.ok and isinstance(key, str):
        yield await check_webhooks(settings, key)
    yield _check_video_create()
    has_ledger = True
    async for result in check_ledger(settings):
        has_ledger = has_ledger and (result.check != LEDGER_CHECK or result.ok)
        yield result
    if has_ledger and isinstance(key, str):  # otherwise it would only repeat the error
        yield await check_account(settings, key, is_available=argil.ok)
    yield await asyncio.to_thread(_check_prefect)


def doctor(*, json: JsonFlag = False) -> int:
    """Diagnose settings, host names, API key, database, disks, clocks, schedule and Prefect."""
    results = [_check_certificates()]
    try:
        settings = Settings.load()
    except SettingsError as error:
        results.append(DiagnosticResult.from_error("Settings", error))
    else:
        key = _check_key(settings)

        async def run() -> list[DiagnosticResult]:
            return [result async for result in _run_diagnostics(settings, key)]

        results += asyncio.run(run())
    if json:
        print_json([asdict(result) for result in results])
    else:
        _print(results)
    return EXIT_OK if all(result.ok for result in results) else EXIT_OPERATIONAL_ERROR


def _print(results: Sequence[DiagnosticResult]) -> None:
    """Print each check with its result below it, and how to fix a failed one."""
    for result in results:
        mark = Text(f"{result.state:<{_STATE_WIDTH}}", _STATE_STYLES[result.state])
        stdout_console.print(Text.assemble(mark, shown(result.check, "bold")), soft_wrap=True)
        for text in filter(None, (result.detail, result.hint and f"→ {result.hint}")):
            stdout_console.print(Padding(shown(text), (0, 0, 0, _STATE_WIDTH), expand=False))
