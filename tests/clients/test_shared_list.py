"""One list call serves many callers for a short time, whatever the wall clock does."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from clients.argil import ArgilClient
from clients.shared_list import MAX_AGE_SECONDS, SharedList
from tests.fakes import FakeClock


class Account:
    """Lists one more avatar in each response."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, _request: httpx.Request) -> httpx.Response:
        self.calls += 1
        return httpx.Response(200, json=[{"id": f"a-{n}", "status": "IDLE"} for n in range(self.calls)])


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
async def shared_list(clock: FakeClock, account: Account) -> AsyncIterator[SharedList]:
    transport = httpx.MockTransport(account)
    async with ArgilClient(
        "https://argil.example/v1", "key", clock=clock, requests_per_second=1e6, transport=transport
    ) as client:
        yield SharedList(client, clock)


@pytest.mark.parametrize("step", [0.0, 7200.0, -7200.0])
async def test_list_is_shared_for_its_maximum_age(
    shared_list: SharedList, account: Account, clock: FakeClock, step: float
) -> None:
    since = clock.now()
    await shared_list.fetch(not_before=since)
    clock.step(step)
    clock.advance(MAX_AGE_SECONDS - 1)
    await shared_list.fetch(not_before=since)
    assert account.calls == 1
    clock.advance(2)
    assert len((await shared_list.fetch(not_before=since)).account.avatar_ids) == 2


async def test_earlier_list_is_not_shared(shared_list: SharedList, account: Account, clock: FakeClock) -> None:
    await shared_list.fetch(not_before=clock.now())
    clock.advance(1)
    await shared_list.fetch(not_before=clock.now())
    assert account.calls == 2
