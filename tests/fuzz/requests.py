"""Fuzzes requests: any fields give a request or InvalidRequest, and a request keeps its identity."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from models.recordings.canonical_form import canonical_form, shown_form
from models.request import ProvisioningRequest, parse_request, validate_recording
from tests.fuzz.target import FuzzTarget, expect_own_errors, secret_urls

any_text = st.text(max_size=20) | st.text(st.characters(), max_size=20) | secret_urls() | st.just("a" * 300)
columns = st.none() | st.booleans() | st.integers() | st.floats() | any_text | st.binary(max_size=5)
scalars = columns | st.builds(pow, st.just(16), st.just(4000))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(scalars, inner, max_size=3),
    max_leaves=5,
)
good = st.just("https://videos.example/ada.mp4?X-Amz-Signature=canary-signature")
rows: st.SearchStrategy[dict[Any, Any]] = st.builds(
    lambda fields, extra_fields: {**fields, **extra_fields},
    st.fixed_dictionaries(
        {},
        optional={
            "name": any_text | values,
            "dataset_video": good | secret_urls() | values,
            "consent_video": good | secret_urls() | values,
            "extras": st.dictionaries(any_text, any_text, max_size=11) | values,
            "reference": any_text | values,
        },
    ),
    st.just({}) | st.dictionaries(columns, values, max_size=2),
)


def _check(fields: dict[Any, Any]) -> None:
    request = expect_own_errors(lambda: parse_request(fields))
    if request is not None:
        assert parse_request(request.model_dump()) == request
        assert ProvisioningRequest.model_validate_json(request.model_dump_json()).fingerprint == request.fingerprint
        assert "?" not in shown_form(request.dataset_video)
        assert canonical_form(canonical_form(request.dataset_video)) == canonical_form(request.dataset_video)
        request.model_dump_json().encode()
    for value in fields.values():
        if isinstance(value, str):
            expect_own_errors(lambda url=value: validate_recording(url))  # type: ignore[misc]  # mypy infers no lambda with a default


TARGET = FuzzTarget("requests", rows, _check)
