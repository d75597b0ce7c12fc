"""The page of figures: ratios against the floor of the same run, and parts that outlive what was not measured."""

from __future__ import annotations

from benchmarks.batch import Run
from benchmarks.contenders import BARE, OURS, PLAIN_PREFECT, Contender
from benchmarks.crowd import Crowd
from benchmarks.ledger import Row
from benchmarks.measuring import Cost
from benchmarks.report import written


def run(contender: Contender, wall: float, cpu: float, *, ended: bool = True) -> Run:
    late = [0.5] * 98 + [2.0, 9.0]
    return Run(contender, 100, Cost(wall, cpu, 80.0, ended), 0.0, {"POST /avatars": 100}, late if ended else [])


def cells(page: str, name: str) -> list[str]:
    """Return the cells of the line about a contender."""
    [line] = [line for line in page.splitlines() if f"| {name} |" in line]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_median_of_the_runs_is_told_with_its_ratio_to_the_floor() -> None:
    floor = [run(BARE, wall, 1.0) for wall in (30.0, 31.0, 50.0)]
    ours = [run(OURS, wall, 2.0) for wall in (90.0, 34.1, 20.0)]
    page = written("", "the command", [*ours, *floor], [], [], [])
    told = cells(page, OURS.name)
    assert told == ["100", OURS.name, "3", "34.1", "1.10", "20.0", "2.00", "80", "100", "0.5, 2.0"]
    assert cells(page, BARE.name)[3:5] == ["31.0", "1.00"]


def test_what_was_not_done_in_time_is_told_as_that() -> None:
    page = written(
        "", "the command", [run(BARE, 30.0, 1.0), run(PLAIN_PREFECT, 330.0, 9.0, ended=False)], [], [], []
    )
    assert cells(page, PLAIN_PREFECT.name)[3:] == ["not done in 330", *["–"] * 6]


def test_a_part_that_was_not_measured_stays_with_the_command_that_made_it() -> None:
    before = written("", "first", [run(BARE, 30.0, 1.0)], [Crowd(7, 80.0, 1.5, 2.5, 3, 4)], [], [])
    after = written(before, "second", [], [], [], [Row("sqlite", "a transition", 10, 20, 1.0, 1.5)])
    crowd, ledger = after.index("## Waiting in one process"), after.index("## The ledger")
    assert before.strip() in after
    assert after.count("Made by `first`") == 2
    assert "Made by `second`" in after[ledger:]
    assert "| 7 | 80 | 1.5% | 2.5% | 3 | 4 |" in after[crowd:ledger]
    assert "| sqlite | a transition | 1.00 (10) | 1.50 (20) | 1.50 |" in after[ledger:]
