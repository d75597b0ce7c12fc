"""The built wheel: installs without the repository, and its demo runs with the extra `demo` alone."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CERTIFICATES = {name: value for name, value in os.environ.items() if name == "SSL_CERT_FILE"}
"""What pip trusts, read before the fixtures replace it."""


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = {pattern.removesuffix("*") for pattern in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}


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


def test_packages_are_those_of_the_import_rules_and_types() -> None:
    assert set(PROJECT["tool"]["importlinter"]["root_packages"]) == PACKAGES
    assert set(PROJECT["tool"]["mypy"]["packages"]) == PACKAGES | {"benchmarks", "tests"}
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} == PACKAGES | {"benchmarks"}


@pytest.mark.system
@pytest.mark.timeout(900)
def test_wheel_runs_the_demo_outside_the_repository(tmp_path: Path) -> None:
    build = run(sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path, cwd=ROOT, home=tmp_path)
    assert build.returncode == 0, build.stderr
    [source] = tmp_path.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        folders = {name.split("/")[1] for name in archive.getnames() if name.count("/") > 1}
    assert folders == PACKAGES | {"avatar_provisioner.egg-info"}
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        files = [name for name in archive.namelist() if ".dist-info/" not in name]
    assert {name.split("/")[0] for name in files} == PACKAGES
    assert [name for name in files if not name.endswith(".py")] == ["store/migrations/script.py.mako"]
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
