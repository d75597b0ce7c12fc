"""The markdown artifact of a provisioning: safe to render, without secrets, and with the next step."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.outcomes import OUTCOMES, next_step
from models.provisioning import Provisioning, ProvisioningEvent, Status, Submission, SubmissionState, VoiceSource
from models.reason import Reason
from models.release import Release
from models.reports.fleet_report import is_item_of, render_fleet_report
from models.reports.markdown_reports import (
    MAX_LISTED_EVENTS,
    MAX_LISTED_REASONS,
    describe_provisioning,
    render_provisioning_report,
)
from models.request import ProvisioningRequest
from models.text.escaping import MAX_CELL_CHARACTERS, inert, markdown_with_code
from tests.hostile_texts import HOSTILE_PARAMETERS, LONG

AT = datetime(2026, 11, 23, 9, 0, 30, tzinfo=UTC)
ESCAPED = re.compile(r"\\[\\`*_{}\[\]()#+!|<>~-]")
MARKUP = re.compile(r"[`*_{}\[\]()#+!|<>~\n-]")
CODE = re.compile("`[^`]+`")
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
        "request_fingerprint": "0" * 64,
        "status": status,
        "avatar_id": None,
        "raw_status": None,
        "reasons": [],
        "retrain_count": 0,
        "submission_count": 1,
        "training_started_at": None,
        "created_at": AT,
        "updated_at": AT,
        "flow_run_id": None,
        "avatar_snapshot": None,
        "media_facts": None,
        "lease_owner": None,
    }
    return Provisioning(**{**fields, **changes})


def event(message: str, new_status: Status = Status.ACCEPTED) -> ProvisioningEvent:
    return ProvisioningEvent(
        occurred_at=AT,
        actor="test",
        from_status=None,
        to_status=new_status,
        message=message,
        raw_status=None,
        flow_run_id=None,
        submission_id=None,
    )


def line(report: str, prefix: str) -> str:
    """Return the only line with this prefix, without the prefix."""
    [matching_line] = [text for text in report.splitlines() if text.startswith(prefix)]
    return matching_line.removeprefix(prefix)


@pytest.mark.parametrize(
    ("changes", "row"),
    [({}, "not known |"), ({"voice_id": "v|1", "voice_source": VoiceSource.MATCHED}, "`v·1` (matched) |")],
)
def test_report_shows_the_voice_of_a_ready_avatar(changes: dict[str, Any], row: str) -> None:
    report = render_provisioning_report(provisioning(avatar_id="a-1", **changes), [])
    assert line(report, "| Voice at Argil | ") == row
    assert ("avatars voice p-1 VOICE_ID" in report) is not bool(changes)
    assert "Voice" not in render_provisioning_report(provisioning(Status.TRAINING), [])


@pytest.mark.parametrize("status", Status)
def test_report_explains_each_status_and_next_step(status: Status) -> None:
    shown = provisioning(status)
    report = render_provisioning_report(shown, [])
    outcome = OUTCOMES[status]
    assert report.startswith(f"# Ada: {status}\n")
    assert outcome.description[1:] in report
    steps = report.split("## What to do next\n\n")[1].split("\n\n## Timeline")[0]
    assert steps.splitlines()[0] == f"- {markdown_with_code(next_step(shown))}"
    assert ("- In Prefect: " in steps) == (status is not Status.READY)
    assert "{id}" not in report


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
def test_report_escapes_markup_in_a_name(name: str) -> None:
    heading = line(render_provisioning_report(provisioning(name=name), []), "# ").removesuffix(": READY")
    assert MARKUP.search(ESCAPED.sub("", heading)) is None
    assert heading.replace("\\", "") == " ".join(name.split()).replace("\\", "")


@settings(deadline=None)
@given(st.text(min_size=1))
def test_untrusted_text_makes_no_markup_and_no_line_break(text: str) -> None:
    reason = Reason(code="dataset.duration-too-short", message=text, hint=text)
    hostile = provisioning(Status.REJECTED, name=text, reference=text, avatar_id=text, reasons=[reason])
    report = render_provisioning_report(hostile, [event(text)])
    plain = render_provisioning_report(
        provisioning(Status.REJECTED, avatar_id="a", reasons=[Reason(code="x", message="m", hint="h")]),
        [event("w")],
    )
    assert report.count("\n") == plain.count("\n")
    for cell in (
        line(report, "# ").removesuffix(": REJECTED"),
        line(report, "| Reference | ").removesuffix(" |"),
        line(report, "- **dataset.duration-too-short**: "),
        line(report, "- 2026-11-23 09:00:30 UTC, **ACCEPTED** by test: "),
    ):
        assert MARKUP.search(CODE.sub("", ESCAPED.sub("", cell))) is None
    assert re.fullmatch(r"`[^`|\n]+` \|", line(report, "| Avatar at Argil | "))


def test_ready_report_shows_facts_without_url_queries() -> None:
    report = render_provisioning_report(provisioning(avatar_id="a-1", avatar_snapshot=IDLE), [])
    assert "| Size | 1920 x 1080 |" in report
    assert "| Orientation | ASPECT\\_RATIO\\_16\\_9 |" in report
    assert "| Model | ARGIL\\_V1 |" in report
    assert "| Gestures | 2 |" in report
    assert "| Thumbnail | [cdn.example](<https://cdn.example/t.jpg?…>) |" in report
    assert "| Cover | [cdn.example](<https://cdn.example/c.jpg?…>) |" in report
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
def test_picture_that_is_not_a_plain_https_url_is_omitted(url: object) -> None:
    report = render_provisioning_report(provisioning(avatar_snapshot=IDLE | {"thumbnailUrl": url}), [])
    assert "Thumbnail" not in report
    assert "Cover" in report


@pytest.mark.parametrize("avatar", [None, {}, {"id": "a-1"}, {"id": "a-1", "status": "IDLE"}])
def test_report_without_avatar_facts_renders(avatar: dict[str, Any] | None) -> None:
    assert "| Size |" not in render_provisioning_report(provisioning(avatar_snapshot=avatar), [])


def test_facts_are_shown_for_ready_avatars_only() -> None:
    assert "Thumbnail" not in render_provisioning_report(provisioning(Status.REFUSED, avatar_snapshot=IDLE), [])


def test_report_redacts_reasons_and_events() -> None:
    message = f"cannot read https://a.example/d.mp4?X-Amz-Signature={CANARY}&x='y'&z={CANARY}"
    reason = Reason(code="media.unreachable", message=message, hint=message)
    report = render_provisioning_report(provisioning(Status.REJECTED, reasons=[reason]), [event(message)])
    assert "canary" not in report
    assert "https://a.example/d.mp4?…" in report


def test_timeline_lists_every_event_in_order() -> None:
    events = [event("the request was recorded"), event("a submission was recorded", Status.SUBMITTING)]
    report = render_provisioning_report(provisioning(), events)
    assert report.splitlines()[-2:] == [
        "- 2026-11-23 09:00:30 UTC, **ACCEPTED** by test: the request was recorded",
        "- 2026-11-23 09:00:30 UTC, **SUBMITTING** by test: a submission was recorded",
    ]


def test_report_lists_every_reason_with_its_hint() -> None:
    reasons = [
        Reason(code="dataset.duration-too-short", message="it has 40 s", hint="record more"),
        Reason(code="consent.duration-too-long", message="it has 31 s", hint="cut it"),
    ]
    report = render_provisioning_report(provisioning(Status.REJECTED, reasons=reasons), [])
    assert "- **dataset.duration-too-short**: it has 40 s. record more" in report
    assert "- **consent.duration-too-long**: it has 31 s. cut it" in report
    assert "## Reasons" not in render_provisioning_report(provisioning(), [])


@pytest.mark.parametrize("text", HOSTILE_PARAMETERS)
def test_description_contains_no_markup(text: str) -> None:
    description = describe_provisioning(provisioning(name=text))
    assert description == f"{inert(text)}: READY"
    assert re.search(r"[<>&\[\]`*#|]|://", description) is None
    assert len(description) <= MAX_CELL_CHARACTERS + len(": READY")


def test_description_of_an_ordinary_name_stays_readable() -> None:
    assert describe_provisioning(provisioning(name="Jean-Luc O'Neil (2), José_1")) == (
        "Jean-Luc O'Neil (2), José_1: READY"
    )


def test_description_contains_no_secret() -> None:
    assert "canary" not in describe_provisioning(provisioning(name=f"https://a.example/?sig={CANARY}"))


def test_report_shows_entities_as_they_are_written() -> None:
    assert "# \\&lt;b\\&gt;: READY" in render_provisioning_report(provisioning(name="&lt;b&gt;"), [])


def test_report_shows_control_characters_as_escapes() -> None:
    report = render_provisioning_report(provisioning(name="a\u202eb", avatar_id="\x1b[2J"), [event("c\u2066\x1bd")])
    assert report.startswith("# a\\\\u202eb: READY")
    assert "| `\\x1b[2J` |" in report
    assert ": c\\\\u2066\\\\x1bd" in report


def test_report_is_bounded() -> None:
    reasons = [Reason(code="c", message=LONG, hint=LONG)] * 1000
    report = render_provisioning_report(
        provisioning(Status.REJECTED, name=LONG, reference=LONG, avatar_id=LONG, reasons=reasons),
        [event(LONG)] * 1000,
    )
    assert report.count("**c**") == MAX_LISTED_REASONS
    assert report.count("**ACCEPTED** by") == MAX_LISTED_EVENTS
    assert "The first 800 events are omitted." in report
    assert len(report) < 400_000
    fleet = render_fleet_report({Status.REJECTED: 1}, {Status.REJECTED: [provisioning(reasons=reasons)]}, AT)
    assert len(fleet) < 4 * MAX_CELL_CHARACTERS


@pytest.mark.parametrize("text", HOSTILE_PARAMETERS)
def test_fleet_report_has_one_row_per_provisioning(text: str) -> None:
    reason = Reason(code="c", message=text)
    fleet = render_fleet_report(
        {}, {Status.REJECTED: [provisioning(Status.REJECTED, name=text, reasons=[reason])]}, AT
    )
    [item] = [row for row in fleet.splitlines() if is_item_of(row, "p-1")]
    name = item.removeprefix("- **REJECTED** ").removesuffix(", id p-1, since 2026-11-23 09:00 UTC")
    [reasons] = [row for row in fleet.splitlines() if row.startswith("  - c: ")]
    for cell in (name, reasons.removeprefix("  - ")):
        assert MARKUP.search(ESCAPED.sub("", cell)) is None


@pytest.mark.parametrize(
    "url", ["https://cdn.example/\u202et.jpg", "https://cdn.example/\x1b.jpg", f"https://h/{LONG}"]
)
def test_picture_with_a_hidden_character_or_too_long_is_omitted(url: str) -> None:
    report = render_provisioning_report(provisioning(avatar_snapshot=IDLE | {"coverImageUrl": url}), [])
    assert "Cover" not in report


def test_report_tells_who_asked_for_each_attempt_and_why() -> None:
    submission = Submission(
        id="s-1",
        ordinal=1,
        state=SubmissionState.CREATED,
        request_fingerprint=None,
        avatar_id="a|1",
        http_status=201,
        response=None,
        created_at=AT,
        state_changed_at=AT,
    )
    recorded = event("sent", Status.SUBMITTING).model_copy(update={"submission_id": "s-1"})
    report = render_provisioning_report(provisioning(), [event("retrained: *Grace*"), recorded], [submission])
    assert "- Attempt 1 at 2026-11-23 09:00:30 UTC by test: retrained: \\*Grace\\*. CREATED, avatar `a·1`" in report
    assert "- 2026-11-23 09:00:30 UTC, **ACCEPTED** by test: retrained: \\*Grace\\*" in report
    assert "## Attempts" not in render_provisioning_report(provisioning(), [])


def test_fleet_report_lists_the_limits_if_there_are_any() -> None:
    fleet = render_fleet_report({}, {}, AT, ["payment: waits", "3 of 5"])
    assert "## Limits\n\n- payment: waits\n- 3 of 5\n" in fleet
    assert "## Limits" not in render_fleet_report({}, {}, AT)


@pytest.mark.parametrize(("code", "is_blocked"), [("argil.unauthorized", True), ("pause.rate", False)])
def test_fleet_report_has_a_blocked_request_under_needs_attention(code: str, is_blocked: bool) -> None:
    waiting = provisioning(Status.ACCEPTED, reasons=[Reason(code=code, message="it is so")])
    fleet = render_fleet_report({}, {Status.ACCEPTED: [waiting]}, AT)
    attention, _, in_flight = fleet.partition("## In flight")
    assert ("id p-1" in attention, "id p-1" in in_flight) == (is_blocked, not is_blocked)


def test_fleet_report_names_the_credits_of_images() -> None:
    fleet = render_fleet_report({Status.READY: 12}, {}, AT, images=12)
    assert "- Submissions that Argil accepted: 12 from images for 24 credits (2 each)\n" in fleet
    assert "credits" not in render_fleet_report({Status.READY: 12}, {}, AT)


FACTS = {"size_bytes": 12_345_678, "duration_seconds": 61.04, "video_codec": "h264", "width": 1920, "height": 1080}


def test_report_shows_the_facts_of_each_recording() -> None:
    report = render_provisioning_report(provisioning(media_facts={"dataset": FACTS, "consent": {"etag": "x"}}), [])
    assert "- Dataset: 12.3 MB, 61.0 s, h264, 1920 x 1080 pixels" in report
    assert "Consent" not in report
    assert "## Recordings" not in render_provisioning_report(provisioning(), [])


@pytest.mark.parametrize("facts", [{"dataset": None}, {"dataset": {"size_bytes": "7|", "video_codec": "a|b"}}])
def test_report_with_unusual_media_facts_renders(facts: dict[str, Any]) -> None:
    assert "a|b" not in render_provisioning_report(provisioning(media_facts=facts), [])


@pytest.mark.parametrize("status", Status)
def test_report_has_no_backtick_outside_of_code(status: Status) -> None:
    outcome = OUTCOMES[status]
    own = Reason(code="own", message=outcome.description, hint=outcome.next_step_for("p-1"))
    other = Reason(code="other", message="m", hint="run `avatars doctor`, or `odd")
    report = render_provisioning_report(provisioning(status, reasons=[own, other]), [])
    assert "`" not in CODE.sub("", report)
    assert "run `avatars doctor`, or odd" in report
    assert "**own**" not in report


RELEASE = Release(released_at=AT, reason="Grace: *reviewed*", recordings=2)


def test_released_provisioning_is_no_longer_to_release() -> None:
    refused = provisioning(Status.REFUSED)
    report = render_provisioning_report(refused, [], [], [RELEASE])
    assert "Released from quarantine at 2026-11-23 09:00:30 UTC: Grace: \\*reviewed\\*" in report
    assert "A person released its recordings." in report
    assert "quarantined" not in report
    fleet = render_fleet_report({}, {Status.REFUSED: [refused]}, AT, releases={"p-1": [RELEASE]})
    attention, released = fleet.split("## In flight")[0], fleet.split("## Released from quarantine")[1]
    assert "None." in attention
    assert "Released 2026-11-23 09:00 UTC: Grace: \\*reviewed\\*" in released
    for text in (report, fleet):
        assert "with another reference" in text
        assert "release p-1" not in text
        assert "release-recordings" not in text


def test_fleet_report_links_to_artifact_and_run() -> None:
    run = "0f2b8c1e-5d47-4a90-9b6e-0c1d2e3f4a5b"
    refused = provisioning(Status.REFUSED, flow_run_id=run)
    fleet = render_fleet_report({Status.REFUSED: 1}, {Status.REFUSED: [refused]}, AT, artifact_ids={"p-1": "a-7"})
    assert "- **REFUSED** [Ada](/v2/artifacts/artifact/a-7), id p-1, since" in fleet
    assert f"UTC, [run](/v2/runs/flow-run/{run})" in fleet
    assert "run the deployment release\\-recordings/on\\-demand with the id p\\-1" in fleet
    assert "|" not in fleet
    unlinked = render_fleet_report({}, {Status.REFUSED: [provisioning(Status.REFUSED, flow_run_id="a)b")]}, AT)
    assert "](" not in unlinked


def test_report_names_the_image() -> None:
    facts = {"format": "png", "width": 1920, "height": 1080, "size_bytes": 1_234_567}
    report = render_provisioning_report(provisioning(media_facts={"image": facts}), [])
    assert "| Image | PNG, 1920x1080, 1,234,567 bytes |" in report
    for media in (None, {"image": None}, {"dataset": {"size_bytes": 1}}):
        assert "| Image |" not in render_provisioning_report(provisioning(media_facts=media), [])
