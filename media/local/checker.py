"""Checks a local recording against the media rules, with the probe and the limits of remote recordings."""

from __future__ import annotations

from functools import partial

from media.ffmpeg.inspection import Inspect
from media.ffmpeg.inspector_pool import inspect_in_child
from media.local.transport import LOCAL_URL, LocalFileTransport
from media.probe import probe
from media.remote.fetch_limits import DEFAULT_LIMITS, FetchLimits
from models.errors import MediaNotInspected, MediaRejected, MediaUnreachable
from models.media_checks import check_rules
from models.media_report import MediaReport, RuleResult, rejected_result
from models.media_rules import MediaPolicy, MediaRole


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
        result = probe(LOCAL_URL, role, transport=LocalFileTransport(descriptor), inspect=inspect, limits=limits)
    except MediaRejected as error:
        rejected = MediaRejected(error.rule_code, named(error.message), hint=named(error.hint))
        return MediaReport(role=role, facts=None, checks=(_unreadable(rejected, role),))
    except MediaUnreachable as error:
        hint = "wait until the file is complete, then run the command again"
        if isinstance(error, MediaNotInspected):
            hint = "run the command again; if it fails again, export the video as MP4 (H.264) and use that"
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


def _unreadable(error: MediaRejected, role: MediaRole) -> RuleResult:
    row = rejected_result(error, role)
    return row.model_copy(update={"expected": "a video file that can be parsed"})


def _name_file(text: str, shown: str) -> str:
    return text.replace(LOCAL_URL, shown)
