"""The built wheel: installs without the repository, and its demo runs with the extra `demo` alone."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CERTIFICATES = {name: value for name, value in os.environ.items() if name == "SSL_CERT_FILE"}
"""What pip trusts, read before the fixtures replace it."""


def run(*command: str | Path, cwd: Path, home: Path) -> subprocess.CompletedProcess[str]:
    excluded = {"PYTHONPATH", "PREFECT_API_URL", "VIRTUAL_ENV", "SSL_CERT_FILE"}
    environment = {name: value for name, value in os.environ.items() if name not in excluded}
    return subprocess.run(
        command,
        cwd=cwd,
        env={**environment, **CERTIFICATES, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.system
@pytest.mark.timeout(900)
def test_wheel_runs_the_demo_outside_the_repository(tmp_path: Path) -> None:
    build = run(sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path, cwd=ROOT, home=tmp_path)
    assert build.returncode == 0, build.stderr
    assert list(tmp_path.glob("*.tar.gz"))
    [wheel] = tmp_path.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    bin_dir = tmp_path / "venv" / "bin"
    install = run(bin_dir / "pip", "install", "--quiet", f"{wheel}[demo]", cwd=tmp_path, home=tmp_path)
    assert install.returncode == 0, install.stderr
    demo = run(bin_dir / "avatars", "demo", cwd=tmp_path, home=tmp_path)
    assert demo.returncode == 0, demo.stderr
    assert "READY" in demo.stdout
    uninstall = run(bin_dir / "pip", "uninstall", "--quiet", "--yes", "trustme", cwd=tmp_path, home=tmp_path)
    assert uninstall.returncode == 0, uninstall.stderr
    without_extra = run(bin_dir / "avatars", "demo", cwd=tmp_path, home=tmp_path)
    assert without_extra.returncode == 3
    assert "pip install 'avatar-provisioner[demo]'" in without_extra.stderr
