"""Render provisionings as tables and reports on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from cli.console import print_line
from cli.terminal import shown, shown_lines, stdout_console
from models.attempts import list_attempts
from models.outcomes import OUTCOMES
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
_RESOLUTION_STYLES = {Resolution.LOST: "yellow", Resolution.UNKNOWN: "yellow", Resolution.DUPLICATE: "red"}


def styled(status: Status) -> Text:
    """Return the status in its colour."""
    return Text(status, _STYLES.get(status, "cyan"))


def print_table_of_provisionings(provisionings: Sequence[Provisioning]) -> None:
    """Print one table row per provisioning."""
    table = Table("Status", "Name", "Reasons", show_lines=True)
    table.add_column("ID", no_wrap=True)  # people copy it
    for provisioning in provisionings:
        reasons = shown_lines(f"{reason.code}: {reason.message}" for reason in provisioning.reasons)
        table.add_row(styled(provisioning.status), shown(provisioning.name), reasons, provisioning.id)
    stdout_console.print(table)


def print_table_of_batches(rows: Sequence[Sequence[str]]) -> None:
    """Print one table row per batch: id, start, manifest, caller and counts."""
    table = Table(show_lines=True)
    table.add_column("ID", no_wrap=True)  # people copy it
    for title in ("Started (UTC)", "Manifest", "Started by", "Rows"):
        table.add_column(title)
    for cells in rows:
        table.add_row(*map(shown, cells))
    stdout_console.print(table)


def print_outcome(provisioning: Provisioning, *, is_released: bool = False) -> None:
    """Print the status of one provisioning, its reasons, and the next step.

    Args:
        provisioning: The provisioning.
        is_released: Whether a person released its recordings from quarantine.
    """
    outcome = OUTCOMES[provisioning.status]
    stdout_console.print(
        Text.assemble(
            styled(provisioning.status), " ", shown(provisioning.name, "bold"), f": {outcome.description}"
        )
    )
    print_line(f"  provisioning {provisioning.id}, reference {provisioning.reference}")
    if provisioning.avatar_id:
        print_line(f"  avatar {provisioning.avatar_id}")
    for reason in provisioning.reasons:
        print_line(f"  - {reason.code}: {reason.message}")
        if reason.hint and not (is_released and reason.hint == outcome.next_step_for(provisioning.id)):
            print_line(f"    {reason.hint}", style="dim")
    print_line(f"  next: {outcome.next_step_for(provisioning.id, is_released=is_released)}")


def print_history(
    events: Sequence[ProvisioningEvent],
    submissions: Sequence[Submission],
    resolved: Mapping[str, ResolvedSubmission],
) -> None:
    """Print the events of a provisioning, and of each submission who asked for it, why, and its resolution."""
    table = Table("Time (UTC)", "Status", "Actor", "Message", title="History", title_justify="left")
    for event in events:
        table.add_row(
            f"{event.occurred_at:%Y-%m-%d %H:%M:%S}", styled(event.to_status), event.actor, shown(event.message)
        )
    stdout_console.print(table)
    if submissions:
        table = Table("#", "Time (UTC)", "Requested by", "Cause", title="Attempts", title_justify="left")
        for attempt in list_attempts(submissions, events):
            created_at = f"{attempt.submission.created_at:%Y-%m-%d %H:%M:%S}"
            ordinal = str(attempt.submission.ordinal)
            table.add_row(ordinal, created_at, shown(attempt.requested_by), shown(attempt.cause))
        stdout_console.print(table)
        table = Table("#", "State", "Resolution", title="Submissions", title_justify="left")
        for column in ("Avatar", "Submission"):
            table.add_column(column, overflow="fold")  # people copy them
        for submission in submissions:
            resolution = resolved[submission.id]
            description = shown(resolution.description, _RESOLUTION_STYLES.get(resolution.kind, ""))
            avatar_id = shown(submission.avatar_id or "")
            table.add_row(str(submission.ordinal), submission.state, description, avatar_id, submission.id)
        stdout_console.print(table)
