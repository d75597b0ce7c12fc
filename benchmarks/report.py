"""Writes what was measured as BENCHMARKS.md."""

from __future__ import annotations

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


def written(
    command: str, runs: Sequence[Run], crowds: Sequence[Crowd], looks: Sequence[Look], rows: Sequence[Row]
) -> str:
    """Return the page; a part that was not measured is left out."""
    parts = [_opening(command)]
    if runs:
        parts.append(_batches(runs))
    if crowds:
        parts.append(_crowds(crowds))
    if looks:
        parts.append(_media(looks))
    if rows:
        parts.append(_ledger(rows))
    return "\n\n".join(parts) + "\n"


def _opening(command: str) -> str:
    versions = []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return (
        "# Benchmarks\n\n"
        f"Written by `{command}` on {datetime.now(UTC):%Y-%m-%d}: {_processor()}, {platform.system()}, "
        f"Python {platform.python_version()}, {', '.join(versions)}. The simulated Argil has one core, what is "
        "measured the other. Compare the ratios: seconds are this machine's."
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
        f"## A batch\n\nEach avatar is created, watched and its end told; training takes {TRAINING_SECONDS:g} s, a "
        f"look each {POLL_SECONDS:g} s at the least. Whole commands, from their start; medians by wall time. What "
        "uses Prefect finds a server running, as in any deployment; the CPU of that server is not counted."
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
    return f"## Waiting in one process\n\nWatched for {WATCHED_SECONDS} s.\n\n{_table(heads, lines)}"


def _media(looks: Sequence[Look]) -> str:
    heads = ("by", "wall, s", "CPU, s", "requests")
    lines = [
        [look.name, f"{look.cost.wall_seconds:.1f}", f"{look.cost.cpu_seconds:.1f}", str(look.requests)]
        for look in looks
    ]
    return (
        "## Looking at a recording of 1.4 GB, its index at the end\n\n"
        f"Over HTTPS on loopback, where a download costs CPU alone.\n\n{_table(heads, lines)}"
    )


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
    return f"## The ledger, few rows and many\n\n{_table(heads, lines)}"
