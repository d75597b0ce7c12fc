"""`avatars automations`: install Prefect automations that send notifications and mark crashed runs."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from cyclopts import App

from cli.console import print_json, print_line, print_status
from cli.options import JsonFlag
from models.environment.certificates import require_usable_certificates
from models.errors import PrefectError
from models.exit_codes import EXIT_OK
from models.settings import Settings

automations = App(name="automations", help="Install Prefect automations for notifications and crashed runs.")


@automations.command
def apply(*, notification_block: str | None = None, json: JsonFlag = False) -> int:
    """Create or update the automations at the configured Prefect API.

    Running the command again changes nothing.

    Args:
        notification_block: Notification block to send messages through, as TYPE-SLUG/NAME, for example
            slack-webhook/ops.

    """
    Settings.load()  # refuses a .env of another user, in which Prefect would read PREFECT_API_URL
    require_usable_certificates()
    from deployments import automations as installed_automations
    from deployments.embedded.prefect_connection import configured_api_url, verify_access

    if (url := configured_api_url()) is None:
        raise PrefectError(
            "no Prefect API is configured", hint="set PREFECT_API_URL to the address that `avatars up` prints"
        )
    verify_access(url)
    applied = asyncio.run(installed_automations.apply(notification_block))
    if json:
        print_json([asdict(automation) for automation in applied])
    else:
        for automation in applied:
            print_line(f"{automation.result:<9}  {automation.name}")
    if any(automation.result == "skipped" for automation in applied):
        print_status(
            "skipped: automations that send messages need --notification-block; existing ones stay unchanged"
        )
    return EXIT_OK
