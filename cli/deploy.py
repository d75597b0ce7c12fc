"""`avatars deploy`: register the deployments to a Prefect work pool."""

from __future__ import annotations

import asyncio

from cli.console import print_line, print_status
from models.environment.certificates import require_usable_certificates
from models.errors import PrefectError
from models.exit_codes import EXIT_OK
from models.settings import Settings
from models.text.url_redaction import redact_url


def deploy(*, pool: str) -> int:
    """Register all deployments to a work pool.

    It also creates Prefect's limit `argil-api` from AVATARS_REQUESTS_PER_SECOND, if it is missing: all workers
    share it. Running the command again changes nothing.

    Args:
        pool: Name of the work pool. Its workers need this package and its settings.

    """
    settings = Settings.load()  # refuses a .env of another user, in which Prefect would read PREFECT_API_URL
    require_usable_certificates()
    from deployments.embedded.prefect_connection import configured_api_url, verify_access
    from deployments.registration import ensure_rate_limit, register_deployments

    if (url := configured_api_url()) is None:
        raise PrefectError(
            "no Prefect API is configured", hint="set PREFECT_API_URL; `avatars up` does not need this command"
        )
    verify_access(url)
    for name in asyncio.run(register_deployments(settings, pool)):
        print_line(name)
    per_second = settings.avatars_requests_per_second
    if asyncio.run(ensure_rate_limit(per_second)):
        print_status(f"created the limit argil-api: {per_second:g} requests per second by all workers together")
    print_status(f"registered at {redact_url(url)} for the work pool {pool!r}")
    return EXIT_OK
