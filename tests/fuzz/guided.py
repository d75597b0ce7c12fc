"""The media probe under atheris, which follows what each file makes our code do; in a process of its own.

Beside what libFuzzer does to the bytes, a file is changed box by box, as for the kind "probe".
"""

from __future__ import annotations

import os
import random
import resource
import sys
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["clients", "models"]):
    import clients.media_probe
    import clients.remote_file  # noqa: F401  # instrumented here

from tests.fuzz.child import MAX_ADDRESS_BYTES, write_report
from tests.fuzz.limits import Watch
from tests.fuzz.media import PROBE, File, probe_through
from tests.fuzz.mutations import NUMBERS
from tests.fuzz.recordings import KINDS, WAYS, Change, changed, samples

MAX_BYTES = 64 * 1024
REPORT_EACH = 200


def change_boxes(data: bytes, max_size: int, seed: int) -> bytes:
    """Return the file changed as libFuzzer does it, or in one to three of its boxes."""
    chance = random.Random(seed)  # noqa: S311  # no secret
    if chance.random() < 0.3:  # the smaller part
        mutated: bytes = atheris.Mutate(data, max_size)
        return mutated
    changes = [
        Change(chance.choice(WAYS), chance.randrange(80), chance.randrange(1200), chance.choice(NUMBERS))
        for _ in range(chance.randint(1, 3))
    ]
    return changed(data, changes)[:max_size]


def main() -> None:
    """Run so many cases: the arguments are their number, a seed and a folder."""
    cases, seed, folder = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_BYTES, MAX_ADDRESS_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    PROBE.prepare()
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, sample in enumerate(samples()):
        (corpus / str(number)).write_bytes(sample)
    words = folder / "words"
    words.write_text("".join(f'"{kind.decode()}"\n' for kind in KINDS))
    watch = Watch(folder / "case")

    def one(data: bytes) -> None:
        try:
            watch.run(_probe, data)
        except BaseException:
            write_report(folder, watch)
            raise
        if watch.count % REPORT_EACH == 0 or watch.count >= cases:
            write_report(folder, watch)
        if watch.count >= cases:
            os._exit(0)  # libFuzzer's own end would run no more Python

    options = [
        "-runs=-1",
        f"-max_len={MAX_BYTES}",
        f"-seed={seed}",
        f"-dict={words}",
        "-rss_limit_mb=0",
        "-timeout=3600",
    ]
    options += ["-handle_segv=0", "-handle_abrt=0", "-handle_fpe=0", "-handle_bus=0", f"-artifact_prefix={folder}/"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one, custom_mutator=change_boxes)
    atheris.Fuzz()


def _probe(data: Any) -> None:
    probe_through(File(data))


if __name__ == "__main__":
    main()
