"""The filters of `avatars list`: parsed into normal forms, and written again for the next page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import Parameter

from cli.options import StatusNames, parse_extras
from models.argil.avatar import replace_unstorable_characters
from models.errors import InvalidArguments, InvalidRequest, UnknownBatch
from models.provisioning import NEEDS_ATTENTION, Status, parse_provisioning_id
from models.request_fields import normalize_extra
from models.text.normalization import normalize_name, normalize_reference
from store.latest_page import LatestPage


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ListFilters:
    """The options that select provisionings; all of them apply."""

    status: StatusNames = None
    """Only provisionings with this status, without those of erased persons; can be repeated."""

    needs_attention: Annotated[bool, Parameter(negative=())] = False
    """Only provisionings that wait for a person, on a terminal with the next step of each."""

    batch: str | None = None
    """Only provisionings that this batch took last; `avatars batches` lists the ids."""

    name: str | None = None
    """Only provisionings with exactly this name."""

    reference: str | None = None
    """Only the provisioning with this reference."""

    avatar_id: str | None = None
    """Only the provisioning with this avatar."""

    extra: Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)] = ()
    """Only provisionings with this KEY=VALUE pair in their extras; can be repeated."""

    since: str | None = None
    """Only provisionings created at or after this ISO 8601 date or time (UTC by default)."""

    until: str | None = None
    """Only provisionings created before this ISO 8601 date or time (UTC by default)."""

    def page(self, limit: int) -> LatestPage:
        """Return the first page of the selected provisionings.

        Raises:
            InvalidRequest: A value can be that of no provisioning.
            UnknownBatch: The batch is not an id.
            InvalidArguments: No given status waits for a person.
        """
        extras = parse_extras(self.extra)
        return LatestPage(
            limit,
            self._statuses(),
            since=_parse_moment("since", self.since),
            until=_parse_moment("until", self.until),
            batch_id=_parse_batch(self.batch),
            name=_normalized("name", normalize_name, self.name),
            reference=_normalized("reference", normalize_reference, self.reference),
            avatar_id=None if self.avatar_id is None else replace_unstorable_characters(self.avatar_id.strip()),
            extras={_normalize_extra(key): _normalize_extra(value) for key, value in extras.items()},
            waits_for_person=self.needs_attention,
            without_erased=bool(self.status) or self.needs_attention,
        )

    def _statuses(self) -> Sequence[Status]:
        if not self.needs_attention:
            return self.status or ()
        statuses = [status for status in NEEDS_ATTENTION if status in (self.status or NEEDS_ATTENTION)]
        if not statuses:
            raise InvalidArguments(
                f"no provisioning waits for a person in {', '.join(self.status or ())}",
                hint=f"leave out --needs-attention, or name one of {', '.join(NEEDS_ATTENTION)}",
            )
        return statuses

    def arguments(self) -> Iterator[str]:
        """Yield the options as arguments of a command line."""
        values: list[tuple[str, Any]] = [("status", value) for value in self.status or ()]
        values += [(name, getattr(self, name)) for name in ("batch", "name", "reference")]
        values += [("avatar-id", self.avatar_id), *(("extra", pair) for pair in self.extra)]
        values += [("since", self.since), ("until", self.until)]
        if self.needs_attention:
            yield "--needs-attention"
        for name, value in values:
            if value is not None:
                yield f"--{name}={value}"  # one argument, because the value may begin with a dash


def _parse_batch(text: str | None) -> str | None:
    if text is None:
        return None
    if (batch_id := parse_provisioning_id(text)) is None:
        raise UnknownBatch(text)
    return batch_id


def _normalized(option: str, normalize: Callable[[str], str], text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return normalize(text)
    except ValueError as error:
        raise InvalidRequest([(option, str(error))], hint="write it as `avatars list` shows it") from None


def _normalize_extra(text: str) -> str:
    return _normalized("extra", normalize_extra, text) or ""


def _parse_moment(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise InvalidRequest(
            [(option, f"{text!r} is not in the years 1 to 9999 in UTC")], hint="leave the option out"
        ) from None
    except ValueError:
        raise InvalidRequest(
            [(option, f"{text!r} is not an ISO 8601 date or time")],
            hint="write 2026-11-23, 2026-11-23T09:00 or 2026-11-23T09:00+01:00; the default zone is UTC",
        ) from None
