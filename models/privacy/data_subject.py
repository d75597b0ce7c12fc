"""The person of a provisioning, and how to recognize their data in texts and in the parameters of Prefect runs.

Ids and references belong to one provisioning. A recording may be used by several, and people share names. So a
request with the same recording and another reference counts only if the ledger has no provisioning of that
reference. An equal name never suffices.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any
from urllib.parse import unquote

from models.privacy.erasure import ERASED_PLACEHOLDER
from models.privacy.written_requests import is_erased, normalize_if_valid, parse_if_valid, possible_references
from models.provisioning import Provisioning
from models.recordings.canonical_form import canonical_form, shown_form
from models.recordings.identity import identity_digest, identity_digests
from models.request_kinds import RECORDING_FIELDS
from models.text.normalization import normalize_name, normalize_reference
from models.text.url_redaction import redact_url

# A URL ends before white space, a query, a quote or the separator of a CSV file. Other punctuation belongs to the
# sentence, if nothing follows it.
_URL_END = r"(?![.:!'()*+=@$&~\[\]-]{0,10}[\w%/])"
MIN_CUT_URL_CHARACTERS = 200
"""A URL that a cut text ends with is recognized by so many characters; fewer may begin other URLs, too."""
_CUT = "…"


class Match(StrEnum):
    """How a request in the parameters of a run relates to the person."""

    OWN = "own"
    OTHER_PROVISIONING = "other provisioning"
    """It has the same recording and belongs to another provisioning of the ledger."""
    SAME_NAME = "same name"
    NONE = "none"


@dataclass(frozen=True)
class LedgerTraces:
    """What the ledger records about a provisioning, also after its erasure.

    Attributes:
        avatar_ids: Its avatars at Argil, duplicates included.
        submission_ids: Its submissions.
        flow_run_ids: The runs that wrote its events. A run of a batch or a schedule writes those of others, too.
        request_fingerprint: The fingerprint of its request.
        recording_digests: The digests of its recordings (models/recordings/identity.py).
        archive_messages: The ledger's messages about archives that hold events of it.
    """

    avatar_ids: tuple[str, ...] = ()
    submission_ids: tuple[str, ...] = ()
    flow_run_ids: tuple[str, ...] = ()
    request_fingerprint: str = ""
    recording_digests: tuple[str, ...] = ()
    archive_messages: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataSubject:
    """What identifies a person's data. After an erasure the ledger has neither names nor URLs.

    Attributes:
        provisioning_id: The id of the provisioning.
        reference: Its reference.
        traces: What else the ledger records.
        names: The names in its requests, as written and in normal form.
        urls: The URLs of its recordings without their queries, as written and in canonical form. A URL whose query
            selects the file is left out: without it, it is the URL of other recordings, too.
    """

    provisioning_id: str
    reference: str
    traces: LedgerTraces = field(default_factory=LedgerTraces)
    names: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()

    @classmethod
    def from_ledger(cls, provisioning: Provisioning, traces: LedgerTraces) -> DataSubject:
        """Return the person of a provisioning."""
        subject = cls(provisioning.id, provisioning.reference, traces)
        if provisioning.erased_at is not None:
            return subject
        request = provisioning.request
        digests = {identity_digest(url) for url in request.recordings.values()}
        traces = replace(traces, recording_digests=tuple(sorted({*traces.recording_digests, *digests})))
        return replace(subject, traces=traces).including(request.model_dump())

    def including(self, fields: Mapping[str, Any]) -> DataSubject:
        """Return the person with the name and the URLs of one more request of theirs."""
        name, urls = fields.get("name"), [fields.get(role) for role in RECORDING_FIELDS]
        names = (
            {name, normalize_if_valid(normalize_name, name)} if isinstance(name, str) and name.strip() else set()
        )
        shown = {
            form
            for url in urls
            if isinstance(url, str) and url.strip() and "?" not in canonical_form(url)
            for form in (shown_form(url), *_written_forms(redact_url(url).removesuffix("?…")))
        }
        return replace(
            self, names=self.names | (names - {ERASED_PLACEHOLDER}), urls=self.urls | (shown - {ERASED_PLACEHOLDER})
        )

    def learning_from(self, fields: Mapping[str, Any]) -> DataSubject:
        """Return the person with the name and the URLs of a request of theirs, if it has their recording or name.

        A request with the same reference and neither is a conflict, perhaps by a mistake in the reference. Its name
        and URLs may be those of another person.
        """
        is_certain = self._is_same_recording(fields) or self.is_named(fields.get("name"))
        return self.including(fields) if is_certain else self

    @property
    def own_ids(self) -> frozenset[str]:
        """The ids that this service chose; those of avatars, which Argil chooses, may be any word."""
        return frozenset({self.provisioning_id, *self.traces.submission_ids})

    @property
    def ids(self) -> frozenset[str]:
        """The ids that no other provisioning has."""
        return self.own_ids | {*self.traces.avatar_ids}

    def as_shown(self, show: Callable[[str], str]) -> DataSubject:
        """Return the person with reference, names and URLs as a function of models/text/escaping.py writes them."""
        return replace(
            self,
            reference=show(self.reference),
            names=frozenset(map(show, self.names)),
            urls=frozenset(map(show, self.urls)),
        )

    def is_key(self, text: object) -> bool:
        """Return whether the text is the id or the reference of the provisioning."""
        if not isinstance(text, str):
            return False
        normal = normalize_if_valid(normalize_reference, text)
        return text == self.provisioning_id or self.reference in {text, normal}

    def is_named(self, text: object) -> bool:
        """Return whether the text is the person's name."""
        return isinstance(text, str) and bool({text, normalize_if_valid(normalize_name, text)} & self.names)

    def has_url(self, text: str) -> bool:
        """Return whether the text contains the URL of a recording, with any query; a longer path is another URL."""
        return any(
            (url in text and re.search(rf"{re.escape(url)}{_URL_END}", text)) or _ends_with_part(text, url)
            for url in self.urls
        )

    def is_mentioned(self, text: str) -> bool:
        """Return whether the text contains the name, as whole words, or the URL of a recording."""
        return self.has_url(text) or any(
            re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None for name in self.names
        )

    def is_in_file_name(self, text: str) -> bool:
        """Return whether a path, or that of a URL, contains the name: its words, in any case."""
        path = text.partition("://")[2].partition("/")[2] if "://" in text else text
        words = f" {_words(unquote(path))} "
        return any(name and f" {name} " in words for name in map(_words, self.names))

    def trace(self, fields: Mapping[str, Any], run_id: str | None) -> TracedRequest:
        """Return how a request relates to the person.

        Args:
            fields: The request or row as written; it may be invalid.
            run_id: The id of its flow run, which is the reference of a request without one; None for a row of a
                batch.
        """
        reference = fields.get("reference")
        has_reference = isinstance(reference, str) and bool(reference.strip())
        key = reference if has_reference else fields.get("provisioning_id", run_id)
        if is_erased(fields):
            return TracedRequest(fields, Match.NONE)
        if self.is_key(key):
            return TracedRequest(fields, Match.OWN)
        if self._is_same_recording(fields):
            references = possible_references(fields, run_id)
            is_own = self.reference in references
            return TracedRequest(fields, Match.OWN) if is_own else TracedRequest(fields, Match.OWN, references)
        return TracedRequest(fields, Match.SAME_NAME if self.is_named(fields.get("name")) else Match.NONE)

    def _is_same_recording(self, fields: Mapping[str, Any]) -> bool:
        if not self.traces.recording_digests:  # erased, and never submitted: only the fingerprint is on record
            request = parse_if_valid(fields)
            return request is not None and self.traces.request_fingerprint in request.fingerprints
        urls = (fields.get(role) for role in RECORDING_FIELDS)
        known = self.traces.recording_digests
        return any(isinstance(url, str) and not identity_digests(url).isdisjoint(known) for url in urls)


@dataclass(frozen=True)
class TracedRequest:
    """A request in the parameters of a run.

    Attributes:
        fields: The request as written.
        match_if_unrecorded: How it relates to the person, unless the ledger has one of its references.
        references: The references on which that depends; empty if it is certain.
    """

    fields: Mapping[str, Any]
    match_if_unrecorded: Match
    references: Sequence[str] = ()

    def match(self, recorded: Collection[str]) -> Match:
        """Return how it relates to the person, given which of its references other provisionings have."""
        if any(reference in recorded for reference in self.references):
            return Match.OTHER_PROVISIONING
        return self.match_if_unrecorded


def _words(text: str) -> str:
    """Return the words of a text in normal form, with a space between them."""
    return " ".join(re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text).casefold()))


def _written_forms(url: str) -> Iterator[str]:
    """Yield the URL as it is, and as an HTTP client writes it: with scheme and host in lower case."""
    yield url
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    for port in (":443", ""):
        yield f"{scheme}{separator}{host.removesuffix(port)}".lower() + slash + path


def _ends_with_part(text: str, url: str) -> bool:
    """Return whether the text was cut within the URL."""
    start = text.rfind(url[:MIN_CUT_URL_CHARACTERS]) if len(url) > MIN_CUT_URL_CHARACTERS else -1
    # The URL itself is cut, too, if it is as it is shown.
    part = text[start:].partition(_CUT)
    return start >= 0 and bool(part[1]) and url.startswith(part[0])
