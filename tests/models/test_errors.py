"""The error tree: it matches its drawing, and every error can be pickled."""

from __future__ import annotations

import pickle
import re
from typing import Any

import pytest

from models import errors
from models.errors import (
    ArgilRejected,
    ArgilUnavailable,
    AvatarsError,
    BatchCancelled,
    InvalidRequest,
    MediaRejected,
    PollFailed,
    ProvisioningErased,
    ReferenceConflict,
    SubmissionOutcomeUnknown,
    SubmissionPaused,
    UnknownBatch,
    UnknownProvisioning,
    VoiceTaken,
)


def class_and_subclasses(root: type[AvatarsError]) -> list[type[AvatarsError]]:
    """Return a class and all its subclasses that models/errors.py defines."""
    children = [child for child in root.__subclasses__() if child.__module__ == errors.__name__]
    return [root, *(subclass for child in children for subclass in class_and_subclasses(child))]


CLASSES = class_and_subclasses(AvatarsError)


# Arguments by the class that defines the fields, subclasses first. No field keeps its default.
FIELDS: dict[type[AvatarsError], tuple[list[Any], dict[str, Any]]] = {
    InvalidRequest: ([[("name", "too long"), ("extras", "too many")]], {"hint": "fix it"}),
    ReferenceConflict: (["ada-1", "p-1"], {}),
    UnknownProvisioning: (["ada-1"], {}),
    UnknownBatch: (["b-1"], {}),
    BatchCancelled: (["b-1"], {}),
    ProvisioningErased: (["p-1"], {}),
    VoiceTaken: (["v-1", "p-1"], {}),
    ArgilUnavailable: (["not now"], {"hint": "wait", "retry_after_seconds": 7.5}),
    SubmissionPaused: (["not now"], {"hint": "wait", "retry_after_seconds": 7.5}),
    ArgilRejected: (["no"], {"status": 422, "body": {"code": 7, "message": "no"}, "hint": "fix it"}),
    SubmissionOutcomeUnknown: (["no answer"], {"hint": "look it up", "response": {"status": 502}}),
    PollFailed: (["no answer"], {"retry_after_seconds": 2.0}),
    MediaRejected: (["not-public", "it needs a login"], {"hint": "publish it"}),
    AvatarsError: (["broken"], {"hint": "fix it"}),
}


def make_error(kind: type[AvatarsError]) -> AvatarsError:
    args, named = next(fields for base, fields in FIELDS.items() if issubclass(kind, base))
    return kind(*args, **named)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_survives_pickling_with_its_fields(kind: type[AvatarsError]) -> None:
    before = make_error(kind)
    after = pickle.loads(pickle.dumps(before))  # noqa: S301  # bytes that this test pickled
    assert type(after) is kind
    assert after.__dict__ == before.__dict__
    assert (str(after), after.args) == (str(before), before.args)
    assert after.message == str(after)
    assert after.code == kind.code


def drawn_tree() -> dict[str, str | None]:
    """Return each class in the drawing of the module docstring, with its parent."""
    parents: dict[str, str | None] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"([│├└─ ]*)([A-Z]\w+)(\s{2,}\S.*| \S.*)?$", line)
        if match is None or not (match[1] or match[2] == "AvatarsError"):
            continue
        assert len(match[1]) % 4 == 0, line
        path = [*path[: len(match[1]) // 4], match[2]]
        parents[match[2]] = path[-2] if len(path) > 1 else None
    return parents


def test_drawn_tree_matches_the_classes() -> None:
    real = {kind.__name__: kind.__base__.__name__ if kind.__base__ else None for kind in CLASSES}
    assert drawn_tree() == {**real, "AvatarsError": None}


def test_every_error_class_has_a_unique_code() -> None:
    assert len({kind.code for kind in CLASSES}) == len(CLASSES)


def test_invalid_request_message_lists_all_problems() -> None:
    error = InvalidRequest([("name", "too long"), ("extras", "too many")])
    assert str(error) == "name: too long; extras: too many"


@pytest.mark.parametrize("kind", CLASSES)
def test_errors_redact_message_and_hint(kind: type[AvatarsError]) -> None:
    error = AvatarsError.__new__(kind)
    AvatarsError.__init__(error, "no https://a.example/b?sig=canary", hint="see https://a.example/c?sig=canary")
    assert "canary" not in f"{error} {error!r} {error.__dict__}"
    assert (error.message, error.hint) == ("no https://a.example/b?…", "see https://a.example/c?…")


def test_reference_that_is_a_url_is_redacted() -> None:
    for error in (ReferenceConflict("https://h/?canary", "p-1"), UnknownProvisioning("https://h/?canary")):
        assert "canary" not in str(error)
