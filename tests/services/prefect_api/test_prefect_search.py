"""The search terms for Prefect's logs, and the flows that the search knows."""

from __future__ import annotations

import pytest

from deployments.catalog import CATALOG
from flows.refused import refused
from flows.training_failed import training_failed
from models.privacy.prefect_traces import ANONYMOUS_FLOWS, OUR_FLOWS
from services.prefect_api.prefect_search import MAX_QUERY_CHARACTERS, searchable_part


def test_every_flow_is_known_to_the_search() -> None:
    flows = [refused, training_failed, *(spec.flow for spec in CATALOG)]
    assert {flow.name for flow in flows} == OUR_FLOWS
    assert {flow.name for flow in flows if not flow.parameters.properties} == ANONYMOUS_FLOWS


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("Ada Lovelace", "Ada Lovelace"),
        ("Zoë", "Zoë"),
        ("李雷", "李雷"),
        ("ÉVA SZABÓ", "VA SZAB"),
        ('Ada "The Countess" Lovelace', "The Countess"),
        ("https://v.example/a.mp4", "https://v.example/a.mp4"),
        ("x" * 300, "x" * (MAX_QUERY_CHARACTERS - 2)),
        ('"', ""),
    ],
)
def test_search_term_is_part_of_the_text(text: str, part: str) -> None:
    assert searchable_part(text) == part
    assert part in text
