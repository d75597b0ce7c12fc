"""The inputs of the corpus: recordings that others copy, texts, and options that the commands share."""

from __future__ import annotations

VIDEO = "-f lavfi -i testsrc2=s=320x180:r=2:d=12"
SOUND = "-f lavfi -i sine=r=48000:d=12"
BOTH = f"{VIDEO} {SOUND}"
H264 = "-c:v libx264 -preset ultrafast -crf 40 -pix_fmt yuv420p"
AAC = "-c:a aac -b:a 32k"

SOURCES = {
    # A valid dataset recording.
    "film.mp4": f"-f lavfi -i testsrc2=s=1280x720:r=2:d=62 -f lavfi -i sine=r=48000:d=62 {H264} -g 4 {AAC}",
    # Its fragments, one per keyframe, are larger than 64 KiB each.
    "long.mp4": "-f lavfi -i testsrc2=s=1280x720:r=2:d=150 -f lavfi -i sine=r=48000:d=150"
    f" -c:v libx264 -preset ultrafast -crf 25 -pix_fmt yuv420p -g 8 {AAC}",
    # A valid consent recording.
    "talk.mp4": f"{BOTH} {H264} -g 4 {AAC}",
    "large.mp4": f"-f lavfi -i testsrc2=s=640x360:r=2:d=20 {H264}",
    "cover.jpg": "-f lavfi -i testsrc2=s=640x640 -frames:v 1 -c:v mjpeg -pix_fmt yuvj420p",
}
"""The arguments of ffmpeg for each source; `{film}` in the arguments of a recording is the path of film.mp4."""

TEXTS = {
    "subtitles.srt": "1\n00:00:00,000 --> 00:00:20,000\nI consent.\n",
    "chapters.txt": ";FFMETADATA1\n"
    "[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=6\ntitle=One\n[CHAPTER]\nTIMEBASE=1/1\nSTART=6\nEND=12\ntitle=Two\n",
}
"""The content of each source that is a text."""
