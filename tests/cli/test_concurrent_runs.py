"""Runs of one and of several provisionings in a command: an error of Prefect is one clear error of its run."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from prefect.client.schemas.objects import State
from prefect.exceptions import Abort
from prefect.states import Completed, Failed

from cli.concurrent_runs import run_each
from cli.exit_codes import exit_code_for, exit_code_of_several
from cli.flow_runner import run_for_error, run_one
from models.clock import SystemClock
from models.errors import DatabaseError, NotReopenable, PrefectError, StaleVersion
from models.provisioning import LeaseOwner
from models.request import ProvisioningRequest
from models.settings import Settings
from services.store import open_store

REFERENCES = ("first", "second", "third")


@pytest.fixture
async def settings(tmp_path: Path, provisioning_request: ProvisioningRequest, owner: LeaseOwner) -> Settings:
    settings = Settings(_env_file=None, avatars_database_url=f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}")
    async with open_store(settings, SystemClock()) as store:
        for reference in REFERENCES:
            await store.ledger.get_or_create(provisioning_request, reference, owner)
    return settings


ERRORS = [httpx.ConnectError("All connection attempts failed"), Abort("the run was deleted")]
"""Prefect's client raises errors of any class; an Abort is not even an Exception."""


@pytest.mark.parametrize("raised", ERRORS, ids=["connection", "abort"])
@pytest.mark.parametrize("key", ["first", None])
async def test_error_of_prefect_is_that_of_the_only_run(
    settings: Settings, raised: BaseException, key: str | None
) -> None:
    async def start() -> State:
        raise raised

    subject = "the run of provisioning first" if key else "the run"
    with pytest.raises(PrefectError, match=f"^{subject} failed in Prefect: {type(raised).__name__}: {raised}"):
        await run_one(start, key, settings)
    assert isinstance(await run_for_error(start, subject), PrefectError)


async def test_error_of_a_run_is_returned() -> None:
    error = NotReopenable("no")

    async def start() -> State:
        return Failed(data=error)

    assert await run_for_error(start, "the run") is error


async def test_error_of_prefect_stops_no_other_run(settings: Settings) -> None:
    started = []

    async def start(key: str) -> State:
        started.append(key)
        if key == "second":
            raise httpx.ConnectError("All connection attempts failed")
        return Completed(data=key)

    results = await run_each(start, REFERENCES, settings)
    assert started == list(REFERENCES)
    assert [outcome[0].reference for _, outcome in results if outcome is not None] == list(REFERENCES)
    errors = [error for error, _ in results]
    assert (errors[0], errors[2]) == (None, None)
    assert isinstance(errors[1], PrefectError)
    assert "provisioning second" in errors[1].message
    assert "ConnectError: All connection attempts failed" in errors[1].message


async def test_unreadable_ledger_is_the_error_of_its_run(settings: Settings, tmp_path: Path) -> None:
    async def start(key: str) -> State:
        if key == "third":
            (tmp_path / "ledger.db").write_text(json.dumps("not a database any more") * 100)
        return Completed(data=key)

    results = await run_each(start, REFERENCES[2:], settings)
    [(error, outcome)] = results
    assert isinstance(error, DatabaseError)
    assert outcome is None


@pytest.mark.parametrize(("codes", "expected"), [([], 0), ([0, 0], 0), ([0, 2], 1), ([13, 10], 1), ([1, 3, 0], 3)])
def test_exit_code_of_several(codes: list[int], expected: int) -> None:
    assert exit_code_of_several(codes) == expected


def test_exit_code_of_an_error() -> None:
    errors = [NotReopenable("a"), PrefectError("b"), StaleVersion("c")]
    assert [exit_code_for(error) for error in errors] == [2, 3, 1]
