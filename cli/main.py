"""The command table of `avatars`, its error output and exit codes; cli/__main__.py starts the process."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from cyclopts import App, CycloptsError, Group, Parameter

from cli.console import configure_streams, print_error, print_json, print_status
from cli.examples import EXAMPLES, OVERVIEW_END, examples_of
from cli.exit_codes import exit_code_for
from cli.help_format import CommandHelp, shown_default
from models.errors import AvatarsError, InvalidArguments
from models.exit_codes import EXIT_INTERRUPTED
from models.reports.error_view import error_view

PROVISION, INSPECT, OPERATE, SET_UP, OPTIONS = map(
    Group.create_ordered, ("Provision", "Inspect", "Operate", "Set up", "Options")
)
_OVERVIEW_FLAGS = ("--help", "-h", "--version")
_JSON_FLAG = re.compile(r"--json(=(true|yes|y|t|1))?", re.IGNORECASE)


class Command(NamedTuple):
    """One row of the command table.

    `summary` is the first line of the command's docstring. `arguments` are shown in the usage of a command whose
    positional arguments are optional, because another option can replace them.
    """

    name: str
    import_path: str
    group: Group
    summary: str
    arguments: str = ""


# Commands are imported when they are invoked: Prefect's import alone takes over a second of CPU time.
# The overview of `avatars --help` imports none of them, so it needs the summaries here; a test compares them.
COMMANDS = (
    Command("provision", "cli.provision:provision", PROVISION, "Provision one avatar and wait for its outcome."),
    Command("batch", "cli.batch:batch", PROVISION, "Provision every row of a manifest.", "[MANIFEST]"),
    Command(
        "enqueue",
        "cli.provision:enqueue",
        PROVISION,
        "Record a request and return immediately; the schedule `provision-pending` submits it.",
    ),
    Command(
        "list", "cli.listing:list_provisionings", INSPECT, "List provisionings, newest first, one page at a time."
    ),
    Command(
        "batches",
        "cli.batches:batches",
        INSPECT,
        "List batches, newest first, with the statuses of their provisionings.",
    ),
    Command("show", "cli.ledger:show", INSPECT, "Show one provisioning with its history and its submissions."),
    Command("check", "cli.check:check", INSPECT, "Check a recording against Argil's rules."),
    Command(
        "evidence",
        "cli.evidence:evidence",
        INSPECT,
        "Print the evidence of each submission: time, actor, and digests and facts of its recordings.",
    ),
    Command(
        "account",
        "cli.account:account",
        INSPECT,
        "Compare the avatars of the Argil account with the ledger, with one list call.",
    ),
    Command(
        "doctor",
        "cli.doctor:doctor",
        INSPECT,
        "Diagnose settings, host names, API key, database, disks, clocks, schedule and Prefect.",
    ),
    Command(
        "reconcile",
        "cli.reconcile:reconcile",
        OPERATE,
        "Run one reconciliation pass over orphaned provisionings and suspended runs.",
    ),
    Command(
        "resume",
        "cli.reopen:resume",
        OPERATE,
        "Resume provisionings from their recorded status and wait for their outcome.",
        "[ID...]",
    ),
    Command(
        "retry",
        "cli.reopen:retry",
        OPERATE,
        "Check and submit rejected provisionings again and wait for their outcome.",
        "[ID...]",
    ),
    Command(
        "retrain",
        "cli.reopen:retrain",
        OPERATE,
        "Submit a failed provisioning again under its reference, which may be charged, and wait for its outcome.",
    ),
    Command(
        "adopt",
        "cli.adopt:adopt",
        OPERATE,
        "Put avatars on record that were made without this service, with one list call; nothing is created.",
        "[AVATAR_ID]",
    ),
    Command(
        "cancel",
        "cli.cancel:cancel",
        OPERATE,
        "Cancel provisionings; a training that has started at Argil continues.",
        "[ID...]",
    ),
    Command(
        "voice",
        "cli.voice:voice",
        OPERATE,
        "Record the voice of an avatar that is READY.",
        arguments="ID [VOICE_ID]",
    ),
    Command(
        "release", "cli.ledger:release", OPERATE, "Release the recordings of a refused avatar from quarantine."
    ),
    Command(
        "erase",
        "cli.erase:erase",
        OPERATE,
        "Erase a person's name, URLs and extras from the ledger and list what remains elsewhere.",
    ),
    Command(
        "archive",
        "cli.archive:archive",
        OPERATE,
        "Move the events of final provisionings to a file and delete old webhook deliveries.",
    ),
    Command(
        "up",
        "cli.up:up",
        SET_UP,
        "Run the whole service on this machine until Ctrl-C, SIGTERM or a closed terminal.",
    ),
    Command("demo", "cli.demo:demo", SET_UP, "Show every outcome on this machine against the simulator."),
    Command(
        "simulate",
        "cli.simulate:simulate",
        SET_UP,
        "Run the simulated Argil API and a host of sample videos until Ctrl-C or SIGTERM.",
    ),
    Command("deploy", "cli.deploy:deploy", SET_UP, "Register all deployments to a work pool."),
    Command("db", "cli.db:db", SET_UP, "Manage the ledger database."),
    Command("webhook", "cli.webhook:webhook", SET_UP, "Manage the webhooks that report finished trainings."),
    Command(
        "automations",
        "cli.automations:automations",
        SET_UP,
        "Install Prefect automations for notifications and crashed runs.",
    ),
    Command(
        "credentials",
        "cli.credentials:credentials",
        SET_UP,
        "Store the API key in the Prefect block that AVATARS_CREDENTIALS_BLOCK names.",
    ),
)


def _version() -> str:
    import importlib.metadata  # a tenth of the CPU time of `avatars list`

    return importlib.metadata.version("avatar-provisioner")


def build_app(args: Sequence[str]) -> App:
    """Return the command line application.

    Args:
        args: What follows `avatars`. The command that they name keeps its own docstring as help text, which a
            summary from COMMANDS would replace, and has examples.

    """
    invoked = args[0] if args else None
    app = App(
        name="avatars",
        help="Turn recordings of real people into Argil avatars, without paying twice or losing one.",
        version=_version,
        help_format="plaintext",  # rendering Markdown would take a tenth of a second
        result_action="return_value",
        suppress_keyboard_interrupt=False,  # `run` prints how to resume
        help_formatter=CommandHelp(),
        default_parameter=Parameter(negative=(), show_default=shown_default),
    )
    for flag in ("--help", "--version"):
        app[flag].group = (OPTIONS,)
    if invoked in _OVERVIEW_FLAGS or not args:
        app.help_epilogue = OVERVIEW_END
    if invoked in EXAMPLES:
        app.help_epilogue = examples_of(args)
    for position, (name, import_path, group, summary, arguments) in enumerate(COMMANDS):
        app.command(
            import_path,
            name=name,
            group=group,
            sort_key=position,
            help=None if name == invoked else summary,
            **({"usage": f"avatars {name} [OPTIONS] {arguments}"} if arguments else {}),
        )
    return app


def _wants_json(args: list[str]) -> bool:
    return any(_JSON_FLAG.fullmatch(arg) for arg in args)


def _unknown_command(name: str) -> InvalidArguments:
    from difflib import get_close_matches  # a hundredth of the CPU time of `avatars list`

    names = {command.name: command.name for command in COMMANDS} | {"help": "--help", "version": "--version"}
    close = get_close_matches(name.lstrip("-"), names, n=1)
    question = f"did you mean `avatars {names[close[0]]}`? " if close else ""
    return InvalidArguments(f"no command is named {name!r}", hint=f"{question}`avatars --help` lists the commands")


def _explain(error: CycloptsError, args: list[str]) -> InvalidArguments:
    from cli.usage_errors import usage_error  # most commands have none

    return usage_error(error, args)


def run(args: list[str]) -> int:
    """Run one command and print expected errors; return the exit code."""
    configure_streams()
    if args == ["help"]:
        args = ["--help"]
    try:
        app = build_app(args)
        if args and args[0] not in {*_OVERVIEW_FLAGS, *(command.name for command in COMMANDS)}:
            raise _unknown_command(args[0])  # the message of cyclopts would import every command
        code: object = app(args, exit_on_error=False, print_error=False)
    except (CycloptsError, AvatarsError) as raised:
        error = raised if isinstance(raised, AvatarsError) else _explain(raised, args)
        # Of a provisioning, cli/flow_runner.py has put its id there. Other commands have none to resume.
        error.hint = error.hint.replace("then `avatars resume ID`", "then run the command again")
        if _wants_json(args):
            print_json(error_view(error))
        print_error(error)
        return exit_code_for(error)
    except KeyboardInterrupt:
        print_status("interrupted; recorded progress is kept: see `avatars list`, then `avatars resume ID`")
        return EXIT_INTERRUPTED
    return code if isinstance(code, int) else 0
