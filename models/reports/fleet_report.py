"""Renders the fleet report as markdown: lists, since a page of Prefect has no room for a wide table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from models.image_request import describe_credits
from models.outcomes import OUTCOMES, deployment_step, further_reasons, next_step, waits_for_person
from models.privacy.erasure import ERASED_PLACEHOLDER
from models.provisioning import NEEDS_ATTENTION, Provisioning, Status, parse_provisioning_id
from models.release import Release
from models.text.escaping import markdown, markdown_with_code
from models.text.redaction import redact

ERASED_ITEM = f"- {ERASED_PLACEHOLDER}"
"""What an erasure leaves of an item."""
_ARTIFACT_PATH = "/v2/artifacts/artifact/"
_RUN_PATH = "/v2/runs/flow-run/"
_IN_FLIGHT = (Status.TRAINING, Status.SUBMITTING, Status.ACCEPTED)


def render_fleet_report(
    counts: Mapping[Status, int],
    newest: Mapping[Status, Sequence[Provisioning]],
    now: datetime,
    limits: Sequence[str] = (),
    account: Sequence[str] = (),
    *,
    images: int = 0,
    artifact_ids: Mapping[str, str] | None = None,
    releases: Mapping[str, Sequence[Release]] | None = None,
) -> str:
    """Return markdown with counts, limits, the account and the newest provisionings per status, without secrets.

    Args:
        counts: The number of provisionings per status.
        newest: The newest provisionings per status; those that need attention and those in flight are listed.
        now: The time of the report, in UTC.
        limits: The pauses and the budget of the day, one line each.
        account: How the account at Argil differs from the ledger, one line each.
        images: The submissions with images that Argil accepted; each one is charged.
        artifact_ids: The ids of the artifacts about these provisionings, by the id of the provisioning.
        releases: The releases from quarantine, by the id of the provisioning.
    """
    artifact_ids, releases = artifact_ids or {}, releases or {}
    lines = [f"# Avatars, {now:%Y-%m-%d %H:%M} UTC", ""]
    lines += [f"- {count} **{status}**: {OUTCOMES[status].description}" for status, count in counts.items()]
    if images:
        lines.append(f"- Submissions that Argil accepted: {describe_credits(images)}")
    if not counts:
        lines += ["No avatars yet. To request one, run the deployment provision-avatar/on-demand."]
    if limits:
        lines += ["", "## Limits", "", *(f"- {markdown(redact(line))}" for line in limits)]
    if account:
        lines += ["", "## Account at Argil", "", *(f"- {markdown(redact(line))}" for line in account)]
    attention = [item for status in NEEDS_ATTENTION for item in newest.get(status, ())]
    in_flight = [item for status in _IN_FLIGHT for item in newest.get(status, ())]
    sections = {
        "Needs attention": [item for item in attention if waits_for_person(item, is_released=item.id in releases)],
        "In flight": [item for item in in_flight if not waits_for_person(item)],
        "Released from quarantine": [item for item in attention if item.id in releases],
    }
    for title, provisionings in sections.items():
        if title.startswith("Released") and not provisionings:
            continue
        lines += ["", f"## {title}", ""]
        for provisioning in provisionings:
            lines += _item(provisioning, artifact_ids.get(provisioning.id), releases.get(provisioning.id, ()))
        if not provisionings:
            lines.append("None.")
    return "\n".join(lines)


def is_item_of(line: str, provisioning_id: str) -> bool:
    """Return whether a line of the report is the first one of the item about a provisioning.

    Names are escaped, so they cannot contain an id: it has dashes.
    """
    return line.startswith("- ") and f", id {provisioning_id}, since " in line


def _item(provisioning: Provisioning, artifact_id: str | None, releases: Sequence[Release]) -> list[str]:
    """Return the lines of one provisioning. models/privacy/artifact_erasure.py recognizes the first one."""
    name = markdown(redact(provisioning.name))
    if artifact_id:
        name = f"[{name}]({_ARTIFACT_PATH}{artifact_id})"
    run_id = parse_provisioning_id(provisioning.flow_run_id or "")
    run = f", [run]({_RUN_PATH}{run_id})" if run_id else ""
    since = f"{provisioning.updated_at:%Y-%m-%d %H:%M} UTC"
    lines = [f"- **{provisioning.status}** {name}, id {provisioning.id}, since {since}{run}"]
    if reasons := "; ".join(f"{reason.code}: {reason.message}" for reason in further_reasons(provisioning)):
        lines.append(f"  - {markdown(redact(reasons))}")
    lines += [
        f"  - Released {release.released_at:%Y-%m-%d %H:%M} UTC: {markdown(redact(release.reason))}"
        for release in releases
    ]
    lines.append(f"  - Next: {markdown_with_code(next_step(provisioning, is_released=bool(releases)))}")
    if not releases and (step := deployment_step(provisioning)):
        lines.append(f"  - In Prefect: {markdown_with_code(step)}")
    return lines
