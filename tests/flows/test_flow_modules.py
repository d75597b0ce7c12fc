"""The modules of flows/: one flow each, named as in the Prefect UI, and no name of another module."""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import flows

FOLDER = Path(flows.__file__).parent
MODULES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


def test_each_module_defines_the_flow_of_its_name() -> None:
    for module in MODULES:
        flow = getattr(importlib.import_module(f"flows.{module}"), module)
        assert flow.name == module.replace("_", "-")


def test_only_flows_and_engine_are_in_the_folder() -> None:
    folders = {path.name for path in FOLDER.iterdir() if path.is_dir() and not path.name.startswith("__")}
    assert folders == {"engine"}


def test_no_module_shadows_an_importable_module() -> None:
    """Prefect puts the folder of a flow first on sys.path."""
    importable = sys.stdlib_module_names | set(packages_distributions())
    assert not importable & {*MODULES, "engine"}
