"""Exit codes of commands that fail with an error, or change several provisionings."""

from __future__ import annotations

from collections.abc import Iterable

from models.errors import AvatarsError, OperationalError, RequestError
from models.exit_codes import EXIT_BATCH_INCOMPLETE, EXIT_OK, EXIT_OPERATIONAL_ERROR, EXIT_USAGE


def exit_code_for(error: AvatarsError) -> int:
    """Return the exit code of a command that fails with this error."""
    if isinstance(error, RequestError):
        return EXIT_USAGE
    return EXIT_OPERATIONAL_ERROR if isinstance(error, OperationalError) else EXIT_BATCH_INCOMPLETE


def exit_code_of_several(exit_codes: Iterable[int]) -> int:
    """Return 0 if each of several provisionings has exit code 0, 3 if an operational error stopped one, else 1."""
    codes = set(exit_codes)
    if EXIT_OPERATIONAL_ERROR in codes:
        return EXIT_OPERATIONAL_ERROR
    return EXIT_OK if codes <= {EXIT_OK} else EXIT_BATCH_INCOMPLETE
