"""Codecs of the picture and of the sound."""

from __future__ import annotations

from tests.media.corpus.box_edits import edit_track
from tests.media.corpus.recording import Edit, Recording
from tests.media.corpus.sources import AAC, BOTH, H264, SOUND, VIDEO

FRAGMENTS = "-movflags frag_keyframe+empty_moov"
QUIET_X265 = "-preset ultrafast -x265-params log-level=error:pools=1:frame-threads=1"
HD = "-f lavfi -i testsrc2=s=1920x1080:r=25:d=0.2 -f lavfi -i sine=d=0.2"
NOISY_AV1 = (
    f"-f lavfi -i testsrc2=s=1280x720:r=2:d=2,noise=alls=80 {SOUND} -t 2"
    f" -c:v libaom-av1 -cpu-used 8 -usage realtime -b:v 9M -g 2 {AAC}"
)
PAL = "-f lavfi -i testsrc2=s=720x576:r=25:d=1 -f lavfi -i sine=r=48000:d=1"


def h264(options: str) -> str:
    return f"{BOTH} -c:v libx264 -preset ultrafast {options} {AAC}"


def picture(options: str, source: str = BOTH) -> str:
    return f"{source} -c:v {options} {AAC}"


def uncommon(name: str, arguments: str, suffix: str = "mp4") -> Recording:
    """Return a recording in a format that services commonly cannot read."""
    return Recording(name, arguments, suffix, warnings=("uncommon-codec",))


def whole_frames_only(name: str, arguments: str) -> Recording:
    """Return a recording in a mov, with large frames in an uncommon format that FFmpeg reads only as a whole."""
    return Recording(
        name,
        arguments,
        "mov",
        warnings=("uncommon-codec",),
        facts={"pixel_format": None},
        because="The first frame is larger than 128 KiB, and FFmpeg reads no part of it.",
    )


def sound(options: str) -> str:
    return f"{BOTH} {H264} -c:a {options}"


def with_fourcc(old: bytes, new: bytes) -> Edit:
    return edit_track(b"vide", "mdia.minf.stbl.stsd", lambda body: body.replace(old, new, 1))


PICTURES = (
    Recording("H.264 baseline", h264("-profile:v baseline -pix_fmt yuv420p")),
    Recording("H.264 main", h264("-profile:v main -pix_fmt yuv420p -coder 1")),
    Recording("H.264 high", h264("-profile:v high -pix_fmt yuv420p -x264-params 8x8dct=1")),
    uncommon("H.264 high 10", h264("-pix_fmt yuv420p10le")),
    uncommon("H.264 4:2:2", h264("-pix_fmt yuv422p")),
    uncommon("H.264 10-bit 4:2:2", h264("-pix_fmt yuv422p10le")),
    uncommon("H.264 4:4:4", h264("-pix_fmt yuv444p")),
    Recording("H.264 lossless", h264("-qp 0 -pix_fmt yuv420p")),
    uncommon("H.264 RGB", f"{BOTH} -c:v libx264rgb -preset ultrafast {AAC}"),
    # libx264 writes gray as 4:2:0 with the full range.
    Recording("H.264 gray", h264("-pix_fmt gray")),
    Recording("H.264 interlaced", h264("-pix_fmt yuv420p -flags +ildct+ilme -x264-params tff=1")),
    Recording("H.264 in many slices", h264("-pix_fmt yuv420p -slices 8")),
    Recording("H.264 with intra refresh", h264("-pix_fmt yuv420p -intra-refresh 1")),
    Recording("H.264 avc3", "-i {talk} -c copy -tag:v avc3"),
    uncommon("H.264 in a mov, high 10", h264("-pix_fmt yuv420p10le"), "mov"),
    Recording("H.265 hvc1", picture(f"libx265 {QUIET_X265} -tag:v hvc1 -pix_fmt yuv420p")),
    Recording("H.265 hev1", picture(f"libx265 {QUIET_X265} -tag:v hev1 -pix_fmt yuv420p")),
    uncommon("H.265 main 10", picture(f"libx265 {QUIET_X265} -tag:v hvc1 -pix_fmt yuv420p10le")),
    uncommon("H.265 10-bit 4:2:2", picture(f"libx265 {QUIET_X265} -tag:v hvc1 -pix_fmt yuv422p10le")),
    uncommon("H.265 12-bit 4:4:4", picture(f"libx265 {QUIET_X265} -tag:v hvc1 -pix_fmt yuv444p12le")),
    Recording("H.265 in a mov", picture(f"libx265 {QUIET_X265} -tag:v hvc1 -pix_fmt yuv420p"), "mov"),
    Recording(
        "H.265 in fragments",
        f"{picture(f'libx265 {QUIET_X265} -tag:v hvc1 -pix_fmt yuv420p -g 4')} {FRAGMENTS}",
    ),
    uncommon("AV1 of libaom", picture("libaom-av1 -cpu-used 8 -usage realtime -pix_fmt yuv420p")),
    uncommon("AV1 of SVT", picture("libsvtav1 -preset 12 -pix_fmt yuv420p -svtav1-params lp=1")),
    uncommon("AV1 10-bit", picture("libaom-av1 -cpu-used 8 -usage realtime -pix_fmt yuv420p10le")),
    uncommon(
        "AV1 in fragments",
        f"{picture('libaom-av1 -cpu-used 8 -usage realtime -pix_fmt yuv420p -g 4')} {FRAGMENTS}",
    ),
    # The first frame has a megabyte, so that only a part of it is read with the index.
    uncommon("AV1 with a large first frame, index last", NOISY_AV1),
    uncommon("AV1 with a large first frame, index first", f"{NOISY_AV1} -movflags faststart"),
    Recording(
        "AV1 with a large first frame, in fragments",
        f"{NOISY_AV1} {FRAGMENTS}",
        warnings=("uncommon-codec",),
        facts={"pixel_format": None, "duration_seconds": 2.02},
        because="dav1d reads no part of a frame, and ffprobe states no duration of the last packet.",
    ),
    uncommon("VP9", picture("libvpx-vp9 -cpu-used 8 -deadline realtime -pix_fmt yuv420p")),
    uncommon("VP9 10-bit", picture("libvpx-vp9 -cpu-used 8 -deadline realtime -pix_fmt yuv420p10le")),
    uncommon("VP9 4:4:4", picture("libvpx-vp9 -cpu-used 8 -deadline realtime -pix_fmt yuv444p")),
    uncommon("MPEG-4 part 2", picture("mpeg4 -pix_fmt yuv420p")),
    uncommon("MPEG-4 part 2 with frames out of order", picture("mpeg4 -pix_fmt yuv420p -bf 2")),
    uncommon("Xvid", picture("libxvid -pix_fmt yuv420p")),
    uncommon("MPEG-2", picture("mpeg2video -pix_fmt yuv420p", PAL)),
    uncommon("MPEG-2 4:2:2 in a mov", picture("mpeg2video -pix_fmt yuv422p", PAL), "mov"),
    uncommon("MPEG-1", picture("mpeg1video -pix_fmt yuv420p", PAL)),
    uncommon("Motion JPEG", picture("mjpeg -pix_fmt yuvj420p")),
    uncommon("Motion JPEG in a mov", picture("mjpeg -pix_fmt yuvj422p"), "mov"),
    uncommon("JPEG 2000", picture("jpeg2000 -pix_fmt yuv420p")),
    uncommon("PNG", picture("png -pix_fmt rgb24"), "mov"),
    *(
        uncommon(f"ProRes profile {profile}", picture(f"prores_ks -profile:v {profile} -pix_fmt {pixels}"), "mov")
        for profile, pixels in (
            ("proxy", "yuv422p10le"),
            ("lt", "yuv422p10le"),
            ("standard", "yuv422p10le"),
            ("hq", "yuv422p10le"),
            ("4444", "yuva444p10le"),
            ("4444xq", "yuv444p10le"),
        )
    ),
    uncommon("ProRes interlaced", picture("prores_ks -pix_fmt yuv422p10le -flags +ildct", PAL), "mov"),
    whole_frames_only("DNxHD", picture("dnxhd -b:v 120M -pix_fmt yuv422p", HD)),
    *(
        uncommon(f"DNxHR {profile}", picture(f"dnxhd -profile:v dnxhr_{profile} -pix_fmt {pixels}"), "mov")
        for profile, pixels in (
            ("lb", "yuv422p"),
            ("hq", "yuv422p"),
            ("hqx", "yuv422p10le"),
            ("444", "yuv444p10le"),
        )
    ),
    uncommon("CineForm", picture("cfhd -pix_fmt yuv422p10le"), "mov"),
    uncommon("CineForm RGB", picture("cfhd -pix_fmt gbrp12le"), "mov"),
    uncommon("HAP", picture("hap -format hap"), "mov"),
    uncommon("HAP with alpha", picture("hap -format hap_alpha"), "mov"),
    uncommon("HAP Q", picture("hap -format hap_q"), "mov"),
    uncommon("QuickTime animation", picture("qtrle -pix_fmt rgb24"), "mov"),
    uncommon("QuickTime graphics", picture("smc -pix_fmt pal8"), "mov"),
    uncommon("QuickTime video", picture("rpza -pix_fmt rgb555le"), "mov"),
    uncommon("Sorenson video", picture("svq1 -pix_fmt yuv410p"), "mov"),
    uncommon("Cinepak", f"-f lavfi -i testsrc2=s=64x48:r=2:d=2 {SOUND} -c:v cinepak -shortest {AAC}", "mov"),
    uncommon("H.263", f"-f lavfi -i testsrc2=s=352x288:r=10:d=2 -f lavfi -i sine=d=2 -c:v h263 {AAC}", "mov"),
    whole_frames_only("DV", picture("dvvideo -pix_fmt yuv420p", PAL)),
    uncommon("uncompressed 4:2:2", picture("rawvideo -pix_fmt uyvy422"), "mov"),
    uncommon("uncompressed RGB", picture("rawvideo -pix_fmt rgb24"), "mov"),
    uncommon("uncompressed 10-bit", picture("v210"), "mov"),
    uncommon("uncompressed 10-bit RGB", picture("r210"), "mov"),
    *(
        uncommon(
            f"black in {codec}",
            picture(codec, "-f lavfi -i color=black:s=64x48:r=2:d=3 -f lavfi -i sine=d=3"),
            "mov",
        )
        for codec in ("r210", "r10k", "avrp", "rawvideo -pix_fmt rgb555be")
    ),
    uncommon("Ut Video", picture("utvideo -pix_fmt yuv420p"), "mov"),
    uncommon("FFV1", picture("ffv1 -pix_fmt yuv420p"), "mov"),
    Recording(
        "codec without a name", "-i {talk} -c copy", edit=with_fourcc(b"avc1", b"zzzz"), reasons=("unknown-codec",)
    ),
    Recording(
        "codec without a name, in a mov",
        "-i {talk} -c copy",
        "mov",
        edit=with_fourcc(b"avc1", b"XYZ9"),
        reasons=("unknown-codec",),
    ),
)

SOUNDS = (
    Recording("AAC stereo", sound("aac -ac 2")),
    Recording("AAC 5.1", sound("aac -ac 6")),
    Recording("AAC 7.1", sound("aac -ac 8")),
    Recording("AAC 8 kHz", sound("aac -ar 8000")),
    Recording("AAC 96 kHz", sound("aac -ar 96000")),
    Recording("Apple Lossless", sound("alac")),
    Recording("Apple Lossless in a mov", sound("alac"), "mov"),
    Recording("Opus", sound("libopus")),
    Recording("MP3", sound("libmp3lame")),
    Recording("MP3 in a mov", sound("libmp3lame"), "mov"),
    Recording("MP2", sound("mp2")),
    Recording("AC-3", sound("ac3 -ac 6")),
    Recording("E-AC-3", sound("eac3 -ac 6")),
    Recording("FLAC", sound("flac -strict experimental")),
    Recording("Vorbis", sound("libvorbis -strict experimental")),
    Recording("DTS", sound("dca -strict experimental -ac 6")),
    Recording("PCM 16-bit", sound("pcm_s16le"), "mov"),
    Recording("PCM 16-bit, big-endian", sound("pcm_s16be"), "mov"),
    Recording("PCM 24-bit", sound("pcm_s24le"), "mov"),
    Recording("PCM float", sound("pcm_f32le"), "mov"),
    Recording("PCM 8-bit", sound("pcm_u8 -ar 8000"), "mov"),
    Recording("mu-law", sound("pcm_mulaw -ar 8000"), "mov"),
    Recording("ADPCM", sound("adpcm_ima_qt"), "mov"),
    Recording("AAC in fragments", f"{sound('aac -ac 2')} -g 4 {FRAGMENTS}"),
    Recording("Opus in fragments", f"{sound('libopus')} -g 4 {FRAGMENTS}"),
    Recording(
        "digital silence",
        f"{VIDEO} -f lavfi -i anullsrc=r=48000:cl=mono:d=12 {H264} -c:a aac -b:a 32k",
        warnings=("silent-audio",),
    ),
    Recording(
        "digital silence in stereo, in fragments",
        f"{VIDEO} -f lavfi -i anullsrc=r=44100:cl=stereo:d=12 {H264} -g 4 -c:a aac {FRAGMENTS}",
        warnings=("silent-audio",),
    ),
    Recording("quiet speech", f"{VIDEO} -f lavfi -i anoisesrc=r=48000:d=12:a=0.01 {H264} -c:a aac -b:a 32k"),
)

RECORDINGS = PICTURES + SOUNDS
