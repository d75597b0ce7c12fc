"""The benchmark of runs over the Prefect API with two runs, and the memory of a tree of processes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.api_runs import measure
from benchmarks.process_tree import kill_all, process_tree, tree_megabytes
from benchmarks.run_services import RUN_IMPLEMENTATIONS, RunImplementation

MEGABYTES = 50
PARENT = f"""
import subprocess, sys
script = "import time; data = bytearray({MEGABYTES} * 2**20); data[::4096] = b'x' * len(data[::4096]); "
script += "print('ready', flush=True); time.sleep(600)"
subprocess.run([sys.executable, "-c", script])
"""


def test_memory_and_end_of_a_process_include_its_children() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        tree = process_tree([parent.pid])
        megabytes = tree_megabytes([parent.pid])
        kill_all(tree)
    assert tree[0] == parent.pid
    assert len(tree) == 2
    assert megabytes > MEGABYTES
    assert process_tree([parent.pid]) == [parent.pid]


@pytest.mark.prefect
@pytest.mark.system
@pytest.mark.timeout(900)
@pytest.mark.parametrize("implementation", RUN_IMPLEMENTATIONS, ids=lambda item: item.name)
def test_runs_of_each_implementation_end_with_an_avatar(implementation: RunImplementation) -> None:
    measured = measure(implementation, 2, limit_seconds=600)
    assert measured.completed
    assert measured.accepted_seconds <= measured.ended_seconds
    assert measured.requests >= 4
    assert measured.peak_megabytes > 100
