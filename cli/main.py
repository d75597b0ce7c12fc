"""The entry of the `avatars` command: its commands, and how errors leave it."""

from __future__ import annotations

import gc
import importlib.metadata
import sys

from cyclopts import App, CycloptsError, CycloptsPanel
from rich.markup import escape

from cli.console import print_json, progress
from models.errors import AvatarsError, InvalidRequest, OperatorError, RequestError
from models.outcomes import EXIT_BATCH_INCOMPLETE, EXIT_OPERATOR, EXIT_USAGE
from models.redaction import redact
from tasks.redacted_output import redact_output

EXIT_INTERRUPTED = 130
LOOKS_FOR_GARBAGE = (50_000, 20, 20)
"""How rarely (see gc.set_threshold): by default imports and a batch spend a tenth of their time on it."""

app = App(
    name="avatars",
    help="Turn recordings of real people into Argil avatars, without paying twice or losing one.",
    version=lambda: importlib.metadata.version("avatar-provisioner"),
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # we say what was kept
    error_formatter=lambda error: CycloptsPanel(redact(str(error))),  # it repeats what was typed
)
# By their names: a command imports what it needs, and `up`, which only watches, stays small.
for _name, _where in {
    "demo": "cli.demo:demo",
    "up": "cli.up:up",
    "provision": "cli.provision:provision",
    "batch": "cli.batch:batch",
    "enqueue": "cli.provision:enqueue",
    "resume": "cli.provision:resume",
    "cancel": "cli.cancel:cancel",
    "check": "cli.check:check",
    "list": "cli.ledger:list_provisionings",
    "show": "cli.ledger:show",
    "release": "cli.ledger:release",
    "evidence": "cli.evidence:evidence",
    "forget": "cli.evidence:forget",
    "reconcile": "cli.service:reconcile",
    "deploy": "cli.service:deploy",
    "credentials": "cli.credentials:credentials",
    "doctor": "cli.doctor:doctor",
    "simulate": "cli.simulate:simulate",
    "archive": "cli.archive:archive",
    "webhook": "cli.webhook:webhook",
    "automations": "cli.automations:automations",
    "db": "cli.db:db",
}.items():
    app.command(_where, name=_name)


def exit_code_of(error: AvatarsError) -> int:
    """Return the exit code that an error leaves with."""
    if isinstance(error, RequestError):
        return EXIT_USAGE
    return EXIT_OPERATOR if isinstance(error, OperatorError) else EXIT_BATCH_INCOMPLETE


def _print_error(error: AvatarsError, *, as_json: bool) -> None:
    if as_json:
        print_json({"error": {"code": error.code, "message": error.message, "hint": error.hint}})
    progress.print(f"[bold red]error[/] {escape(error.message)}", soft_wrap=True)
    if isinstance(error, InvalidRequest) and len(error.problems) > 1:
        for field, problem in error.problems:
            progress.print(f"  - {escape(f'{field}: {problem}')}", soft_wrap=True)
    if error.hint:
        progress.print(f"[dim]{escape(error.hint)}[/]", soft_wrap=True)


def run(words: list[str]) -> int:
    """Run one command; returns its exit code, having told of every expected error in one message."""
    try:
        code: object = app(words, exit_on_error=False, print_error=True)
    except CycloptsError:
        return EXIT_USAGE
    except AvatarsError as error:
        _print_error(error, as_json="--json" in words)
        return exit_code_of(error)
    except KeyboardInterrupt:
        progress.print("stopped; what was recorded stays: `avatars list`, then `avatars resume ID`")
        return EXIT_INTERRUPTED
    return code if isinstance(code, int) else 0


def main() -> None:
    """Run the command line of this process."""
    gc.set_threshold(*LOOKS_FOR_GARBAGE)
    redact_output()
    code = run(sys.argv[1:])
    gc.freeze()  # the system takes it all back: to collect it first would cost each command half a second
    sys.exit(code)
