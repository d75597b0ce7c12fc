"""The requests in the parameters of Prefect runs, as they were written: found, compared and erased.

They may be invalid: a run stores whatever its caller sent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from models.errors import InvalidRequest
from models.manifest.validation import possible_derived_references
from models.privacy.erasure import ERASED_PLACEHOLDER
from models.request import AvatarRequest
from models.request_kinds import RECORDING_FIELDS, parse_fields
from models.text.normalization import normalize_reference

_REQUEST_FIELDS = frozenset({"name", *RECORDING_FIELDS})
_ID_FIELDS = frozenset({"provisioning_id", "provisioning_ids"})


def possible_references(fields: Mapping[str, Any], run_id: str | None) -> list[str]:
    """Return the reference of a request: its own, or those that a run and a batch give to one without."""
    reference = fields.get("reference")
    if isinstance(reference, str) and reference.strip():
        return [normalize_if_valid(normalize_reference, reference)]
    references = [] if run_id is None else [run_id]
    request = parse_if_valid(fields)
    return references if request is None else [*references, *possible_derived_references(request)]


def iter_requests(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every request, row and id of a provisioning in the parameters of a run, at any depth.

    An id is yielded as a mapping with the key `provisioning_id`.
    """
    if isinstance(value, Mapping):
        if _REQUEST_FIELDS & value.keys():
            yield value
            return
        for key, item in value.items():
            if key in _ID_FIELDS:
                ids = item if isinstance(item, list) else [item]
                yield from ({"provisioning_id": text} for text in ids if isinstance(text, str))
            else:
                yield from iter_requests(item)
    elif isinstance(value, list):
        for item in value:
            yield from iter_requests(item)


def is_erased(fields: Mapping[str, Any]) -> bool:
    """Return whether a request was erased by `erase_requests`; its reference remains, and a name may be equal."""
    values = [value for key, value in fields.items() if key != "reference"]
    return bool(values) and all(value == ERASED_PLACEHOLDER for value in values)


def erase_requests(value: Any, is_own: Collection[int]) -> Any:
    """Return the parameters with the values of some requests replaced, except for their references.

    Args:
        value: The parameters.
        is_own: The identities (`id`) of the mappings from `iter_requests` to erase.
    """
    if isinstance(value, Mapping):
        if id(value) in is_own:
            return {key: item if key == "reference" else ERASED_PLACEHOLDER for key, item in value.items()}
        return {key: erase_requests(item, is_own) for key, item in value.items()}
    return [erase_requests(item, is_own) for item in value] if isinstance(value, list) else value


def normalize_if_valid(normalize: Callable[[str], str], text: str) -> str:
    """Return the text in normal form, or as it is if no valid request has such characters."""
    try:
        return normalize(text)
    except ValueError:
        return text


def parse_if_valid(fields: Mapping[str, Any]) -> AvatarRequest | None:
    """Return the request, None if it is not valid."""
    try:
        return parse_fields(fields)
    except InvalidRequest:
        return None
