"""Importing a module only defines things: entry points install hooks by an explicit call."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
LAYERS = ("models", "clients", "media", "store", "services", "tasks", "flows", "deployments", "cli", "simulator")
ENTRY_POINTS = {"flows/__init__.py", "deployments/embedded/forkserver_preload.py"}
"""Their import is the entry point of a run in a Prefect worker, and that of the fork server."""
DEFINITIONS = {"store/migrations/partial_indexes.py"}
"""An Index that is created adds itself to its table."""


def called_at_import(source: str) -> list[str]:
    """Return the calls that are statements of a module, whose only purpose is an effect."""
    statements = ast.parse(source).body
    return [
        ast.unparse(item) for item in statements if isinstance(item, ast.Expr) and isinstance(item.value, ast.Call)
    ]


def test_modules_have_no_effects_when_imported() -> None:
    files = {path.relative_to(ROOT).as_posix(): path for layer in LAYERS for path in (ROOT / layer).rglob("*.py")}
    found = {name for name, path in files.items() if called_at_import(path.read_text())}
    assert found == ENTRY_POINTS | DEFINITIONS
