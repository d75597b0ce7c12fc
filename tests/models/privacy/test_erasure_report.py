"""The text of an erasure's remaining steps: each place is named with its remedy, without the person's name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from models.privacy.erasure_report import MAX_LISTED_IDS, ErasureReport
from models.privacy.prefect_traces import PrefectTraces, Relation, TracedRun


def traced(relation: Relation, count: int = 1) -> PrefectTraces:
    runs = [TracedRun(id=f"run-{n}", flow="f", relation=relation, state="COMPLETED") for n in range(count)]
    return PrefectTraces(runs=runs)


def steps(traces: PrefectTraces | None = None, **fields: Any) -> list[str]:
    report = ErasureReport(**{"avatar_ids": [], "flow_run_ids": [], "prefect_remaining": traces, **fields})
    *found, elsewhere = report.remaining_steps("42")
    assert elsewhere.startswith("elsewhere: ")
    return found


def test_nothing_remains_but_what_the_command_cannot_know() -> None:
    assert steps() == steps(PrefectTraces()) == []


@pytest.mark.parametrize(
    ("relation", "remedy"),
    [
        (Relation.OWN, "`avatars erase 42 --in-prefect` removes it"),
        (Relation.SHARED, "`avatars erase 42 --in-prefect` removes it"),
        (Relation.ACTIVE, "then run `avatars erase 42 --in-prefect`"),
        (Relation.OTHER_FLOW, "`prefect flow-run delete ID`"),
        (Relation.SAME_NAME, "may be about another person"),
    ],
)
def test_each_relation_has_a_remedy(relation: Relation, remedy: str) -> None:
    [step] = steps(traced(relation))
    assert remedy in step
    assert "run-0" in step


def test_other_provisionings_of_the_recording_are_named_by_reference() -> None:
    report = ErasureReport(avatar_ids=[], flow_run_ids=[], other_references=["ada 3, b", "ada-2"])
    [step] = [step for step in report.remaining_steps("42") if step.startswith("other provisionings")]
    assert step.endswith("`avatars erase REFERENCE --in-prefect`: 'ada 3, b', ada-2")


def test_long_lists_are_cut_in_the_text_only() -> None:
    [step] = steps(traced(Relation.OWN, MAX_LISTED_IDS + 5))
    assert step.endswith(f"run-{MAX_LISTED_IDS - 1} and 5 more (--json lists all)")


def test_prefect_that_was_not_searched_is_reported() -> None:
    [step] = steps(prefect_problem="no Prefect API is configured", flow_run_ids=["run-7"])
    assert "no Prefect API is configured. Run `avatars erase 42 --in-prefect`" in step
    assert "run-7" in step


def test_events_have_the_date_on_which_they_are_deleted() -> None:
    until = datetime(2026, 12, 3, 19, 44, tzinfo=UTC)
    [step] = steps(PrefectTraces(event_count=81, events_until=until))
    assert "81 events" in step
    assert "by 2026-12-03 19:44 UTC" in step
    [unknown] = steps(PrefectTraces(event_count=1))
    assert "PREFECT_SERVER_EVENTS_RETENTION_PERIOD" in unknown


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"uploads": ["s3://b/5.mp4"]}, "uploads of its recordings remain"),
        ({"former_contents": ["ledger.db-wal"]}, "in the ledger's database: ledger.db-wal"),
        ({"archives": ["moved to the archive old.jsonl"]}, "--archive FILE` for: moved to the archive old.jsonl"),
        ({"prefect_files": ["server.log"]}, "in Prefect's database: server.log"),
        ({"avatar_ids": ["a-1"]}, "a-1"),
    ],
)
def test_each_place_is_listed(fields: dict[str, list[str]], place: str) -> None:
    [step] = steps(None, **fields)
    assert place in step


def test_mentions_are_listed_with_their_runs() -> None:
    logs, others = steps(PrefectTraces(logs_of_runs=["run-1"], others=["deployment 7"]))
    assert "`prefect flow-run delete ID`" in logs
    assert "run-1" in logs
    assert "deployment 7" in others
