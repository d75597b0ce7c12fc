"""The artifact of a provisioning: safe to render, free of secrets, and with the way on."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.outcomes import OUTCOMES
from models.provisioning import Event, Provisioning, Status
from models.reason import Reason
from models.report import avatar_report
from models.request import ProvisioningRequest

AT = datetime(2026, 11, 23, 9, 0, 30, tzinfo=UTC)
ESCAPED = re.compile(r"\\[\\`*_{}\[\]()#+!|<>~-]")
MARKUP = re.compile(r"[`*_{}\[\]()#+!|<>~\n-]")
CANARY = "canary-signature"
IDLE: dict[str, Any] = {
    "id": "a-1",
    "status": "IDLE",
    "width": 1920,
    "height": 1080,
    "orientation": "ASPECT_RATIO_16_9",
    "model": "ARGIL_V1",
    "gestures": [{"slug": "wave"}, {"slug": "nod"}],
    "thumbnailUrl": f"https://cdn.example/t.jpg?Signature={CANARY}",
    "coverImageUrl": f"https://cdn.example/c.jpg?Signature={CANARY}",
}


def provisioning(status: Status = Status.READY, *, name: str = "Ada", **changes: Any) -> Provisioning:
    fields: dict[str, Any] = {
        "id": "p-1",
        "version": 3,
        "reference": "ada-1",
        "request": ProvisioningRequest.model_construct(
            name=name,
            dataset_video=f"https://a.example/d.mp4?{CANARY}",
            consent_video=f"https://a.example/c.mp4?{CANARY}",
            extras={},
            reference=None,
        ),
        "status": status,
        "avatar_id": None,
        "raw_status": None,
        "reasons": [],
        "retrains": 0,
        "submissions": 1,
        "training_since": None,
        "created_at": AT,
        "updated_at": AT,
        "flow_run_id": None,
        "avatar": None,
        "media": None,
        "lease_owner": None,
    }
    return Provisioning(**{**fields, **changes})


def event(why: str, to: Status = Status.ACCEPTED) -> Event:
    return Event(
        at=AT,
        actor="test",
        from_status=None,
        to_status=to,
        why=why,
        raw_status=None,
        flow_run_id=None,
        submission_id=None,
    )


def line(report: str, opening: str) -> str:
    """Return the one line that opens so, without that."""
    [found] = [each for each in report.splitlines() if each.startswith(opening)]
    return found.removeprefix(opening)


@pytest.mark.parametrize("status", Status)
def test_each_status_is_explained_with_what_to_do_next(status: Status) -> None:
    report = avatar_report(provisioning(status), [])
    outcome = OUTCOMES[status]
    assert report.startswith(f"# Ada: {status}\n")
    assert outcome.meaning[1:] in report
    steps = report.split("## What to do next\n\n")[1].split("\n\n## Timeline")[0]
    assert steps == outcome.next_step.replace("ID", "p-1")
    assert "avatars resume ID" not in report


@pytest.mark.parametrize(
    "name",
    [
        "# heading",
        "| a | b |",
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[click](javascript:alert(1))",
        "![pixel](https://evil.example/p.png)",
        "`code` ```fence```",
        "**bold** _it_ ~~no~~",
        "line\nbreak\r\n\n# heading",
        "back\\slash \\| pipe",
        "- list",
        "{{ template }}",
    ],
)
def test_a_hostile_name_is_text_and_nothing_more(name: str) -> None:
    heading = line(avatar_report(provisioning(name=name), []), "# ").removesuffix(": READY")
    assert MARKUP.search(ESCAPED.sub("", heading)) is None
    assert heading.replace("\\", "") == " ".join(name.split()).replace("\\", "")


@settings(deadline=None)
@given(st.text(min_size=1))
def test_no_text_from_outside_makes_markup_or_breaks_its_line(text: str) -> None:
    reason = Reason(code="dataset.too-short", message=text, hint=text)
    hostile = provisioning(Status.REJECTED, name=text, reference=text, avatar_id=text, reasons=[reason])
    report = avatar_report(hostile, [event(text)])
    plain = avatar_report(
        provisioning(Status.REJECTED, avatar_id="a", reasons=[Reason(code="x", message="m", hint="h")]),
        [event("w")],
    )
    assert report.count("\n") == plain.count("\n")
    for cell in (
        line(report, "# ").removesuffix(": REJECTED"),
        line(report, "| Reference | ").removesuffix(" |"),
        line(report, "- **dataset.too-short**: "),
        line(report, "| 2026-11-23 09:00:30 | ACCEPTED | ").removesuffix(" |"),
    ):
        assert MARKUP.search(ESCAPED.sub("", cell)) is None
    assert re.fullmatch(r"`[^`|\n]+` \|", line(report, "| Avatar at Argil | "))


def test_what_was_trained_is_shown_without_the_queries_of_its_pictures() -> None:
    report = avatar_report(provisioning(avatar_id="a-1", avatar=IDLE), [])
    assert "| Size | 1920 x 1080 |" in report
    assert "| Orientation | ASPECT\\_RATIO\\_16\\_9 |" in report
    assert "| Model | ARGIL\\_V1 |" in report
    assert "| Gestures | 2 |" in report
    assert "| Thumbnail | <https://cdn.example/t.jpg?…> |" in report
    assert "| Cover | <https://cdn.example/c.jpg?…> |" in report
    assert "| Avatar at Argil | `a-1` |" in report
    assert "canary" not in report


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "http://cdn.example/t.jpg",
        "https://cdn.example/t.jpg> <script>",
        "https://cdn.example/t.jpg | x",
        "https://cdn.example/t\n.jpg",
        "",
        7,
    ],
)
def test_a_picture_that_is_no_plain_https_link_is_left_out(url: object) -> None:
    report = avatar_report(provisioning(avatar=IDLE | {"thumbnailUrl": url}), [])
    assert "Thumbnail" not in report
    assert "Cover" in report


@pytest.mark.parametrize("avatar", [None, {}, {"id": "a-1"}, {"id": "a-1", "status": "IDLE"}])
def test_a_report_needs_no_facts(avatar: dict[str, Any] | None) -> None:
    assert "| Size |" not in avatar_report(provisioning(avatar=avatar), [])


def test_facts_of_an_avatar_that_is_not_ready_are_not_shown() -> None:
    assert "Thumbnail" not in avatar_report(provisioning(Status.REFUSED, avatar=IDLE), [])


def test_reasons_and_events_keep_no_query() -> None:
    told = f"cannot read https://a.example/d.mp4?X-Amz-Signature={CANARY}&x='y'&z={CANARY}"
    reason = Reason(code="media.unreachable", message=told, hint=told)
    report = avatar_report(provisioning(Status.REJECTED, reasons=[reason]), [event(told)])
    assert "canary" not in report
    assert "https://a.example/d.mp4?…" in report


def test_the_timeline_tells_every_event_in_order() -> None:
    told = [event("the request was recorded"), event("a create was recorded", Status.SUBMITTING)]
    report = avatar_report(provisioning(), told)
    assert report.splitlines()[-2:] == [
        "| 2026-11-23 09:00:30 | ACCEPTED | the request was recorded |",
        "| 2026-11-23 09:00:30 | SUBMITTING | a create was recorded |",
    ]


def test_every_reason_is_listed_with_its_hint() -> None:
    reasons = [
        Reason(code="dataset.too-short", message="it has 40 s", hint="record more"),
        Reason(code="consent.too-long", message="it has 31 s", hint="cut it"),
    ]
    report = avatar_report(provisioning(Status.REJECTED, reasons=reasons), [])
    assert "- **dataset.too-short**: it has 40 s. record more" in report
    assert "- **consent.too-long**: it has 31 s. cut it" in report
    assert "## Reasons" not in avatar_report(provisioning(), [])
