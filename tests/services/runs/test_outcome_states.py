"""The final state of a run, with hostile and long texts in the provisioning."""

from __future__ import annotations

import dataclasses
import unicodedata

import pytest
from prefect import states

from models.outcomes import OUTCOMES
from models.provisioning import Provisioning, Status
from models.reason import Reason
from models.text.escaping import MAX_STATE_MESSAGE_CHARACTERS
from services.prefect_api.prefect_patches import patch_state_messages
from services.runs.outcome_states import final_state_for
from tests.hostile_texts import HOSTILE_PARAMETERS, LONG
from tests.models.reports.test_markdown_reports import provisioning


def hostile(text: str) -> Provisioning:
    reason = Reason(code="argil.submission-rejected", message=text, hint=text)
    return dataclasses.replace(provisioning(Status.SUBMISSION_FAILED, avatar_id=text), reasons=[reason])


@pytest.mark.parametrize("text", HOSTILE_PARAMETERS)
def test_state_message_is_one_bounded_line(text: str) -> None:
    message = final_state_for(hostile(text)).message or ""
    assert message.startswith("provisioning p-1. avatar ")
    assert len(message) <= MAX_STATE_MESSAGE_CHARACTERS
    assert all(unicodedata.category(character) not in {"Cc", "Cs", "Zl", "Zp"} for character in message)


def test_reason_that_repeats_the_description_is_left_out() -> None:
    description = OUTCOMES[Status.REFUSED].description
    own = Reason(code="avatar.refused", message=description, hint="")
    other = Reason(code="other", message="more", hint="")
    message = final_state_for(provisioning(Status.REFUSED, reasons=[own, other])).message or ""
    assert message.count(description) == 1
    assert message.endswith("other: more")


def test_message_of_an_exception_is_bounded_and_keeps_its_lines() -> None:
    patch_state_messages()
    message = states.format_exception(ValueError(f"2 problems\n\x1b[2J{LONG}"))
    assert message.startswith("ValueError: 2 problems\n\\x1b[2Jxxx")
    assert len(message) == MAX_STATE_MESSAGE_CHARACTERS
