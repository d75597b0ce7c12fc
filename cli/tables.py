"""Tables and reports of provisionings on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.markup import escape
from rich.table import Table

from cli.console import result
from models.outcomes import OUTCOMES
from models.provisioning import Event, Provisioning, Status, Submission
from models.resolution import Resolution, Resolved

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
_TROUBLE = {Resolution.LOST: "yellow", Resolution.UNKNOWN: "yellow", Resolution.DUPLICATE: "red"}


def styled(status: Status) -> str:
    """Return the status in its colour."""
    return f"[{_STYLES.get(status, 'cyan')}]{status}[/]"


def print_provisionings(provisionings: Sequence[Provisioning]) -> None:
    """Print one row each."""
    table = Table("Status", "Name", "Reasons", show_lines=True)
    table.add_column("ID", no_wrap=True)  # to be copied
    for one in provisionings:
        reasons = "\n".join(escape(f"{reason.code}: {reason.message}") for reason in one.reasons)
        table.add_row(styled(one.status), escape(one.name), reasons, one.id)
    result.print(table)


def print_outcome(one: Provisioning) -> None:
    """Print where one provisioning stands, why, and what to do next."""
    outcome = OUTCOMES[one.status]
    result.print(f"{styled(one.status)} [bold]{escape(one.name)}[/]: {escape(outcome.meaning)}")
    result.print(f"  provisioning {one.id}, reference {escape(one.reference)}", soft_wrap=True)
    if one.avatar_id:
        result.print(f"  avatar {escape(one.avatar_id)}", soft_wrap=True)
    for reason in one.reasons:
        result.print(f"  - {escape(f'{reason.code}: {reason.message}')}", soft_wrap=True)
        if reason.hint:
            result.print(f"    {escape(reason.hint)}", style="dim", soft_wrap=True)
    result.print(f"  next: {escape(outcome.next_step_of(one.id))}", soft_wrap=True)


def print_history(
    events: Sequence[Event], submissions: Sequence[Submission], resolved: Mapping[str, Resolved]
) -> None:
    """Print everything that happened, and what became of every create that was recorded."""
    table = Table("When (UTC)", "Status", "Who", "Why", title="History", title_justify="left")
    for event in events:
        table.add_row(f"{event.at:%Y-%m-%d %H:%M:%S}", styled(event.to_status), event.actor, escape(event.why))
    result.print(table)
    if submissions:
        sent = Table("#", "State", "How it was resolved", title="Creates", title_justify="left")
        for column in ("Avatar", "Submission"):
            sent.add_column(column, overflow="fold")  # to be copied
        for one in submissions:
            became = resolved[one.id]
            told = f"[{_TROUBLE.get(became.kind, 'default')}]{escape(became.told)}[/]"
            sent.add_row(str(one.ordinal), one.state, told, escape(one.avatar_id or ""), one.id)
        result.print(sent)
