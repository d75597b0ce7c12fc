"""Voice samples from a real HTTPS host: kinds by their bytes, durations, and the advice as warnings."""

from __future__ import annotations

import io
import ssl
import struct
import wave
from pathlib import Path

import pytest

from media.checker import MediaChecker
from models.errors import MediaUnreachable
from models.media.facts import MediaFacts
from models.media.report import MediaReport
from models.media.rules import MediaRole
from simulator.media_host import MediaHost

QUERY = "?X-Amz-Signature=CANARY"


def wav(seconds: float, rate: int = 8000) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(rate)
        file.writeframes(b"\x80" * int(seconds * rate))
    return buffer.getvalue()


def flac(seconds: float, rate: int = 16000) -> bytes:
    fields = rate << 44 | 7 << 36 | int(seconds * rate)
    return b"fLaC\x80\x00\x00\x22" + bytes(10) + fields.to_bytes(8, "big") + bytes(100)


def mp3(seconds: float, *, tag: int = 0, frames: int = 0) -> bytes:
    """Return an MP3 of 64 kbit/s at 44.1 kHz: after a tag of some bytes, or with a header of its frames."""
    head = b"\xff\xfb\x50\x00" + bytes(32) + (b"Xing" + struct.pack(">II", 1, frames) if frames else b"")
    size = f"{tag:028b}"
    id3 = b"ID3\x04\x00\x00" + bytes(int(size[i : i + 7], 2) for i in range(0, 28, 7)) + bytes(tag)
    return (id3 if tag else b"") + head.ljust(int(seconds * 8000), b"\0")


async def check(host: MediaHost, trusting: ssl.SSLContext, folder: Path, name: str, data: bytes) -> MediaReport:
    (folder / name).write_bytes(data)
    with MediaChecker(allowed_hosts={"127.0.0.1"}, ssl_context=trusting) as checker:
        return await checker.check(host.url(name) + QUERY, MediaRole.VOICE_SAMPLE)


@pytest.mark.parametrize(
    ("name", "data", "seconds"),
    [
        ("a.wav", wav(30), 30.0),
        ("a.flac", flac(60), 60.0),
        ("cbr.mp3", mp3(25), 25.0),
        ("tagged.mp3", mp3(25, tag=1000), 25.0),
        ("vbr.mp3", mp3(25, frames=3829), 100.0),
        ("a.m4a", b"\x00\x00\x00\x20ftypM4A " + bytes(1000), None),
        ("a.ogg", b"OggS" + bytes(1000), None),
        ("a.aac", b"\xff\xf1" + bytes(1000), None),
        ("damaged.wav", b"RIFF\x00\x00\x00\x00WAVEfmt ", None),
        ("damaged.flac", b"fLaC", None),
        ("damaged.mp3", b"ID3", None),
    ],
)
async def test_sample_is_recognized_by_its_bytes(
    session_media_host: MediaHost,
    trusting: ssl.SSLContext,
    samples: Path,
    name: str,
    data: bytes,
    seconds: float | None,
) -> None:
    report = await check(session_media_host, trusting, samples, name, data)
    assert report.reasons == report.warnings == []
    assert isinstance(report.facts, MediaFacts)
    assert report.facts.size_bytes == len(data)
    assert report.facts.audio_seconds == (None if seconds is None else pytest.approx(seconds, abs=0.1))
    assert report.facts.sample_sha256


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("page.mp3", b"<!DOCTYPE html><html><body>Not found</body></html>", "voice-sample.not-audio"),
        ("picture.mp3", b"\x89PNG\r\n\x1a\n" + bytes(100), "voice-sample.not-audio"),
        ("heic.m4a", b"\x00\x00\x00\x18ftypheic" + bytes(100), "voice-sample.not-audio"),
        ("text.mp3", b"hello", "voice-sample.not-audio"),
        ("random.wav", bytes(range(1, 200)), "voice-sample.not-audio"),
        ("empty.mp3", b"", "voice-sample.empty-file"),
    ],
)
async def test_other_file_is_rejected(
    session_media_host: MediaHost, trusting: ssl.SSLContext, samples: Path, name: str, data: bytes, code: str
) -> None:
    report = await check(session_media_host, trusting, samples, name, data)
    assert [reason.code for reason in report.reasons] == [code]
    assert report.reasons[0].message.startswith("the voice sample must be")
    assert "CANARY" not in report.model_dump_json()


@pytest.mark.parametrize(
    ("seconds", "code"), [(19, "voice-sample.duration-too-short"), (301, "voice-sample.duration-too-long")]
)
async def test_advice_about_the_duration_only_warns(
    session_media_host: MediaHost, trusting: ssl.SSLContext, samples: Path, seconds: int, code: str
) -> None:
    report = await check(session_media_host, trusting, samples, f"{seconds}.wav", wav(seconds))
    assert report.reasons == []
    assert [warning.code for warning in report.warnings] == [code]


async def test_missing_host_is_inconclusive() -> None:
    with (
        MediaChecker(allowed_hosts={"127.0.0.1"}, sleep=lambda _: None) as checker,
        pytest.raises(MediaUnreachable),
    ):
        await checker.check("https://127.0.0.1:9/a.mp3", MediaRole.VOICE_SAMPLE)


async def test_private_address_is_refused() -> None:
    with MediaChecker() as checker:
        report = await checker.check("https://127.0.0.1/a.mp3", MediaRole.VOICE_SAMPLE)
    assert [reason.code for reason in report.reasons] == ["voice-sample.address-not-public"]
