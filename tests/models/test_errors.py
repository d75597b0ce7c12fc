"""The error tree: as drawn, and able to cross processes."""

from __future__ import annotations

import pickle
import re
from typing import Any

import pytest

from models import errors
from models.errors import (
    ArgilAnswer,
    ArgilUnavailable,
    AvatarsError,
    Forgotten,
    InvalidRequest,
    MediaRejected,
    PollFailed,
    ReferenceConflict,
    UnknownProvisioning,
)


def family(root: type[AvatarsError]) -> list[type[AvatarsError]]:
    """Return a class and all that descend from it, as far as models/errors.py defines them."""
    children = [child for child in root.__subclasses__() if child.__module__ == errors.__name__]
    return [root, *(one for child in children for one in family(child))]


CLASSES = family(AvatarsError)


# By the class that brings the fields along, the special ones first; no field is left at its default.
FIELDS: dict[type[AvatarsError], tuple[list[Any], dict[str, Any]]] = {
    InvalidRequest: ([[("name", "too long"), ("extras", "too many")]], {"hint": "mend it"}),
    ReferenceConflict: (["ada-1", "p-1"], {}),
    UnknownProvisioning: (["ada-1"], {}),
    Forgotten: (["p-1"], {}),
    ArgilUnavailable: (["not now"], {"hint": "wait", "retry_after_seconds": 7.5}),
    ArgilAnswer: (["no"], {"status": 422, "answer": {"code": 7, "message": "no"}, "hint": "mend it"}),
    PollFailed: (["no answer"], {"retry_after_seconds": 2.0}),
    MediaRejected: (["not-public", "it needs a login"], {"hint": "publish it"}),
    AvatarsError: (["broken"], {"hint": "mend it"}),
}


def example(kind: type[AvatarsError]) -> AvatarsError:
    args, named = next(fields for base, fields in FIELDS.items() if issubclass(kind, base))
    return kind(*args, **named)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_survives_pickling_with_its_fields(kind: type[AvatarsError]) -> None:
    before = example(kind)
    after = pickle.loads(pickle.dumps(before))  # noqa: S301  # our own bytes
    assert type(after) is kind
    assert after.__dict__ == before.__dict__
    assert (str(after), after.args) == (str(before), before.args)
    assert after.message == str(after)
    assert after.code == kind.code


def drawn_tree() -> dict[str, str | None]:
    """Return each class that the module's docstring draws, with the one it stands under."""
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


def test_the_drawn_tree_names_exactly_the_classes_there_are_each_under_its_parent() -> None:
    real = {kind.__name__: kind.__base__.__name__ if kind.__base__ else None for kind in CLASSES}
    assert drawn_tree() == {**real, "AvatarsError": None}


def test_every_class_has_a_code_of_its_own() -> None:
    assert len({kind.code for kind in CLASSES}) == len(CLASSES)


def test_all_problems_of_a_request_stand_in_its_message() -> None:
    error = InvalidRequest([("name", "too long"), ("extras", "too many")])
    assert str(error) == "name: too long; extras: too many"


@pytest.mark.parametrize("kind", CLASSES)
def test_no_error_tells_a_signature(kind: type[AvatarsError]) -> None:
    error = AvatarsError.__new__(kind)
    AvatarsError.__init__(error, "no https://a.example/b?sig=canary", hint="see https://a.example/c?sig=canary")
    assert "canary" not in f"{error} {error!r} {error.__dict__}"
    assert (error.message, error.hint) == ("no https://a.example/b?…", "see https://a.example/c?…")


def test_a_reference_that_is_a_url_shows_no_query() -> None:
    for error in (ReferenceConflict("https://h/?canary", "p-1"), UnknownProvisioning("https://h/?canary")):
        assert "canary" not in str(error)
