"""The hint of a reason names commands that can be copied."""

from __future__ import annotations

import pytest

from models.reason import Reason


@pytest.mark.parametrize(
    ("provisioning_id", "shown"),
    [("p-1", "wait, then run `avatars resume p-1`"), (None, "wait, then run the batch again")],
)
@pytest.mark.parametrize(
    "hint", ["wait, then run `avatars resume ID`", "check `doctor`; then `avatars resume ID`", ""]
)
def test_hint_names_the_provisioning_or_the_batch(hint: str, provisioning_id: str | None, shown: str) -> None:
    reason = Reason(code="c", message="m", hint=hint).addressed_to(provisioning_id)
    assert " ID`" not in reason.hint
    assert (reason.code, reason.message) == ("c", "m")
    if hint.startswith("wait"):
        assert reason.hint == shown
