"""The last line of `avatars check`, and the example of a template."""

from __future__ import annotations

import pytest

from cli.check import print_report
from models.manifest.manifest import parse_manifest
from models.manifest.template import render_template
from models.media.checks import check_rules
from models.media.facts import MediaFacts
from models.media.report import MediaReport
from models.media.rules import MediaRole

GOOD = MediaFacts(
    size_bytes=10**7,
    container="mp4",
    video_codec="h264",
    width=1920,
    height=1080,
    duration_seconds=90.0,
    has_audio=True,
)
SILENT = {"has_audio": False}


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "no rule failed: this recording would be accepted"),
        (SILENT, "no rule failed, 1 warning: this recording would be accepted"),
        ({"duration_seconds": 9.0}, "1 rule failed: this recording would be rejected"),
        (
            {"duration_seconds": 9.0, "width": 64, "height": 36, **SILENT},
            "2 rules failed, 1 warning: this recording would be rejected",
        ),
    ],
    ids=["good", "warning", "failed", "both"],
)
def test_check_ends_with_a_verdict(
    changes: dict[str, object], verdict: str, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = GOOD.model_copy(update=changes)
    checks = tuple(check_rules(facts, MediaRole.DATASET))
    print_report(MediaReport(role=MediaRole.DATASET, facts=facts, checks=checks, requests=1, bytes_fetched=1))
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == verdict
    assert "with 1 request:" in out


def test_example_of_the_template_names_addresses_that_any_installation_reads() -> None:
    [row] = parse_manifest(render_template("csv"), "csv").rows
    assert row.request is not None
    assert all(address.startswith("https://") for address in row.request.recordings.values())
