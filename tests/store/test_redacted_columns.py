"""The ledger holds URLs whole in one column alone."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from models.provisioning import Driver, Status, SubmissionState
from models.reason import Reason
from models.request import ProvisioningRequest
from models.tables import Base
from models.webhook import Delivery
from store.database import Database
from store.deliveries import Deliveries
from store.provisionings import Ledger
from store.quarantine import Quarantine
from tests.fakes import FakeClock

URL = "https://videos.example/ada/dataset.mp4?X-Amz-Signature=canary-signature"


@pytest.fixture
async def columns_with_it(
    database: Database, clock: FakeClock, driver: Driver, request_of_ada: ProvisioningRequest
) -> set[str]:
    """The columns that hold the signature after it was written into every one that takes text from elsewhere."""
    ledger = Ledger(database, clock)
    opened, _ = await ledger.open(request_of_ada, "ada-1", driver)
    seen, submission = await ledger.begin_submission(opened, driver, f"sending {URL}")
    told: dict[str, Any] = {"url": URL, "deep": [{URL: URL}]}
    reasons = [Reason(code="a", message=URL, hint=URL)]
    trained = await ledger.settle_submission(
        seen,
        driver,
        URL,
        submission,
        SubmissionState.TAKEN,
        to=Status.TRAINING,
        avatar_id="a-1",
        answer=told,
        avatar=told,
        media=told,
        reasons=reasons,
        raw_status=URL,
    )
    await Quarantine(database, clock).put(trained)
    await Quarantine(database, clock).release(trained.id, URL)
    await Deliveries(database, clock).add(Delivery("AVATAR_TRAINING_FAILED", "a-1", "0", URL))
    found = set()
    async with database.reading() as connection:
        for table in Base.metadata.sorted_tables:
            for column in table.columns:
                query = f"SELECT CAST({column.name} AS TEXT) FROM {table.name}"  # noqa: S608  # our own names
                values = (await connection.execute(text(query))).scalars()
                if any("canary" in value for value in values if value):
                    found.add(f"{table.name}.{column.name}")
    return found


async def test_no_column_but_the_request_holds_a_signature(columns_with_it: set[str]) -> None:
    assert columns_with_it == {"provisionings.request"}
