"""Checks a local recording against the media rules, with the probe and the limits of remote recordings."""

from __future__ import annotations

from functools import partial

from media.ffmpeg.inspection import Inspect
from media.ffmpeg.inspector_pool import inspect_in_child
from media.local.transport import LOCAL_URL, LocalFileTransport
from media.probe import ProbeResult, probe, probe_audio, probe_image
from media.remote.fetch_limits import DEFAULT_LIMITS, FetchLimits
from models.errors import MediaNotInspected, MediaRejected, MediaUnreachable
from models.media.checks import check_rules
from models.media.facts import MediaFacts
from models.media.image_facts import ImageFacts
from models.media.report import MediaReport, RuleResult, rejected_result
from models.media.rules import MediaPolicy, MediaRole

_FORMATS = {"video": "as MP4 (H.264)", "image": "without metadata", "audio": "as MP3"}


def check_local_file(
    descriptor: int,
    shown: str,
    role: MediaRole,
    policy: MediaPolicy,
    *,
    limits: FetchLimits = DEFAULT_LIMITS,
    inspect: Inspect = inspect_in_child,
) -> MediaReport:
    """Check an open file against every rule of `role`. Blocks.

    Args:
        descriptor: The file, which stays open.
        shown: Its path, for messages.
        role: What the recording is for.
        policy: How strictly audio tracks are checked.
        limits: The budget of the check; a file whose upload would fail the check fails this one, too.
        inspect: Runs FFmpeg on its bytes.

    Raises:
        MediaUnreachable: The file cannot be read, or changed meanwhile.
        MediaNotInspected: FFmpeg ended or exceeded a limit.
    """
    named = partial(_name_file, shown=shown)
    try:
        result = _probe(role, LocalFileTransport(descriptor), limits, inspect)
    except MediaRejected as error:
        rejected = MediaRejected(error.rule_code, named(error.message), hint=named(error.hint))
        return MediaReport(role=role, facts=None, checks=(_unreadable(rejected, role),))
    except MediaUnreachable as error:
        hint = "wait until the file is complete, then run the command again"
        if isinstance(error, MediaNotInspected):
            export = f"export the {role.medium} again, {_FORMATS[role.medium]}"
            hint = f"run the command again; if it fails again, {export}"
        raise type(error)(named(error.message), hint=hint) from None
    # The tag of the transport belongs to this machine.
    facts = result.facts.model_copy(update={"etag": None})
    return MediaReport(
        role=role,
        facts=facts,
        checks=tuple(check_rules(facts, role, policy)),
        requests=0,
        bytes_fetched=result.bytes_fetched,
    )


def _probe(
    role: MediaRole, transport: LocalFileTransport, limits: FetchLimits, inspect: Inspect
) -> ProbeResult[MediaFacts] | ProbeResult[ImageFacts]:
    if role is MediaRole.IMAGE:
        return probe_image(LOCAL_URL, transport=transport, limits=limits)
    if role is MediaRole.VOICE_SAMPLE:
        return probe_audio(LOCAL_URL, transport=transport, limits=limits)
    return probe(LOCAL_URL, role, transport=transport, inspect=inspect, limits=limits)


def _unreadable(error: MediaRejected, role: MediaRole) -> RuleResult:
    row = rejected_result(error, role)
    return row.model_copy(update={"expected": f"{row.expected.partition(' that ')[0]} that can be parsed"})


def _name_file(text: str, shown: str) -> str:
    return text.replace(LOCAL_URL, shown)
