"""The error of the child process, which its parent raises as InvalidManifest."""

from __future__ import annotations


class SpreadsheetRefused(Exception):
    """The workbook cannot be read. Both texts are for its author; of the file, they quote only a sheet's name."""

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint
