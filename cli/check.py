"""`avatars check`: validate one recording without recording or submitting anything."""

from __future__ import annotations

import asyncio

from rich.padding import Padding
from rich.text import Text

from cli.console import print_json, print_line
from cli.options import JsonFlag
from cli.terminal import shown, stdout_console
from media.checker import MediaChecker
from media.local.checker import check_local_file
from media.local.files import open_local_file
from models.errors import InvalidRequest
from models.exit_codes import EXIT_OK, EXIT_USAGE
from models.media.facts import MediaFacts
from models.media.image_facts import ImageFacts
from models.media.report import MediaReport
from models.media.rules import MediaRole
from models.recordings.local_paths import file_url_problem, is_local_path
from models.request import validate_recording
from models.request_sources import require_allowed
from models.settings import Settings
from models.text.plural import counted
from services.recordings.object_access import recording_checker


def check(address: str, /, *, role: MediaRole, json: JsonFlag = False) -> int:
    """Check a recording against Argil's rules.

    Reads only the index of a video, the whole of an image, and sends nothing to Argil.

    Args:
        address: HTTPS URL of the recording, its URI in an object store, such as s3://BUCKET/KEY, or the path of a
            local file, which is not uploaded.
        role: Which recording of a request it is.

    """
    if problem := file_url_problem(address):
        raise InvalidRequest([("recording", problem)], hint="pass the path of the file")
    settings = Settings.load()
    if is_local_path(address):
        report = _check_file(address, role, settings)
    else:
        report = _check_address(address, role, settings)
    passed = not report.reasons
    if json:
        document = report.model_dump(mode="json")
        reasons = [reason.model_dump() for reason in report.reasons]
        warnings = [warning.model_dump() for warning in report.warnings]
        print_json({**document, "passed": passed, "reasons": reasons, "warnings": warnings})
    else:
        print_report(report)
    return EXIT_OK if passed else EXIT_USAGE


def _check_file(path: str, role: MediaRole, settings: Settings) -> MediaReport:
    with open_local_file(path, "recording") as (file, descriptor):
        return check_local_file(descriptor, file.shown, role, settings.media_policy)


def _check_address(address: str, role: MediaRole, settings: Settings) -> MediaReport:
    validate_recording(address)
    require_allowed({"recording": address}, settings.sources)
    with (
        MediaChecker(
            allowed_hosts=settings.avatars_media_allowed_hosts,
            reference_host=settings.reference_host,
            policy=settings.media_policy,
        ) as media,
        recording_checker(settings, media) as checker,
    ):
        return asyncio.run(checker.check(address, role))


def print_report(report: MediaReport) -> None:
    """Print the facts, each rule with its result, and the verdict."""
    if report.facts is not None:
        facts = report.facts
        print_line(_format_image(facts) if isinstance(facts, ImageFacts) else _format_facts(facts))
        requests = f" with {counted(report.requests, 'request')}" if report.requests else ""
        stdout_console.print(f"read{requests}: {report.bytes_fetched:,} bytes", style="dim")
    for row in report.checks:
        failed = Text("fail  ", "red") if row.enforced else Text("warn  ", "yellow")
        mark = Text("pass  ", "green") if row.passed else failed
        stdout_console.print(mark.append_text(shown(row.expected, "default")))
        for text in filter(None, (row.actual, "" if row.passed else f"→ {row.hint}")):
            stdout_console.print(Padding(shown(text), (0, 0, 0, 6), expand=False))
    print_line(_verdict(report))


def _verdict(report: MediaReport) -> str:
    failed = counted(len(report.reasons), "rule") if report.reasons else "no rule"
    warnings = f", {counted(len(report.warnings), 'warning')}" if report.warnings else ""
    return f"{failed} failed{warnings}: this recording would be {'rejected' if report.reasons else 'accepted'}"


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


def _format_image(facts: ImageFacts) -> str:
    values = {
        "size": f"{facts.size_bytes:,} bytes",
        "format": facts.format.upper(),
        "resolution": f"{facts.width}x{facts.height}" if facts.width else None,
        "colors": f"{facts.color}, {facts.bits_per_channel} bits per channel",
        "EXIF orientation": str(facts.orientation) if facts.orientation > 1 else None,
        "sha256": facts.sha256,
    }
    return ", ".join(f"{label} {value}" for label, value in values.items() if value)
