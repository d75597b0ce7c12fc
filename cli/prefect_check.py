"""Check the Prefect API for `avatars doctor`.

`python -m cli.prefect_check` prints the result as JSON, so that `doctor` itself does not import Prefect.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from deployments.embedded.prefect_connection import configured_api_url, embedded_auth_settings, verify_access
from deployments.embedded.prefect_server import embedded_home
from deployments.registration import reconcile_is_scheduled
from models.environment.disk_space import full_disk_problem
from models.errors import PrefectError, SettingsError
from models.text.url_redaction import redact_url
from services.prefect_api.prefect_patches import register_prefect_secrets
from services.prefect_api.redaction_hooks import install_redaction


def check_prefect() -> dict[str, Any]:
    """Return `ok`, `detail` and `hint` of a DiagnosticResult."""
    try:
        if embedded_home().is_dir() and (problem := full_disk_problem(embedded_home())):
            return {
                "ok": False,
                "detail": problem,
                "hint": "free disk space: the Prefect server of `avatars up` fails",
            }
        if (url := configured_api_url()) is None:
            embedded_auth_settings()
            return {"ok": True, "detail": "no API is configured: each command starts a server on loopback"}
        verify_access(url)
    except (PrefectError, SettingsError) as error:
        return {"ok": False, "detail": error.message, "hint": error.hint}
    redacted_url = redact_url(url)
    if asyncio.run(reconcile_is_scheduled()):
        return {"ok": True, "detail": f"the API at {redacted_url} is ready, reconcile-avatars is scheduled"}
    return {
        "ok": False,
        "detail": f"reconcile-avatars is not scheduled at {redacted_url}: suspended runs would not be resumed",
        "hint": "run `avatars up` or `avatars deploy --pool NAME`, or resume a paused schedule in the UI",
    }


if __name__ == "__main__":
    install_redaction()
    register_prefect_secrets()
    json.dump(check_prefect(), sys.stdout)
