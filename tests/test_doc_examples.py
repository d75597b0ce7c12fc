"""Run the commands of the tutorials against the simulator; each block that no test runs gives a reason."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doc_examples import Block, blocks

ROOT = Path(__file__).parent.parent
TUTORIALS = [ROOT / f"docs/tutorials/{name}.md" for name in ("first-avatar", "first-batch", "first-look-at-the-ui")]
"""In the order in which a new user reads them: each one finds what those before it left."""
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
DOCUMENTED_MEDIA_HOST = "127.0.0.1:8901"
VARIABLE = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d|\d:\d\d elapsed|[\d.]+ rows/s"
)
"""What differs in each run: ids and times."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return a folder with the output of a running simulator in `simulator.sh`."""
    output = tmp_path / "simulator.sh"
    with (
        output.open("wb") as stdout,
        subprocess.Popen(
            [sys.executable, "-m", "cli", "simulate", "--port", "0", "--training-seconds", "2"],
            stdout=stdout,
            stderr=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        ) as process,
    ):
        try:
            assert process.stderr is not None
            assert b"ready" in process.stderr.readline()
            yield tmp_path
        finally:
            process.terminate()


def run_block(block: Block, folder: Path, media_host: str) -> None:
    script = "\n".join(["set -e", ". ./simulator.sh", *block.commands]).replace(DOCUMENTED_MEDIA_HOST, media_host)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    completed = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == block.exit_code, completed.stdout + completed.stderr
    printed = {normalized(line) for line in (completed.stdout + completed.stderr).splitlines()}
    assert [line for line in block.output if normalized(line) not in printed] == []


def normalized(line: str) -> str:
    return VARIABLE.sub("…", line.strip())


@pytest.mark.system
@pytest.mark.timeout(900)
def test_tutorials_do_what_they_say_one_after_another(folder: Path) -> None:
    host = re.search(r"https://(127\.0\.0\.1:\d+)/", (folder / "simulator.sh").read_text())
    assert host is not None
    for block in itertools.chain.from_iterable(map(blocks, TUTORIALS)):
        if block.title:
            (folder / block.title).write_text(block.text.replace(DOCUMENTED_MEDIA_HOST, host[1]))
        elif block.is_shell and not block.reason_not_to_run:
            run_block(block, folder, host[1])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_each_command_block_is_run_or_says_why_not(page: Path) -> None:
    shell_blocks = [block for block in blocks(page) if block.is_shell]
    assert page.read_text().count("```") % 2 == 0
    unexplained = [block.text for block in shell_blocks if not block.note and page not in TUTORIALS]
    assert unexplained == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_named_tests_of_blocks_exist(page: Path) -> None:
    named = [block.note.removeprefix("run by: ") for block in blocks(page) if block.note.startswith("run by: ")]
    assert [name for name in named if not (ROOT / name).exists()] == []
