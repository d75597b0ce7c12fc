"""Exit codes of the `avatars` command.

The exit code of each outcome is in models/outcomes.py. These are in a module of their own because the overview of
`avatars --help` needs them without importing pydantic.
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_BATCH_INCOMPLETE = 1
EXIT_USAGE = 2
EXIT_OPERATIONAL_ERROR = 3
EXIT_INTERRUPTED = 130
"""128 + SIGINT, as a shell reports it."""
