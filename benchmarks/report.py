"""Writes what was measured as BENCHMARKS.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.batch import TRAINING_SECONDS, Run, median_of
from benchmarks.contenders import BARE, POLL_SECONDS
from benchmarks.crowd import WATCHED_SECONDS, Crowd
from benchmarks.ledger import Row
from benchmarks.media import Look

PACKAGES = ("prefect", "sqlalchemy", "httpx", "dbos")
BATCH = "A batch"
CROWD = "Waiting in one process"
MEDIA = "Looking at a recording of 1.4 GB, its index at the end"
LEDGER = "The ledger, few rows and many"
OPENING = """# Benchmarks

`make bench` writes this page; `python -m benchmarks --only PART` writes one part of it anew. The simulated Argil
and Prefect's server have one core, what is measured the other. Compare the ratios: seconds are the machine's."""


def written(
    before: str,
    command: str,
    runs: Sequence[Run],
    crowds: Sequence[Crowd],
    looks: Sequence[Look],
    rows: Sequence[Row],
) -> str:
    """Return the page with what was measured; a part that was not stays as the page `before` has it."""
    made = _made_by(command)
    parts = _parts(before)
    if runs:
        parts[BATCH] = f"{made}\n\n{_batches(runs)}"
    if crowds:
        parts[CROWD] = f"{made}\n\n{_crowds(crowds)}"
    if looks:
        parts[MEDIA] = f"{made}\n\n{_media(looks)}"
    if rows:
        parts[LEDGER] = f"{made}\n\n{_ledger(rows)}"
    told = (f"## {title}\n\n{parts[title]}" for title in (BATCH, CROWD, MEDIA, LEDGER) if title in parts)
    return "\n\n".join([OPENING, *told]) + "\n"


def _parts(page: str) -> dict[str, str]:
    """Return the parts of a page by their titles."""
    found = (part.partition("\n") for part in page.split("\n## ")[1:])
    return {title.strip(): text.strip() for title, _, text in found}


def _made_by(command: str) -> str:
    versions = []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return (
        f"Made by `{command}` on {datetime.now(UTC):%Y-%m-%d}: {_processor()}, {os.cpu_count()} cores, "
        f"{platform.system()}, Python {platform.python_version()}, {', '.join(versions)}."
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [heads, ["---"] * len(heads), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _batches(runs: Sequence[Run]) -> str:
    groups: dict[tuple[int, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.count, run.contender.name), []).append(run)
    medians = {key: (median_of(group), len(group)) for key, group in groups.items()}
    heads = (
        *("avatars", "by", "runs", "wall, s", "wall / bare", "CPU an avatar, ms", "CPU / bare", "peak, MB"),
        *("requests", "end noticed after, s (median, p99)"),
    )
    lines = []
    for (count, name), (run, times) in medians.items():
        floor, _ = medians.get((count, BARE.name), (run, 0))
        if not run.cost.ended:
            lines.append([str(count), name, str(times), f"not done in {run.cost.wall_seconds:.0f}", *["–"] * 6])
            continue
        lines.append(
            [
                str(count),
                name,
                str(times),
                f"{run.cost.wall_seconds:.1f}",
                f"{run.cost.wall_seconds / floor.cost.wall_seconds:.2f}",
                f"{run.cpu_milliseconds_each:.1f}",
                f"{run.cpu_milliseconds_each / floor.cpu_milliseconds_each:.2f}",
                f"{run.cost.peak_megabytes:.0f}",
                str(sum(run.requests.values())),
                f"{run.late_median:.1f}, {run.late_p99:.1f}",
            ]
        )
    told = (
        f"Each avatar is created, watched and its end told; training takes {TRAINING_SECONDS:g} s. The peers look "
        f"at each avatar by its id each {POLL_SECONDS:g} s, we at all by one list call, twice as often. Whole "
        "commands, from their start; medians by wall time. What uses Prefect finds a server running, as in any "
        "deployment; the CPU of that server is not counted."
    )
    return f"{told}\n\n{_table(heads, lines)}"


def _crowds(crowds: Sequence[Crowd]) -> str:
    heads = ("in training", "memory, MB", "CPU in the median second", "CPU on average", "list calls", "GETs")
    lines = [
        [
            str(crowd.count),
            f"{crowd.megabytes:.0f}",
            f"{crowd.idle_percent:.1f}%",
            f"{crowd.mean_percent:.1f}%",
            str(crowd.lists),
            str(crowd.gets),
        ]
        for crowd in crowds
    ]
    return f"Watched for {WATCHED_SECONDS} s.\n\n{_table(heads, lines)}"


def _media(looks: Sequence[Look]) -> str:
    heads = ("by", "wall, s", "CPU, s", "requests")
    lines = [
        [look.name, f"{look.cost.wall_seconds:.1f}", f"{look.cost.cpu_seconds:.1f}", str(look.requests)]
        for look in looks
    ]
    return f"Over HTTPS on loopback, where a download costs CPU alone.\n\n{_table(heads, lines)}"


def _ledger(rows: Sequence[Row]) -> str:
    heads = ("engine", "what", "ms with", "ms with", "ratio")
    lines = [
        [
            row.engine,
            row.what,
            f"{row.few_ms:.2f} ({row.few_rows:,})",
            f"{row.many_ms:.2f} ({row.many_rows:,})",
            f"{row.ratio:.2f}",
        ]
        for row in rows
    ]
    return _table(heads, lines)
