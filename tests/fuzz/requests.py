"""Requests: any fields whatever are a request or InvalidRequest, and what is a request keeps its identity."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from models.request import ProvisioningRequest, check_url, input_identity, read_request
from tests.fuzz.kinds import Kind, ours, secret_urls

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
    lambda known, more: {**known, **more},
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
    request = ours(lambda: read_request(fields))
    if request is not None:
        assert read_request(request.model_dump()) == request
        assert ProvisioningRequest.model_validate_json(request.model_dump_json()).identity == request.identity
        assert "?" not in input_identity(request.dataset_video)
        request.model_dump_json().encode()
    for value in fields.values():
        if isinstance(value, str):
            ours(lambda url=value: check_url(url))  # type: ignore[misc]  # mypy infers no lambda with a default


KIND = Kind("requests", rows, _check)
