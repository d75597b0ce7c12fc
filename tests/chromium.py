"""How the tests start Chromium."""

from __future__ import annotations

import os

import pytest

BROWSER = os.environ.get("AVATARS_TEST_BROWSER")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
]
needs_browser = pytest.mark.skipif(
    BROWSER is None, reason="AVATARS_TEST_BROWSER is not set; .ci/run installs Chromium with apt-get"
)


def resolver_flag(*names: str) -> str:
    """Return the flag that resolves these names to 127.0.0.1 and no other name to anything."""
    rules = [*(f"MAP {name} 127.0.0.1" for name in names), "MAP * ~NOTFOUND", "EXCLUDE 127.0.0.1"]
    return f"--host-resolver-rules={', '.join(rules)}"
