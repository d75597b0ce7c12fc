"""The rule of AVATARS_SOURCES for a whole request: each recording with a URI is in a bucket that it lists."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from models.errors import InvalidRequest
from models.recordings.addresses import SourcePrefix, source_problem
from models.request import AvatarRequest

SOURCES_HINT = "check the address for typos, or add its bucket or folder to AVATARS_SOURCES of this command"


def require_sources(request: AvatarRequest, sources: Collection[SourcePrefix]) -> None:
    """Raise InvalidRequest with each recording that AVATARS_SOURCES does not allow; nothing is read."""
    fields = request.recording_fields
    require_allowed({fields[role]: address for role, address in request.recordings.items()}, sources)


def require_allowed(addresses: Mapping[str, str], sources: Collection[SourcePrefix]) -> None:
    """Raise InvalidRequest with each valid address, by field, that AVATARS_SOURCES does not allow."""
    problems = {field: source_problem(address, sources) for field, address in addresses.items()}
    if broken := [
        (field, f"{problem}; it is {addresses[field]!r}") for field, problem in problems.items() if problem
    ]:
        raise InvalidRequest(broken, hint=SOURCES_HINT)
