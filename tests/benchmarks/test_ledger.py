"""The ledger benchmark with few rows: the seeded data and the measured operations."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import func, select

from benchmarks.ledger import TRANSITION, measure
from benchmarks.seed_ledger import BASE_ROWS, EVENTS, TERMINAL, seed
from models.tables import event_table, evidence_table, provisioning_table, submission_table, webhook_delivery_table
from store.database import Database

pytestmark = pytest.mark.system


async def test_seeded_ledger_has_complete_histories(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}"
    await seed(url, 2_500)
    rows = BASE_ROWS + 2 * sum(TERMINAL.values())
    database = Database(url)
    counts = await database.read(
        lambda connection: {
            table: connection.scalar(select(func.count()).select_from(table))
            for table in (provisioning_table, submission_table, evidence_table, event_table, webhook_delivery_table)
        }
    )
    query = select(func.count()).select_from(provisioning_table).join(event_table)
    event_count = await database.read(lambda connection: connection.scalar(query))
    await database.close()
    assert counts == {
        provisioning_table: rows,
        submission_table: rows,
        evidence_table: rows,
        event_table: EVENTS * rows,
        webhook_delivery_table: rows,
    }
    assert event_count == EVENTS * rows


def test_each_operation_is_measured_with_few_and_many_rows() -> None:
    progress: list[str] = []
    measured = measure(1_500, engines=["sqlite"], lifecycles=2, report_progress=progress.append)
    assert len(progress) == 2
    assert measured[0].operation == TRANSITION
    assert all(row.few_ms > 0 and row.many_ms > 0 for row in measured)
    assert all(row.ratio == row.many_ms / row.few_ms for row in measured)
