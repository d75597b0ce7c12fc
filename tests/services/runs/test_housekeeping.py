"""Housekeeping that fails is logged once and fails no tick; an error of the ledger does."""

from __future__ import annotations

import logging

import httpx
import pytest
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from models.errors import DatabaseError
from services.runs import idle_runs
from services.runs.housekeeping import keep_house
from services.runs.idle_runs import deleting_old_runs

REQUEST = httpx.Request("POST", "http://prefect.example/api?token=canary")
FAILURES = [
    httpx.ConnectError("refused by http://prefect.example/?token=canary"),
    httpx.ReadTimeout("slow"),
    PrefectHTTPStatusError("canary", request=REQUEST, response=httpx.Response(503, request=REQUEST)),
    ObjectNotFound(Exception("gone")),
]


async def fail_with(error: Exception) -> int:
    raise error


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
async def test_failed_chore_is_logged_once(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert await keep_house(lambda: fail_with(error), "nothing was tidied up") == 0
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("nothing was tidied up: the Prefect API failed")
    assert "canary" not in record.getMessage()


async def test_error_of_the_ledger_is_not_swallowed() -> None:
    with pytest.raises(DatabaseError):
        await keep_house(lambda: fail_with(DatabaseError("full")), "nothing was tidied up")


@pytest.mark.parametrize("error", [None, RuntimeError("a defect")])
async def test_old_runs_are_deleted_after_work_that_failed_too(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    calls: list[str] = []

    async def delete() -> None:
        calls.append("deleted")

    monkeypatch.setattr(idle_runs, "_delete_old_runs", delete)
    try:
        async with deleting_old_runs():
            assert calls == []
            if error is not None:
                raise error
    except RuntimeError as caught:
        assert caught is error  # noqa: PT017  # both cases are one test
    assert calls == ["deleted"]
