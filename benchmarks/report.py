"""Renders the measurements as BENCHMARKS.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.api_runs import ApiRunsMeasurement
from benchmarks.batch import BatchMeasurement
from benchmarks.concurrent_trainings import TrainingLoad
from benchmarks.ledger import Row
from benchmarks.media import ProbeMeasurement
from benchmarks.reconcile import ReconcileMeasurement
from benchmarks.sections import (
    api_section,
    batch_section,
    ledger_section,
    media_section,
    reconcile_section,
    trainings_section,
)

PACKAGES = ("prefect", "sqlalchemy", "httpx", "dbos")
BATCH_TITLE = "Batch provisioning"
CONCURRENT_TRAININGS_TITLE = "10,000 concurrent trainings in one process"
MEDIA_TITLE = "Probing a 1.4 GB video with a trailing moov atom"
LEDGER_TITLE = "Ledger: 1,000 versus 1,000,000 rows"
RECONCILE_TITLE = "Reconciliation pass over a PostgreSQL ledger"
API_TITLE = "Runs over the Prefect API"
OPENING = """# Benchmarks

`make bench` generates this page; `python -m benchmarks --only PART` regenerates one part.
The simulated Argil API and the Prefect server run on one core, the measured commands on another.
Compare the ratios: absolute times depend on the machine."""


@dataclass(frozen=True)
class Measurements:
    """New measurements by part; a part that was not measured is empty."""

    batches: Sequence[BatchMeasurement] = ()
    trainings: Sequence[TrainingLoad] = ()
    probes: Sequence[ProbeMeasurement] = ()
    ledger: Sequence[Row] = ()
    reconcile: Sequence[ReconcileMeasurement] = ()
    api: Sequence[ApiRunsMeasurement] = ()

    def sections(self) -> dict[str, str]:
        """Return the text of each measured part by title, in the order of the page; others are empty."""
        return {
            BATCH_TITLE: batch_section(self.batches) if self.batches else "",
            CONCURRENT_TRAININGS_TITLE: trainings_section(self.trainings) if self.trainings else "",
            MEDIA_TITLE: media_section(self.probes) if self.probes else "",
            LEDGER_TITLE: ledger_section(self.ledger) if self.ledger else "",
            RECONCILE_TITLE: reconcile_section(self.reconcile) if self.reconcile else "",
            API_TITLE: api_section(self.api) if self.api else "",
        }


def render(before: str, command: str, measurements: Measurements) -> str:
    """Return the page with the new measurements.

    A part without measurements is copied from the page `before`, with the command that measured it.
    """
    provenance, parts = _provenance(command), _parts(before)
    sections = measurements.sections()
    parts |= {title: f"{provenance}\n\n{text}" for title, text in sections.items() if text}
    return "\n\n".join([OPENING, *(f"## {title}\n\n{parts[title]}" for title in sections if title in parts)]) + "\n"


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
