"""Renders the measurements as BENCHMARKS.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.batch import TRAINING_SECONDS, BatchMeasurement, median_of
from benchmarks.concurrent_trainings import OBSERVATION_SECONDS, TrainingLoad
from benchmarks.implementations import ASYNCIO_HTTPX, POLL_SECONDS
from benchmarks.ledger import Row
from benchmarks.media import ProbeMeasurement

PACKAGES = ("prefect", "sqlalchemy", "httpx", "dbos")
BATCH_TITLE = "Batch provisioning"
CONCURRENT_TRAININGS_TITLE = "10,000 concurrent trainings in one process"
MEDIA_TITLE = "Probing a 1.4 GB video with a trailing moov atom"
LEDGER_TITLE = "Ledger: 1,000 versus 1,000,000 rows"
OPENING = """# Benchmarks

`make bench` generates this page; `python -m benchmarks --only PART` regenerates one part.
The simulated Argil API and the Prefect server run on one core, the measured commands on another.
Compare the ratios: absolute times depend on the machine."""


def render(
    before: str,
    command: str,
    runs: Sequence[BatchMeasurement],
    trainings: Sequence[TrainingLoad],
    probes: Sequence[ProbeMeasurement],
    rows: Sequence[Row],
) -> str:
    """Return the page with the new measurements.

    A part without measurements is copied from the page `before`, with the command that measured it.
    """
    provenance = _provenance(command)
    parts = _parts(before)
    if runs:
        parts[BATCH_TITLE] = f"{provenance}\n\n{_batches(runs)}"
    if trainings:
        parts[CONCURRENT_TRAININGS_TITLE] = f"{provenance}\n\n{_concurrent_trainings(trainings)}"
    if probes:
        parts[MEDIA_TITLE] = f"{provenance}\n\n{_media(probes)}"
    if rows:
        parts[LEDGER_TITLE] = f"{provenance}\n\n{_ledger(rows)}"
    sections = (
        f"## {title}\n\n{parts[title]}"
        for title in (BATCH_TITLE, CONCURRENT_TRAININGS_TITLE, MEDIA_TITLE, LEDGER_TITLE)
        if title in parts
    )
    return "\n\n".join([OPENING, *sections]) + "\n"


def _parts(page: str) -> dict[str, str]:
    """Return the parts of a page by title."""
    sections = (part.partition("\n") for part in page.split("\n## ")[1:])
    return {title.strip(): text.strip() for title, _, text in sections}


def _provenance(command: str) -> str:
    versions = []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return (
        f"Measured by `{command}` on {datetime.now(UTC):%Y-%m-%d}: {_processor()}, {os.cpu_count()} cores, "
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


def _batches(runs: Sequence[BatchMeasurement]) -> str:
    groups: dict[tuple[int, str], list[BatchMeasurement]] = {}
    for run in runs:
        groups.setdefault((run.count, run.implementation.name), []).append(run)
    medians = {key: (median_of(group), len(group)) for key, group in groups.items()}
    heads = (
        "avatars",
        "implementation",
        "runs",
        "wall, s",
        "wall / bare",
        "CPU per avatar, ms",
        "CPU / bare",
        "peak, MB",
        "requests",
        "completion detected after, s (median, p99)",
    )
    lines = []
    for (count, name), (run, repetitions) in medians.items():
        bare, _ = medians.get((count, ASYNCIO_HTTPX.name), (run, 0))
        if not run.cost.completed:
            lines.append(
                [str(count), name, str(repetitions), f"timed out after {run.cost.wall_seconds:.0f}", *["–"] * 6]
            )
            continue
        lines.append(
            [
                str(count),
                name,
                str(repetitions),
                f"{run.cost.wall_seconds:.1f}",
                f"{run.cost.wall_seconds / bare.cost.wall_seconds:.2f}",
                f"{run.cpu_milliseconds_per_avatar:.1f}",
                f"{run.cpu_milliseconds_per_avatar / bare.cpu_milliseconds_per_avatar:.2f}",
                f"{run.cost.peak_megabytes:.0f}",
                str(sum(run.requests.values())),
                f"{run.delay_median:.1f}, {run.delay_p99:.1f}",
            ]
        )
    introduction = (
        "Each implementation creates the avatars, polls them, and records each terminal status; a training takes "
        f"{TRAINING_SECONDS:g} s.\n"
        f"The other implementations poll each avatar by id every {POLL_SECONDS:g} s; `avatars batch` polls all "
        "avatars with one list call, twice as often.\n"
        "Times include the start of the command; each row is the run with the median wall time.\n"
        "A Prefect server is already running where one is needed, as in every deployment; its CPU is not counted."
    )
    return f"{introduction}\n\n{_table(heads, lines)}"


def _concurrent_trainings(trainings: Sequence[TrainingLoad]) -> str:
    heads = ("in training", "memory, MB", "CPU, median second", "CPU, mean", "list calls", "GETs")
    lines = [
        [
            str(load.count),
            f"{load.megabytes:.0f}",
            f"{load.idle_percent:.1f}%",
            f"{load.mean_percent:.1f}%",
            str(load.list_calls),
            str(load.gets),
        ]
        for load in trainings
    ]
    return f"Measured for {OBSERVATION_SECONDS} s.\n\n{_table(heads, lines)}"


def _media(probes: Sequence[ProbeMeasurement]) -> str:
    heads = ("implementation", "wall, s", "CPU, s", "requests")
    lines = [
        [
            probe.implementation,
            f"{probe.cost.wall_seconds:.1f}",
            f"{probe.cost.cpu_seconds:.1f}",
            str(probe.requests),
        ]
        for probe in probes
    ]
    return f"Over HTTPS on the loopback interface, so a download costs only CPU.\n\n{_table(heads, lines)}"


def _ledger(rows: Sequence[Row]) -> str:
    heads = ("engine", "operation", "ms (few rows)", "ms (many rows)", "ratio")
    lines = [
        [
            row.engine,
            row.operation,
            f"{row.few_ms:.2f} ({row.few_rows:,})",
            f"{row.many_ms:.2f} ({row.many_rows:,})",
            f"{row.ratio:.2f}",
        ]
        for row in rows
    ]
    return _table(heads, lines)
