"""Notification texts for the events that need a person: Jinja templates that the Prefect server renders.

A text of an event never becomes markup, a mention or a link. Its characters are replaced as in `inert`, because no
escape is right: a notification block sends the same text to a channel of Slack, Teams, Discord or Mattermost, as
HTML by mail, or to any webhook, and Prefect's plug-in for Slack turns escaped mentions back into mentions.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from models.outcomes import OUTCOMES, Outcome, outcome_of
from models.provisioning import Status
from models.request import RequestKind
from models.text.escaping import INERT_FORMS
from services.prefect_api.events import DUPLICATE_EVENT

_REPLACE = "".join(
    f" | replace({json.dumps(text, ensure_ascii=False)}, {json.dumps(form, ensure_ascii=False)})"
    for text, form in INERT_FORMS.items()
)
_INERT = f"{{% macro inert(text) %}}{{{{ text | string{_REPLACE} }}}}{{% endmacro %}}"
"""The macro `inert`, which Jinja has to have in each template."""
_ID = "{{ inert(event.payload.provisioning_id) }}"
_NAME = "{{ inert(event.resource.name) }}"
_AVATAR = "{% if event.payload.avatar_id %}, avatar {{ inert(event.payload.avatar_id) }}{% endif %}"
_REASONS = "{% for reason in event.payload.reasons %}- {{ inert(reason.message) }}\n{% endfor %}"
_LISTS_REASONS = {Status.REJECTED, Status.SUBMISSION_FAILED}
"""For the other statuses the reasons only repeat the description."""


@dataclass(frozen=True)
class NotificationTemplate:
    """The notification for one event.

    Attributes:
        title: What happened, in one or two words.
        event: Name of the Prefect event.
        subject: Template of the subject.
        body: Template of the body.
    """

    title: str
    event: str
    subject: str
    body: str


def _template(title: str, event: str, description: str, next_step: str, details: str = "") -> NotificationTemplate:
    # Neither the reference nor the request: both may contain data that the caller keeps private.
    return NotificationTemplate(
        title,
        event,
        subject=f"{_INERT}Avatar {_NAME}: {title}",
        body=f"{_INERT}{_NAME} (provisioning {_ID}{_AVATAR}): {description}.\n{details}\n"
        f"Next: {next_step}.\nDetails: `avatars show {_ID}`",
    )


def _template_for(status: Status, outcome: Outcome, event: str) -> NotificationTemplate:
    adopted = outcome_of(status, RequestKind.ADOPTED)
    return _template(
        status.lower().replace("_", " "),
        event,
        _unless_adopted(outcome.description, adopted.description),
        _next_step_or(_unless_adopted(outcome.next_step_for(_ID), adopted.next_step_for(_ID))),
        _REASONS if status in _LISTS_REASONS else "",
    )


def _next_step_or(text: str) -> str:
    """Return the template of the event's next step, which is our own text with the id of the provisioning.

    An event of an earlier version has none: then it is that of the given text.
    """
    return f"{{% if event.payload.next_step %}}{{{{ event.payload.next_step }}}}{{% else %}}{text}{{% endif %}}"


def _unless_adopted(text: str, of_adopted: str) -> str:
    """Return the template of a text that differs for adopted avatars."""
    if text == of_adopted:
        return text
    return f"{{% if event.payload.kind == '{RequestKind.ADOPTED}' %}}{of_adopted}{{% else %}}{text}{{% endif %}}"


NOTIFICATION_TEMPLATES: Sequence[NotificationTemplate] = (
    *(
        _template_for(status, outcome, outcome.event)
        for status, outcome in OUTCOMES.items()
        if outcome.event and status is not Status.READY
    ),
    _template(
        "duplicated",
        DUPLICATE_EVENT,
        "Argil has a second avatar for it, {{ inert(event.payload.duplicate_avatar_id) }}, which is not used",
        "ask Argil's support to remove and refund the second one; both may have been charged",
    ),
)
