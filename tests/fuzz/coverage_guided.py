"""Fuzzes the media probe with atheris, guided by code coverage, in a process of its own.

In addition to the byte mutations of libFuzzer, files are mutated box by box, as for the target "probe".
"""

from __future__ import annotations

import os
import random
import resource
import sys
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["media", "models"]):
    import media.ffmpeg.inspector
    import media.probe
    import media.remote.remote_file  # noqa: F401  # imported for the instrumentation

from tests.fuzz.boxes import KINDS
from tests.fuzz.facts import assert_plausible
from tests.fuzz.media import PROBE, File, probe_through
from tests.fuzz.mutations import MILLION, NUMBERS
from tests.fuzz.recordings import (
    BOX_OPERATIONS,
    RANGE_OPERATIONS,
    BoxChange,
    Change,
    FieldChange,
    RangeChange,
    changed,
)
from tests.fuzz.resource_limits import CaseRunner
from tests.fuzz.samples import samples
from tests.fuzz.worker import MAX_ADDRESS_BYTES, write_report

MAX_BYTES = 64 * 1024
REPORT_INTERVAL_CASES = 200


def change_boxes(data: bytes, max_size: int, seed: int) -> bytes:
    """Mutate the bytes with libFuzzer, or change one to three boxes, numbers or ranges of the file."""
    rng = random.Random(seed)  # noqa: S311  # not used for secrets
    if rng.random() < 0.3:  # the others know the format
        mutated: bytes = atheris.Mutate(data, max_size)
        return mutated
    return changed(data, [_draw_change(rng) for _ in range(rng.randint(1, 3))])[:max_size]


def _draw_change(rng: random.Random) -> Change:
    value = rng.choice(NUMBERS)
    match rng.randrange(4):
        case 0:
            return BoxChange(rng.choice(BOX_OPERATIONS), rng.randrange(250), rng.randrange(1200), value)
        case 1:
            first, last = rng.randrange(MILLION), rng.randrange(MILLION)
            return RangeChange(rng.choice(RANGE_OPERATIONS), first, last, is_in_pictures=rng.random() < 0.5)
        case _:
            kind, box, field, entry = (rng.randrange(100) for _ in range(4))
            return FieldChange(kind, box, field, entry, value, is_relative=rng.random() < 0.5)


def main() -> None:
    """Run the cases. The arguments are their number, a seed and a folder."""
    cases, seed, folder = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_BYTES, MAX_ADDRESS_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    PROBE.prepare()
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, sample in enumerate(samples()):
        (corpus / str(number)).write_bytes(sample)
    dictionary = folder / "dictionary"
    dictionary.write_text("".join(f'"{kind.decode()}"\n' for kind in KINDS))
    runner = CaseRunner(folder / "case")

    def run_case(data: bytes) -> None:
        try:
            runner.run(_probe, data)
        except BaseException:
            write_report(folder, runner)
            raise
        if runner.count % REPORT_INTERVAL_CASES == 0 or runner.count >= cases:
            write_report(folder, runner)
        if runner.count >= cases:
            os._exit(0)  # libFuzzer exits without running Python code

    options = [
        "-runs=-1",
        f"-max_len={MAX_BYTES}",
        f"-seed={seed}",
        f"-dict={dictionary}",
        "-rss_limit_mb=0",
        "-timeout=3600",
    ]
    options += ["-handle_segv=0", "-handle_abrt=0", "-handle_fpe=0", "-handle_bus=0", f"-artifact_prefix={folder}/"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], run_case, custom_mutator=change_boxes)
    atheris.Fuzz()


def _probe(data: Any) -> None:
    if (facts := probe_through(File(data))) is not None:
        assert_plausible(facts)


if __name__ == "__main__":
    main()
