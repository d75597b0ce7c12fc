"""Render provisionings as tables and reports on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cli.console import print_line
from cli.terminal import shown, stdout_console
from models.attempts import list_attempts
from models.outcomes import describe, further_reasons, next_step, outcome_of
from models.provisioning import Provisioning, ProvisioningEvent, Status, Submission
from models.submission_resolution import Resolution, ResolvedSubmission

_STYLES = {
    Status.READY: "green",
    Status.REJECTED: "yellow",
    Status.TIMED_OUT: "yellow",
    Status.CANCELLED: "yellow",
    Status.SUBMISSION_FAILED: "red",
    Status.TRAINING_FAILED: "red",
    Status.REFUSED: "red",
    Status.VANISHED: "red",
}
STATUS_WIDTH = max(map(len, Status))
_RESOLUTION_STYLES = {Resolution.LOST: "yellow", Resolution.UNKNOWN: "yellow", Resolution.DUPLICATE: "red"}


def styled(status: Status) -> Text:
    """Return the status in its colour."""
    return Text(status, _STYLES.get(status, "cyan"))


def print_list_of_provisionings(provisionings: Sequence[Provisioning], next_steps: Mapping[str, str]) -> None:
    """Print two lines per provisioning, which fit 80 columns, and below them its reasons and next step, uncut.

    Args:
        provisionings: The provisionings.
        next_steps: The next steps to print, by the id of the provisioning.

    """
    stdout_console.print(f"{'STATUS':<{STATUS_WIDTH}}  CREATED (UTC)     NAME\n  ID, REFERENCE", style="dim")
    for provisioning in provisionings:
        status = styled(provisioning.status)
        status.pad_right(STATUS_WIDTH - len(provisioning.status))
        created_at = f"  {provisioning.created_at:%Y-%m-%d %H:%M}  "
        stdout_console.print(Text.assemble(status, created_at, shown(provisioning.name, "bold")), soft_wrap=True)
        print_line(f"  {provisioning.id}  {provisioning.reference}")
        for reason in provisioning.reasons:
            _print_wrapped(f"{reason.code}: {reason.message}", 4)
        if provisioning.id in next_steps:
            _print_wrapped(f"next: {next_steps[provisioning.id]}", 4)


def _print_wrapped(text: str, indent: int, style: str = "") -> None:
    """Print a paragraph whose lines are indented and, on a terminal, broken at words."""
    paragraph = shown(text, style)
    if stdout_console.is_terminal:
        stdout_console.print(Padding(paragraph, (0, 0, 0, indent), expand=False))
    else:
        print_line(" " * indent + text, style)


def print_list_of_batches(rows: Sequence[Sequence[str]]) -> None:
    """Print two lines per batch, from its id, start, manifest, caller and counts, and the counts below them."""
    stdout_console.print("ID, STARTED (UTC)\n  MANIFEST, STARTED BY\n  ROWS", style="dim")
    for batch_id, started_at, manifest, started_by, counted in rows:
        print_line(f"{batch_id}  {started_at}", style="bold")
        print_line(f"  {manifest}, {started_by}")
        stdout_console.print(Padding(shown(counted), (0, 0, 0, 2), expand=False))


def print_outcome(provisioning: Provisioning, *, is_released: bool = False) -> None:
    """Print the status of one provisioning, its reasons, and the next step, each fact once.

    Args:
        provisioning: The provisioning.
        is_released: Whether a person released its recordings from quarantine.

    """
    description = describe(provisioning, is_released=is_released)
    step = next_step(provisioning, is_released=is_released)
    heading = Text.assemble(styled(provisioning.status), " ", shown(provisioning.name, "bold"), ": ")
    stdout_console.print(heading.append_text(shown(description)), soft_wrap=not stdout_console.is_terminal)
    print_line(f"  provisioning {provisioning.id}, reference {provisioning.reference}, kind {provisioning.kind}")
    if provisioning.avatar_id:
        print_line(f"  avatar {provisioning.avatar_id}")
    if provisioning.voice_id:
        print_line(f"  voice {provisioning.voice_id} ({provisioning.voice_source})")
    elif provisioning.status is Status.READY and provisioning.erased_at is None:
        lookup = "`avatars reconcile` looks it up, " if provisioning.voice_due_at else ""
        _print_wrapped(f"voice: not known; {lookup}`avatars voice {provisioning.id}` lists candidates", 2)
    outcome = outcome_of(provisioning.status, provisioning.kind)
    more = further_reasons(provisioning, description)
    for reason in provisioning.reasons:
        if reason in more:
            print_line(f"  - {reason.code}: {reason.message}")
        hint = reason.addressed_to(provisioning.id).hint
        if hint and hint not in (step, outcome.next_step_for(provisioning.id)):
            print_line(f"    {hint}", style="dim")
    _print_wrapped(f"next: {step}", 2)


def print_history(
    events: Sequence[ProvisioningEvent],
    submissions: Sequence[Submission],
    resolved: Mapping[str, ResolvedSubmission],
) -> None:
    """Print the events of a provisioning, and of each submission who asked for it, why, and its resolution."""
    table = Table(title="History", title_justify="left")
    for column in ("Time (UTC)", "Status"):
        table.add_column(column, no_wrap=True)  # the other columns wrap on a narrow terminal
    table.add_column("Actor")
    table.add_column("Message", overflow="fold")
    for event in events:
        table.add_row(
            f"{event.occurred_at:%Y-%m-%d %H:%M:%S}", styled(event.to_status), event.actor, shown(event.message)
        )
    stdout_console.print(table)
    if submissions:
        stdout_console.print("\nSubmissions", style="italic")
    for attempt in list_attempts(submissions, events):
        submission = attempt.submission
        resolution = resolved[submission.id]
        created_at = f"{submission.created_at:%Y-%m-%d %H:%M:%S}"
        print_line(f"  {submission.ordinal}. {created_at}  {submission.state}  {submission.id}")
        style = _RESOLUTION_STYLES.get(resolution.kind, "")
        avatar = f"avatar {submission.avatar_id}: " if submission.avatar_id else ""
        stdout_console.print(Padding(shown(f"{avatar}{resolution.description}", style), (0, 0, 0, 5), expand=False))
        if attempt.requested_by:
            cause = f"requested by {attempt.requested_by}: {attempt.cause}"
            stdout_console.print(Padding(shown(cause), (0, 0, 0, 5), expand=False))
