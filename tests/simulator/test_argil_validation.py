"""The rules of the create request: a valid body is accepted, an invalid one gets a 400."""

from __future__ import annotations

import json
import string
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

URL = "https://example.com/video.mp4"
VALID: dict[str, Any] = {"name": "Ada", "datasetVideo": {"url": URL}, "consentVideo": {"url": URL}}
# No deadline: the duration of an example depends on the machine, not on the API.
over_http = settings(deadline=None, max_examples=50)


def assert_rejected(response: httpx.Response) -> None:
    assert response.status_code == 400
    body = response.json()
    assert body.keys() == {"code", "message"}
    assert type(body["code"]) is int
    assert type(body["message"]) is str
    assert body["message"]


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in VALID.items() if key != name}


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"name=Ada", b"\xff", b'{"name": NaN}', b"[" * 100_000],
    ids=["empty", "half", "a form", "not UTF-8", "NaN", "bottomless"],
)
def test_body_that_is_not_json_is_rejected(shared_caller: httpx.Client, raw: bytes) -> None:
    assert_rejected(shared_caller.post("/avatars", content=raw, headers={"content-type": "application/json"}))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(None, id="null"),
        pytest.param([], id="array"),
        pytest.param([VALID], id="valid body in an array"),
        pytest.param("Ada", id="string"),
        pytest.param({}, id="empty object"),
        pytest.param(without("name"), id="no name"),
        pytest.param(without("datasetVideo"), id="no datasetVideo"),
        pytest.param(without("consentVideo"), id="no consentVideo"),
        pytest.param(VALID | {"other": 1}, id="other property"),
        pytest.param(VALID | {"Name": "Ada"}, id="property in another case"),
        pytest.param(VALID | {"name": ""}, id="empty name"),
        pytest.param(VALID | {"name": "a" * 257}, id="long name"),
        pytest.param(VALID | {"name": 1}, id="number for a name"),
        pytest.param(VALID | {"name": None}, id="null for a name"),
        pytest.param(VALID | {"datasetVideo": URL}, id="bare dataset URL"),
        pytest.param(VALID | {"datasetVideo": None}, id="null for a video"),
        pytest.param(VALID | {"datasetVideo": {}}, id="dataset without URL"),
        pytest.param(VALID | {"datasetVideo": {"url": None}}, id="null for a URL"),
        pytest.param(VALID | {"datasetVideo": {"url": 1}}, id="number for a URL"),
        pytest.param(VALID | {"datasetVideo": {"url": ""}}, id="empty URL"),
        pytest.param(VALID | {"datasetVideo": {"url": "https://"}}, id="URL without a host"),
        pytest.param(VALID | {"datasetVideo": {"url": "http://example.com/v.mp4"}}, id="http URL"),
        pytest.param(VALID | {"datasetVideo": {"url": "HTTPS://example.com/v.mp4"}}, id="URL in capitals"),
        pytest.param(VALID | {"datasetVideo": {"url": " " + URL}}, id="URL after a space"),
        pytest.param(VALID | {"datasetVideo": {"url": URL + "\n"}}, id="URL before a line end"),
        pytest.param(VALID | {"datasetVideo": {"url": "https://example.com/v%zz"}}, id="URL with a bad escape"),
        pytest.param(VALID | {"datasetVideo": {"url": URL, "size": 1}}, id="other property of a video"),
        pytest.param(VALID | {"consentVideo": {}}, id="consent without URL"),
        pytest.param(VALID | {"consentVideo": {"url": "ftp://example.com/v.mp4"}}, id="ftp URL"),
        pytest.param(VALID | {"consentVideo": {"url": URL, "size": 1}}, id="other property of a consent"),
        pytest.param(VALID | {"extras": None}, id="null for extras"),
        pytest.param(VALID | {"extras": []}, id="array for extras"),
        pytest.param(VALID | {"extras": {"k": 1}}, id="number in extras"),
        pytest.param(VALID | {"extras": {"k": None}}, id="null in extras"),
        pytest.param(VALID | {"extras": {"k": {"k": "v"}}}, id="object in extras"),
        pytest.param(VALID | {"extras": {str(n): "v" for n in range(11)}}, id="11 extras"),
        pytest.param(VALID | {"extras": {"k" * 257: "v"}}, id="long key"),
        pytest.param(VALID | {"extras": {"k": "v" * 257}}, id="long value"),
    ],
)
def test_body_that_breaks_a_rule_is_rejected(shared_caller: httpx.Client, body: Any) -> None:
    assert_rejected(shared_caller.post("/avatars", json=body))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(VALID | {"name": "é" * 256}, id="longest name"),
        pytest.param(VALID | {"extras": {}}, id="no extras"),
        pytest.param(VALID | {"extras": {str(n): "v" for n in range(10)}}, id="10 extras"),
        pytest.param(VALID | {"extras": {"k" * 256: "v" * 256}}, id="longest extras"),
        pytest.param(VALID | {"extras": {"": ""}}, id="empty extras"),
        pytest.param(VALID | {"datasetVideo": {"url": URL + "?X-Sig=a%2Fb&e=1#t=1"}}, id="presigned URL"),
        pytest.param(VALID | {"datasetVideo": {"url": "https://[::1]:8443/v.mp4"}}, id="IPv6 host"),
    ],
)
def test_body_at_the_limits_is_accepted(shared_caller: httpx.Client, body: Any) -> None:
    assert shared_caller.post("/avatars", json=body).status_code == 201


urls = st.text(string.ascii_letters + string.digits + "-._~/?&=+", max_size=300).map("https://example.com/".__add__)
videos = st.fixed_dictionaries({"url": urls})
texts = st.text(max_size=256)
bodies = st.fixed_dictionaries(
    {"name": st.text(min_size=1, max_size=256), "datasetVideo": videos, "consentVideo": videos},
    optional={"extras": st.dictionaries(texts.filter(lambda key: key != "simulator"), texts, max_size=10)},
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@over_http
@given(body=bodies)
def test_any_valid_body_is_accepted(shared_caller: httpx.Client, body: dict[str, Any]) -> None:
    response = shared_caller.post("/avatars", content=json.dumps(body))
    assert response.status_code == 201
    assert response.json()["name"] == body["name"]
    assert response.json()["extras"] == body.get("extras", {})


@over_http
@given(
    body=bodies,
    parent=st.sampled_from(["", "datasetVideo", "consentVideo"]),
    name=st.text().filter(lambda name: name not in {"name", "datasetVideo", "consentVideo", "extras", "url"}),
    value=json_values,
)
def test_any_additional_property_is_rejected(
    shared_caller: httpx.Client, body: dict[str, Any], parent: str, name: str, value: Any
) -> None:
    changed = body | {parent: body[parent] | {name: value}} if parent else body | {name: value}
    assert_rejected(shared_caller.post("/avatars", content=json.dumps(changed)))
