"""Only one column of the ledger contains URLs with their signatures."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import Connection, text

from models.argil.account_list import AccountList
from models.argil.response import ArgilResponse
from models.argil.webhook import WebhookDelivery
from models.batch_record import BatchSource
from models.provisioning import LeaseOwner, Status, SubmissionState
from models.reason import Reason
from models.request import ProvisioningRequest
from models.tables import METADATA
from store.batches import BatchRepository
from store.database import Database
from store.ledger import Ledger
from store.quarantine import QuarantineRepository
from store.unknown_avatars import UnknownAvatarRepository
from store.webhook_deliveries import WebhookDeliveryRepository
from tests.fakes import FakeClock

URL = "https://videos.example/ada/dataset.mp4?X-Amz-Signature=canary-signature"


@pytest.fixture
async def columns_with_signature(
    database: Database, clock: FakeClock, owner: LeaseOwner, provisioning_request: ProvisioningRequest
) -> set[str]:
    """Return the columns that contain the signature after it was written to every column with external text."""
    ledger = Ledger(database, clock)
    opened, _ = await ledger.get_or_create(provisioning_request, "ada-1", owner)
    provisioning, submission = await ledger.begin_submission(opened, owner, f"sending {URL}")
    values: dict[str, Any] = {"url": URL, "deep": [{URL: URL}]}
    reasons = [Reason(code="a", message=URL, hint=URL)]
    trained = await ledger.resolve_submission(
        provisioning,
        owner,
        URL,
        submission,
        SubmissionState.CREATED,
        new_status=Status.TRAINING,
        avatar_id="a-1",
        response=values,
        avatar_snapshot=values,
        media_facts=values,
        reasons=reasons,
        raw_status=URL,
    )
    batch = owner.model_copy(update={"batch_id": "b-1"})
    await BatchRepository(database, clock).begin(BatchSource([], URL, "0" * 64, "test"), batch)
    await QuarantineRepository(database, clock).add(trained)
    await QuarantineRepository(database, clock).release(trained, URL, owner)
    await WebhookDeliveryRepository(database, clock).add(WebhookDelivery("AVATAR_TRAINING_FAILED", "a-1", "0", URL))
    item = {"id": "a-2", "name": URL, "extras": {"submission_id": "3f2b8c1e-5d47-4a90-9b6e-0c1d2e3f4a5b"}}
    listed = AccountList(ArgilResponse(200, {}, json.dumps([item]).encode(), is_list=True))
    assert await UnknownAvatarRepository(database, clock).compare(listed)

    def find_columns(connection: Connection) -> set[str]:
        columns = set()
        for table in METADATA.sorted_tables:
            for column in table.columns:
                query = f"SELECT CAST({column.name} AS TEXT) FROM {table.name}"  # noqa: S608  # constant names
                texts = connection.execute(text(query)).scalars()
                if any("canary" in value for value in texts if value):
                    columns.add(f"{table.name}.{column.name}")
        return columns

    return await database.read(find_columns)


async def test_only_the_request_column_contains_a_signature(columns_with_signature: set[str]) -> None:
    assert columns_with_signature == {"provisionings.request"}
