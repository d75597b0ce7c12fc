"""Fixtures for tests against a ledger, a fake clock and the simulator."""

from tests.provisioning_harness import (  # noqa: F401  # fixtures
    argil,
    changes,
    clock,
    context,
    gateway,
    harness,
    ledger_file,
    media,
    other_owner,
    served_gateway,
    timing,
)
