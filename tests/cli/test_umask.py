"""What the command and its child processes write is private: files, Prefect's database, no memory after a crash."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CODE = """
import os, subprocess, sys
from cli.__main__ import main
os.umask(0)
sys.argv = ["avatars", "--version"]
try:
    main()
finally:
    open("own", "x").close()
    os.mkdir("folder")
    subprocess.run([sys.executable, "-c", "open('child', 'x')"], check=True)
"""


def test_files_of_the_command_and_its_children_are_private(tmp_path: Path) -> None:
    root = str(Path(__file__).parents[2])
    subprocess.run([sys.executable, "-c", CODE], cwd=tmp_path, env={"PYTHONPATH": root}, check=True)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"own": 0o600, "folder": 0o700, "child": 0o600}


CRASH = """
import resource, signal, subprocess, sys
from cli.__main__ import main
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
sys.argv = ["avatars", "--version"]
try:
    main()
finally:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    crashed = subprocess.run([sys.executable, "-c", code])
    assert crashed.returncode == -signal.SIGSEGV
    assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
"""


def test_crash_of_a_child_process_writes_no_core_file(tmp_path: Path) -> None:
    root = str(Path(__file__).parents[2])
    subprocess.run([sys.executable, "-c", CRASH], cwd=tmp_path, env={"PYTHONPATH": root}, check=True)
    assert list(tmp_path.iterdir()) == []
