"""What a command prints of one provisioning: each fact once, and the next step of this case."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cli.rendering import print_outcome
from models.outcomes import OUTCOMES
from models.provisioning import Status
from models.reason import Reason
from tests.models.reports.test_markdown_reports import provisioning


def printed(capsys: pytest.CaptureFixture[str], status: Status, *reasons: Reason, erased: bool = False) -> str:
    """Return what is printed, on one line."""
    erased_at = datetime(2026, 11, 27, tzinfo=UTC) if erased else None
    print_outcome(provisioning(status, reasons=list(reasons), erased_at=erased_at))
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("status", [status for status in Status if status not in {Status.ACCEPTED, Status.READY}])
def test_reason_of_an_outcome_is_printed_once(status: Status, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = OUTCOMES[status]
    step = outcome.next_step_for("p-1")
    out = printed(capsys, status, Reason(code="avatar.any", message=outcome.description, hint=step))
    assert (out.count(outcome.description), out.count(step)) == (1, 1)


def test_queued_provisioning_waits_for_the_schedule(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, Status.ACCEPTED)
    assert "next: wait: the schedule `provision-pending` submits it" in out
    assert "fix" not in out


def test_blocked_provisioning_names_its_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, Status.ACCEPTED, Reason(code="budget.batch", message="the budget is used", hint="run it"))
    assert "budget.batch: the budget is used run it" in out
    assert "next: fix what the reasons name, then run `avatars resume p-1`" in out


@pytest.mark.parametrize("code", ["budget.day", "pause.payment", "pause.rate", "pause.video-create"])
def test_provisioning_that_waits_for_a_limit_needs_no_fix(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, Status.ACCEPTED, Reason(code=code, message="it must wait", hint="wait"))
    assert "next: wait: the schedule `provision-pending` submits it once the reason no longer applies" in out
    assert "fix" not in out


def test_cancelled_before_submission_does_not_keep_training(capsys: pytest.CaptureFixture[str]) -> None:
    message = "a person cancelled it; nothing was sent to Argil"
    out = printed(capsys, Status.CANCELLED, Reason(code="cancelled", message=message, hint=""))
    assert out.count("nothing was sent") == 1
    assert "training" not in out


def test_erased_provisioning_has_no_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert "next: none: its personal data was erased" in printed(capsys, Status.REJECTED, erased=True)
