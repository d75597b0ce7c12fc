"""The sections of BENCHMARKS.md: one table per part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.api_runs import RUNS_PER_SECOND, ApiRunsMeasurement
from benchmarks.api_runs import TRAINING_SECONDS as API_TRAINING_SECONDS
from benchmarks.batch import TRAINING_SECONDS, BatchMeasurement, median_of
from benchmarks.concurrent_trainings import OBSERVATION_SECONDS, TrainingLoad
from benchmarks.implementations import ASYNCIO_HTTPX, POLL_SECONDS
from benchmarks.ledger import Row
from benchmarks.media import ProbeMeasurement
from benchmarks.reconcile import BARE, RECONCILE, ReconcileMeasurement
from benchmarks.run_services import MAX_PROCESSES, PREFECT_SERVE


def _table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table. A shorter line, as of a run that timed out, has no figures in its other columns."""
    filled = ([*line, *["–"] * (len(heads) - len(line))] for line in lines)
    rows = [heads, ["---"] * len(heads), *filled]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _timed_out(seconds: float) -> str:
    return f"timed out after {seconds:.0f}"


def batch_section(runs: Sequence[BatchMeasurement]) -> str:
    """Return the section of the batches: each row is the median run of an implementation and a size."""
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
            lines.append([str(count), name, str(repetitions), _timed_out(run.cost.wall_seconds)])
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


def trainings_section(trainings: Sequence[TrainingLoad]) -> str:
    """Return the section of the concurrent trainings."""
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


def media_section(probes: Sequence[ProbeMeasurement]) -> str:
    """Return the section of the probes of a large video."""
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


def ledger_section(rows: Sequence[Row]) -> str:
    """Return the section of the operations of the ledger."""
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


def reconcile_section(passes: Sequence[ReconcileMeasurement]) -> str:
    """Return the section of the reconciliation passes."""
    heads = (
        "in training",
        "ended",
        "implementation",
        "recorded",
        "wall, s",
        "CPU, s",
        "CPU / bare",
        "peak, MB",
        "peak / bare",
        "list calls",
        "GETs",
        "other requests",
    )
    bare = {(item.in_flight, item.ended): item.cost for item in passes if item.implementation == BARE}
    lines = []
    for item in passes:
        head = [f"{item.in_flight:,}", f"{item.ended:,}", item.implementation, f"{item.recorded:,}"]
        cost, base = item.cost, bare.get((item.in_flight, item.ended), item.cost)
        if not cost.completed:
            lines.append([*head, _timed_out(cost.wall_seconds)])
            continue
        lines.append(
            [
                *head,
                f"{cost.wall_seconds:.1f}",
                f"{cost.cpu_seconds:.1f}",
                f"{cost.cpu_seconds / base.cpu_seconds:.2f}",
                f"{cost.peak_megabytes:.0f}",
                f"{cost.peak_megabytes / base.peak_megabytes:.2f}",
                str(item.list_calls),
                str(item.gets),
                str(item.other_requests),
            ]
        )
    introduction = (
        f"One pass over a ledger on PostgreSQL, as a process: `{RECONCILE}`, and a script that lists the account,\n"
        "reads the avatar ids of the ledger and compares them. The script records nothing and needs no Prefect.\n"
        "The rows with 0 ended have no news; before the others, that many trainings ended."
    )
    return f"{introduction}\n\n{_table(heads, lines)}"


def api_section(measured: Sequence[ApiRunsMeasurement]) -> str:
    """Return the section of the runs over the Prefect API."""
    heads = (
        "runs",
        "implementation",
        "all accepted after, s",
        "all ended after, s",
        "/ plain Prefect",
        "peak of all processes, MB",
        "requests at Argil",
    )
    plain = {item.runs: item for item in measured if item.implementation == PREFECT_SERVE.name and item.completed}
    lines = []
    for item in measured:
        head = [f"{item.runs:,}", item.implementation]
        if not item.completed:
            lines.append([*head, "–", _timed_out(item.ended_seconds)])
            continue
        base = plain.get(item.runs)
        lines.append(
            [
                *head,
                f"{item.accepted_seconds:.0f}",
                f"{item.ended_seconds:.0f}",
                f"{item.ended_seconds / base.ended_seconds:.2f}" if base else "–",
                f"{item.peak_megabytes:.0f}",
                str(item.requests),
            ]
        )
    introduction = (
        f"The Prefect API receives {RUNS_PER_SECOND:g} runs per second, each of which provisions one avatar; a "
        f"training takes {API_TRAINING_SECONDS:g} s.\n"
        "`avatars up` has its default settings, checks both videos of each avatar and has a registered webhook.\n"
        f"Plain Prefect executes at most {MAX_PROCESSES} runs at a time, each in a process that polls by id every "
        f"{POLL_SECONDS:g} s; it checks no videos.\n"
        "Times count from the first request. Memory is the sum of the proportional set sizes of all processes, the "
        "Prefect server\nincluded and the simulator not. Here, the processes use all cores."
    )
    return f"{introduction}\n\n{_table(heads, lines)}"
