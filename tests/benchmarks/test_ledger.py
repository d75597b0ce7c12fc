"""The benchmark of the ledger measures what it says, in small."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import func, select

from benchmarks.filled_ledger import ENDED, EVENTS, FIRST, fill
from benchmarks.ledger import TRANSITION, measure
from models.tables import DeliveryRow, EventRow, EvidenceRow, ProvisioningRow, SubmissionRow
from store.database import Database


async def test_a_filled_ledger_holds_whole_histories_under_ids_of_their_own(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}"
    await fill(url, 2_500)
    rows = FIRST + 2 * sum(ENDED.values())
    database = Database(url)
    async with database.reading() as connection:
        counts = {
            table: await connection.scalar(select(func.count()).select_from(table))
            for table in (ProvisioningRow, SubmissionRow, EvidenceRow, EventRow, DeliveryRow)
        }
        joined = select(func.count()).select_from(ProvisioningRow).join(EventRow)
        theirs = await connection.scalar(joined)
    await database.close()
    assert counts == {
        ProvisioningRow: rows,
        SubmissionRow: rows,
        EvidenceRow: rows,
        EventRow: EVENTS * rows,
        DeliveryRow: rows,
    }
    assert theirs == EVENTS * rows


def test_each_thing_is_measured_with_few_rows_and_with_many() -> None:
    told: list[str] = []
    measured = measure(1_500, engines=["sqlite"], lives=2, say=told.append)
    assert len(told) == 2
    assert measured[0].what == TRANSITION
    assert all(row.few_ms > 0 and row.many_ms > 0 for row in measured)
    assert all(row.ratio == row.many_ms / row.few_ms for row in measured)
