"""The command makes every file private that it or a child process of it writes, Prefect's database included."""

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
