"""The layout of tasks/: each module defines one Prefect task and is named after it."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
from prefect import Task

import tasks

MODULE_NAMES = [module.name for module in pkgutil.iter_modules(tasks.__path__)]


@pytest.mark.parametrize("name", MODULE_NAMES)
def test_module_defines_the_task_of_its_name(name: str) -> None:
    module = importlib.import_module(f"tasks.{name}")
    defined = [
        key
        for key, value in vars(module).items()
        if isinstance(value, Task) and value.fn.__module__ == module.__name__
    ]
    assert defined == [name]


@pytest.mark.parametrize("name", MODULE_NAMES)
def test_module_has_no_other_public_function_or_class(name: str) -> None:
    module = importlib.import_module(f"tasks.{name}")
    others = [
        key
        for key, value in vars(module).items()
        if not key.startswith("_") and callable(value) and not isinstance(value, Task)
        if getattr(value, "__module__", None) == module.__name__
    ]
    assert others == []
