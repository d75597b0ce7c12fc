"""Further tracks: disabled and alternative ones, sound that is missing or empty, subtitles, chapters, pictures."""

from __future__ import annotations

from tests.media.corpus.box_edits import edit_track
from tests.media.corpus.recording import DATASET, Edit, Recording
from tests.media.sample_files import overwrite

COPY = "-c copy"
TWO = "-i {talk} -i {large} -map 0:v -map 0:a -map 1:v -c copy"
TABLES = ("stts", "stsc", "stco")


def disable(handler: bytes, nth: int = 0) -> Edit:
    """Return an edit that clears the flags of a track's header."""
    return edit_track(handler, "tkhd", overwrite(1, bytes(3)), nth=nth)


def without_samples(handler: bytes) -> Edit:
    """Return an edit that empties the tables of a track and its duration, and keeps its description."""

    def edit(data: bytes) -> bytes:
        for table in TABLES:
            data = edit_track(handler, f"mdia.minf.stbl.{table}", overwrite(4, bytes(4)))(data)
        data = edit_track(handler, "mdia.minf.stbl.stsz", overwrite(8, bytes(4)))(data)
        return edit_track(handler, "mdia.mdhd", overwrite(16, bytes(4)))(data)

    return edit


RECORDINGS = (
    # Several video tracks
    Recording("second track disabled by its disposition", f"{TWO} -disposition:v:1 0"),
    Recording(
        "a minute with a second track longer, small and disabled",
        "-t 60 -i {film} -f lavfi -i testsrc2=s=320x180:r=2:d=70 -map 0:v -map 0:a -map 1:v -c:v:0 copy -c:a copy"
        " -c:v:1 libx264 -preset ultrafast -disposition:v:1 0",
        role=DATASET,
    ),
    Recording("second track disabled", TWO, edit=disable(b"vide", 1)),
    Recording("first track disabled", TWO, edit=disable(b"vide", 0)),
    Recording("both tracks disabled", TWO, edit=lambda data: disable(b"vide", 0)(disable(b"vide", 1)(data))),
    Recording("two tracks enabled", f"{TWO} -disposition:v:1 default"),
    Recording("only track disabled", f"-i {{talk}} {COPY}", edit=disable(b"vide")),
    Recording("disabled track in a mov", f"{TWO} -disposition:v:1 0", "mov"),
    Recording(
        "empty second track",
        TWO,
        edit=edit_track(b"vide", "mdia.minf.stbl.stsz", overwrite(8, bytes(4)), nth=1),
        facts={"width": 320, "height": 180, "duration_seconds": 12.0, "pixel_format": "yuv420p"},
        because="Players show the only track that has frames, although the header of the other one is longer.",
    ),
    # Sound
    Recording("sound first", f"-i {{talk}} -map 0:a -map 0:v {COPY}"),
    Recording("sound first in a mov", f"-i {{talk}} -map 0:a -map 0:v {COPY}", "mov"),
    Recording("no sound", f"-i {{talk}} -an {COPY}", reasons=("no-audio",)),
    Recording("dataset without sound", f"-i {{film}} -an {COPY}", role=DATASET, warnings=("no-audio",)),
    Recording("two sound tracks", f"-i {{talk}} -map 0:v -map 0:a -map 0:a {COPY}"),
    Recording("eight sound tracks", f"-i {{talk}} -map 0:v {'-map 0:a ' * 8} {COPY}"),
    Recording("sound disabled", f"-i {{talk}} {COPY}", edit=disable(b"soun")),
    Recording(
        "sound without samples",
        f"-i {{talk}} {COPY}",
        edit=without_samples(b"soun"),
        reasons=("no-audio",),
        facts={"has_audio": False},
        because="A player plays no sound from a track without samples; ffprobe lists the track.",
    ),
    Recording("sound only", f"-i {{talk}} -vn {COPY}", reasons=("no-video-stream",)),
    Recording("sound only in an m4a", f"-i {{talk}} -vn {COPY}", "m4a", reasons=("no-video-stream",)),
    Recording(
        "sound with cover art",
        f"-i {{talk}} -i {{cover}} -map 0:a -map 1:v {COPY} -disposition:v attached_pic",
        reasons=("no-video-stream",),
    ),
    Recording("cover art", f"-i {{talk}} -i {{cover}} -map 0 -map 1:v {COPY} -disposition:v:1 attached_pic"),
    # Other tracks
    Recording("time code", f"-i {{talk}} {COPY} -timecode 01:00:00:00", "mov"),
    Recording("time code in an mp4", f"-i {{talk}} {COPY} -timecode 01:00:00:00 -write_tmcd 1"),
    Recording("subtitles", f"-i {{talk}} -i {{subtitles}} -map 0 -map 1 {COPY} -c:s mov_text"),
    Recording("subtitles in a mov", f"-i {{talk}} -i {{subtitles}} -map 0 -map 1 {COPY} -c:s mov_text", "mov"),
    Recording("subtitles first", f"-i {{subtitles}} -i {{talk}} -map 0 -map 1 {COPY} -c:s mov_text"),
    Recording("chapters", f"-i {{talk}} -i {{chapters}} -map 0 -map_metadata 1 {COPY}"),
    Recording("chapters in a mov", f"-i {{talk}} -i {{chapters}} -map 0 -map_metadata 1 {COPY}", "mov"),
    Recording("many tracks", f"-i {{talk}} -map 0:v {'-map 0:a ' * 24} {COPY}"),
    Recording("picture only, twice", f"-i {{large}} -map 0:v -map 0:v {COPY}", reasons=("no-audio",)),
)
