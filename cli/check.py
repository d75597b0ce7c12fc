"""`avatars check`: validate one video without recording or submitting anything."""

from __future__ import annotations

import asyncio

from rich.padding import Padding
from rich.text import Text

from cli.console import print_json, print_line
from cli.options import JsonFlag
from cli.terminal import shown, stdout_console
from media.checker import MediaChecker
from models.exit_codes import EXIT_OK, EXIT_USAGE
from models.media_facts import MediaFacts
from models.media_report import MediaReport
from models.media_rules import MediaRole
from models.request import validate_recording_url
from models.settings import Settings


def check(url: str, /, *, role: MediaRole, json: JsonFlag = False) -> int:
    """Check a video against Argil's rules.

    Reads only the index of the file and sends nothing to Argil.

    Args:
        url: HTTPS URL of the video.
        role: Which of the two videos of a request it is.

    """
    validate_recording_url(url)
    settings = Settings.load()
    with MediaChecker(
        allowed_hosts=settings.avatars_media_allowed_hosts,
        reference_host=settings.reference_host,
        policy=settings.media_policy,
    ) as media:
        report = asyncio.run(media.check(url, role))
    passed = not report.reasons
    if json:
        document = report.model_dump(mode="json")
        reasons = [reason.model_dump() for reason in report.reasons]
        warnings = [warning.model_dump() for warning in report.warnings]
        print_json({**document, "passed": passed, "reasons": reasons, "warnings": warnings})
    else:
        _print(report)
    return EXIT_OK if passed else EXIT_USAGE


def _print(report: MediaReport) -> None:
    if report.facts is not None:
        print_line(_format_facts(report.facts))
        stdout_console.print(f"read with {report.requests} requests, {report.bytes_fetched:,} bytes", style="dim")
    for row in report.checks:
        failed = Text("fail  ", "red") if row.enforced else Text("warn  ", "yellow")
        mark = Text("pass  ", "green") if row.passed else failed
        stdout_console.print(mark.append_text(shown(row.expected, "default")))
        for text in filter(None, (row.actual, "" if row.passed else f"→ {row.hint}")):
            stdout_console.print(Padding(shown(text), (0, 0, 0, 6), expand=False))


def _format_facts(facts: MediaFacts) -> str:
    values = {
        "size": f"{facts.size_bytes:,} bytes",
        "container": facts.container,
        "codec": facts.video_codec,
        "pixel format": facts.pixel_format,
        "color transfer": facts.color_transfer,
        "resolution": f"{facts.width}x{facts.height}" if facts.width else None,
        "duration": f"{facts.duration_seconds:.2f} s" if facts.duration_seconds is not None else None,
        "frame rate": f"{facts.frame_rate:.2f}" if facts.frame_rate else None,
        "audio": "yes" if facts.has_audio else "no",
        "audio duration": f"{facts.audio_seconds:.2f} s" if facts.audio_seconds is not None else None,
        "audio bit rate": f"{facts.audio_bit_rate / 1000:.1f} kbit/s" if facts.audio_bit_rate is not None else None,
    }
    return ", ".join(f"{label} {value}" for label, value in values.items() if value)
