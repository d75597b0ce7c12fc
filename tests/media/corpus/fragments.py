"""Fragmented recordings, as browsers, streaming servers and phones make them."""

from __future__ import annotations

import struct

from tests.media.corpus.box_edits import box, top_level
from tests.media.corpus.recording import DATASET, Edit, Recording
from tests.media.corpus.sources import BOTH, H264, SOUND, VIDEO
from tests.media.sample_files import replace_box, shift_timestamps

COPY = "-i {talk} -c copy"
FILM = "-i {film} -c copy"
MOOV = "empty_moov+default_base_moof"


def flags(*names: str) -> str:
    return f"-movflags {'+'.join(names)}"


def without_fragments(first: int, count: int) -> Edit:
    """Return an edit that drops some fragments, each a moof with its mdat."""

    def edit(data: bytes) -> bytes:
        starts = [start for kind, start, _ in top_level(data) if kind == b"moof"]
        return data[: starts[first]] + data[starts[first + count] :]

    return edit


def without_decode_times(data: bytes) -> bytes:
    """Remove the start time of each fragment, as recorders did before the second edition of the standard."""

    def change(body: bytes) -> bytes:
        return replace_box(body, "tfdt", lambda _: None)

    # A free box keeps all positions.
    return replace_box(data, "moof.traf", lambda body: change(body) + box(b"free", bytes(12)), every=True)


def with_header_duration(data: bytes) -> bytes:
    """State the duration of the whole recording in mehd."""
    mehd = box(b"mehd", struct.pack(">II", 0, 12_000))
    return replace_box(data, "moov.mvex", lambda body: mehd + body)


RECORDINGS = (
    Recording("frag_keyframe", f"{COPY} {flags('frag_keyframe')}"),
    Recording("frag_keyframe empty_moov", f"{COPY} {flags('frag_keyframe', 'empty_moov')}"),
    Recording("frag_keyframe default_base_moof", f"{COPY} {flags('frag_keyframe', MOOV)}"),
    Recording("frag_keyframe skip_trailer", f"{COPY} {flags('frag_keyframe', MOOV, 'skip_trailer')}"),
    Recording(
        "frag_keyframe omit_tfhd_offset", f"{COPY} {flags('frag_keyframe', 'empty_moov', 'omit_tfhd_offset')}"
    ),
    Recording("frag_keyframe frag_discont", f"{COPY} {flags('frag_keyframe', MOOV, 'frag_discont')}"),
    Recording("frag_keyframe delay_moov", f"{COPY} {flags('frag_keyframe', 'delay_moov')}"),
    Recording("frag_keyframe faststart", f"{COPY} {flags('frag_keyframe', 'empty_moov', 'faststart')}"),
    Recording("frag_keyframe separate_moof", f"{COPY} {flags('frag_keyframe', MOOV, 'separate_moof')}"),
    Recording(
        "sound first, separate_moof",
        f"-i {{film}} -map 0:a -map 0:v -c copy {flags('frag_keyframe', MOOV, 'separate_moof')}",
        role=DATASET,
    ),
    Recording(
        "sound first, separate_moof, skip_trailer",
        f"-i {{film}} -map 0:a -map 0:v -c copy {flags('frag_keyframe', MOOV, 'separate_moof', 'skip_trailer')}",
        role=DATASET,
    ),
    Recording("frag_every_frame", f"{COPY} {flags('frag_every_frame', 'empty_moov')}"),
    Recording("frag_every_frame skip_trailer", f"{COPY} {flags('frag_every_frame', 'empty_moov', 'skip_trailer')}"),
    Recording("frag_every_frame separate_moof", f"{COPY} {flags('frag_every_frame', MOOV, 'separate_moof')}"),
    Recording("frag_every_frame of a minute", f"{FILM} {flags('frag_every_frame', 'empty_moov')}", role=DATASET),
    Recording(
        "frag_every_frame of a minute, skip_trailer",
        f"{FILM} {flags('frag_every_frame', 'empty_moov', 'skip_trailer')}",
        role=DATASET,
    ),
    Recording("frag_custom", f"{COPY} {flags('frag_custom', 'empty_moov')}"),
    Recording("frag_duration", f"{COPY} {flags(MOOV)} -frag_duration 500000"),
    Recording(
        "frag_duration of a minute", f"{FILM} {flags(MOOV, 'skip_trailer')} -frag_duration 5000000", role=DATASET
    ),
    Recording("frag_size", f"{COPY} {flags('empty_moov')} -frag_size 8000"),
    Recording("min_frag_duration", f"{COPY} {flags('frag_keyframe', MOOV)} -min_frag_duration 5000000"),
    Recording("frag_interleave", f"{COPY} {flags('frag_keyframe', MOOV)} -frag_interleave 4"),
    Recording("fragment_index", f"{COPY} {flags('frag_keyframe', MOOV)} -fragment_index 1000"),
    Recording("one fragment", f"{COPY} {flags('empty_moov')}"),
    Recording("dash", f"{COPY} {flags('dash')}"),
    Recording("dash frag_keyframe", f"{COPY} {flags('dash', 'frag_keyframe')}"),
    Recording(
        "dash global_sidx",
        f"{COPY} {flags('dash', 'frag_keyframe', 'global_sidx')}",
        facts={"frame_rate": 2.0},
        because="ffprobe counts the delay of the sound as a part of the first frame.",
    ),
    Recording("dash skip_sidx", f"{COPY} {flags('dash', 'frag_keyframe', 'skip_sidx')}"),
    Recording("cmaf", f"{COPY} {flags('cmaf', 'frag_keyframe')}"),
    Recording("cmaf, picture only", f"{COPY} -an {flags('cmaf', 'frag_keyframe')}", reasons=("no-audio",)),
    Recording("cmaf delay_moov", f"{COPY} {flags('cmaf', 'frag_keyframe', 'delay_moov', 'skip_trailer')}"),
    Recording("isml", f"{COPY} {flags('isml', 'frag_keyframe')} -f ismv", reasons=("wrong-container",)),
    Recording("producer reference times", f"{COPY} {flags('dash', 'frag_keyframe')} -write_prft wallclock"),
    Recording("fragments in a mov", f"{COPY} {flags('frag_keyframe', 'empty_moov')}", "mov"),
    Recording("partly fragmented mov", f"{COPY} {flags('frag_keyframe')}", "mov"),
    Recording("fragments without edit lists", f"{COPY} {flags('frag_keyframe', MOOV)} -use_editlist 0"),
    Recording(
        "fragments with frames out of order", f"{BOTH} {H264} -bf 3 -g 8 -c:a aac {flags('frag_keyframe', MOOV)}"
    ),
    Recording(
        "fragments with frames out of order, negative offsets",
        f"{BOTH} {H264} -bf 3 -g 8 -c:a aac {flags('cmaf', 'frag_keyframe', 'negative_cts_offsets')}",
    ),
    Recording(
        "sound ends early in fragments",
        f"{VIDEO} -f lavfi -i sine=d=7 {H264} -g 4 -c:a aac {flags('frag_keyframe', MOOV)}",
    ),
    Recording(
        "picture ends early in fragments",
        f"-f lavfi -i testsrc2=s=320x180:r=2:d=4 {SOUND} {H264} -g 4 -c:a aac {flags('frag_keyframe', MOOV)}",
        warnings=("audio-longer-than-video",),
    ),
    Recording(
        "picture starts late in fragments",
        f"-i {{talk}} -itsoffset 4 -i {{talk}} -map 1:v -map 0:a -c copy {flags('frag_keyframe', MOOV)}",
        facts={"frame_rate": 2.0},
        because="ffprobe counts the pause before the first frame.",
    ),
    Recording("picture only in fragments", f"{COPY} -an {flags('frag_keyframe', MOOV)}", reasons=("no-audio",)),
    Recording(
        "a browser's recording of 150 seconds",
        f"-i {{long}} -c copy {flags('frag_keyframe', MOOV, 'skip_trailer')}",
        role=DATASET,
    ),
    Recording("150 seconds with an index", f"-i {{long}} -c copy {flags('frag_keyframe', MOOV)}", role=DATASET),
    Recording(
        "150 seconds, separate_moof, skip_trailer",
        f"-i {{long}} -c copy {flags('frag_keyframe', MOOV, 'skip_trailer', 'separate_moof')}",
        role=DATASET,
    ),
    Recording(
        "cut out of a live stream",
        f"{COPY} {flags('frag_keyframe', MOOV, 'skip_trailer')}",
        edit=lambda data: shift_timestamps(data, 10**9),
        facts={"pixel_format": "yuv420p"},
        because="ffprobe decodes no frame of a stream that starts at such a late time.",
    ),
    Recording(
        "a fragment is missing",
        f"{COPY} {flags('frag_keyframe', MOOV, 'skip_trailer')}",
        edit=without_fragments(2, 1),
    ),
    Recording(
        "the first fragment is missing",
        f"{COPY} {flags('frag_keyframe', MOOV, 'skip_trailer')}",
        edit=without_fragments(0, 1),
    ),
    Recording(
        "fragments without start times",
        f"{COPY} {flags('frag_keyframe', MOOV, 'skip_trailer')}",
        edit=without_decode_times,
    ),
    Recording(
        "duration in the header of fragments",
        f"{COPY} {flags('frag_keyframe', 'empty_moov', 'omit_tfhd_offset', 'default_base_moof', 'skip_trailer')}",
        edit=with_header_duration,
    ),
)
