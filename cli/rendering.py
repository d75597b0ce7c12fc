"""Render provisionings as tables and reports on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.markup import escape
from rich.table import Table

from cli.console import stdout_console
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


def styled(status: Status) -> str:
    """Return the status with the Rich markup of its colour."""
    return f"[{_STYLES.get(status, 'cyan')}]{status}[/]"


def print_provisionings(provisionings: Sequence[Provisioning]) -> None:
    """Print one table row per provisioning."""
    table = Table("Status", "Name", "Reasons", show_lines=True)
    table.add_column("ID", no_wrap=True)  # people copy it
    for provisioning in provisionings:
        reasons = "\n".join(escape(f"{reason.code}: {reason.message}") for reason in provisioning.reasons)
        table.add_row(styled(provisioning.status), escape(provisioning.name), reasons, provisioning.id)
    stdout_console.print(table)


def print_outcome(provisioning: Provisioning) -> None:
    """Print the status of one provisioning, its reasons, and the next step."""
    outcome = OUTCOMES[provisioning.status]
    heading = f"{styled(provisioning.status)} [bold]{escape(provisioning.name)}[/]: {escape(outcome.description)}"
    stdout_console.print(heading)
    stdout_console.print(
        f"  provisioning {provisioning.id}, reference {escape(provisioning.reference)}", soft_wrap=True
    )
    if provisioning.avatar_id:
        stdout_console.print(f"  avatar {escape(provisioning.avatar_id)}", soft_wrap=True)
    for reason in provisioning.reasons:
        stdout_console.print(f"  - {escape(f'{reason.code}: {reason.message}')}", soft_wrap=True)
        if reason.hint:
            stdout_console.print(f"    {escape(reason.hint)}", style="dim", soft_wrap=True)
    stdout_console.print(f"  next: {escape(outcome.next_step_for(provisioning.id))}", soft_wrap=True)


def print_history(
    events: Sequence[ProvisioningEvent],
    submissions: Sequence[Submission],
    resolved: Mapping[str, ResolvedSubmission],
) -> None:
    """Print the events of a provisioning and the resolution of each of its submissions."""
    table = Table("Time (UTC)", "Status", "Actor", "Message", title="History", title_justify="left")
    for event in events:
        table.add_row(
            f"{event.occurred_at:%Y-%m-%d %H:%M:%S}", styled(event.to_status), event.actor, escape(event.message)
        )
    stdout_console.print(table)
    if submissions:
        table = Table("#", "State", "Resolution", title="Submissions", title_justify="left")
        for column in ("Avatar", "Submission"):
            table.add_column(column, overflow="fold")  # people copy them
        for submission in submissions:
            resolution = resolved[submission.id]
            text = f"[{_RESOLUTION_STYLES.get(resolution.kind, 'default')}]{escape(resolution.description)}[/]"
            avatar_id = escape(submission.avatar_id or "")
            table.add_row(str(submission.ordinal), submission.state, text, avatar_id, submission.id)
        stdout_console.print(table)
