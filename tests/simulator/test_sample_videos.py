from __future__ import annotations

from pathlib import Path

import av
import pytest

from simulator.sample_videos import HUGE_BYTES, SAMPLES, ensure_sample


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the media tests use too: each sample is generated once per session."""
    return tmp_path_factory.getbasetemp() / "samples"


@pytest.mark.parametrize(
    ("name", "seconds", "size"),
    [
        ("dataset.mp4", 75, (1280, 720)),
        ("dataset-index-first.mp4", 75, (1280, 720)),
        ("dataset-quicktime.mov", 75, (1280, 720)),
        ("dataset-portrait.mp4", 75, (720, 1280)),
        ("dataset-rotated.mp4", 75, (1280, 720)),
        ("dataset-40s.mp4", 40, (1280, 720)),
        ("dataset-310s.mp4", 310, (1280, 720)),
        ("dataset-small.mp4", 75, (640, 360)),
        ("dataset-fragmented.mp4", 75, (1280, 720)),
        ("dataset-1.4gb.mp4", 75, (1280, 720)),
        ("consent.mp4", 12, (1280, 720)),
        ("consent-45s.mp4", 45, (1280, 720)),
        ("matroska.mp4", 75, (1280, 720)),
    ],
)
def test_sample_is_a_decodable_video(name: str, seconds: int, size: tuple[int, int], samples: Path) -> None:
    with av.open(str(ensure_sample(name, samples))) as container:
        (stream,) = container.streams.video
        frames = list(container.decode(stream))
    assert len(frames) == seconds
    assert (stream.width, stream.height) == size
    assert abs(frames[0].rotation) == (90 if name == "dataset-rotated.mp4" else 0)


@pytest.mark.parametrize("name", ["dataset.mp4", "dataset-1.4gb.mp4", "consent.mp4", "sound-only.mp4"])
def test_some_samples_have_an_audio_track(name: str, samples: Path) -> None:
    with av.open(str(ensure_sample(name, samples))) as container:
        assert len(container.streams.audio) == 1
        assert len(container.streams.video) == (0 if name == "sound-only.mp4" else 1)


def test_picture_and_voice_are_usable(samples: Path) -> None:
    with av.open(str(ensure_sample("portrait.png", samples))) as container:
        (frame,) = container.decode(video=0)
    assert (frame.width, frame.height) == (1280, 720)
    with av.open(str(ensure_sample("voice.m4a", samples))) as container:
        assert len(container.streams.audio) == 1
        assert container.duration is not None
        assert 20 <= container.duration / av.time_base <= 300


def test_index_position_matches_the_sample_name(samples: Path) -> None:
    first = ensure_sample("dataset-index-first.mp4", samples).read_bytes()
    last = ensure_sample("dataset.mp4", samples).read_bytes()
    assert first.index(b"moov") < first.index(b"mdat")
    assert last.index(b"moov") > last.index(b"mdat")


def test_huge_sample_is_sparse_with_its_index_at_the_end(samples: Path) -> None:
    path = ensure_sample("dataset-1.4gb.mp4", samples)
    status = path.stat()
    assert status.st_size == HUGE_BYTES
    assert status.st_blocks * 512 < 1_000_000
    with path.open("rb") as file:
        assert b"moov" not in file.read(100_000)
        file.seek(-400_000, 2)
        assert b"moov" in file.read()


def test_sample_is_generated_once_without_leftovers(tmp_path: Path) -> None:
    created = ensure_sample("consent.mp4", tmp_path / "new").stat()
    again = ensure_sample("consent.mp4", tmp_path / "new").stat()
    assert (created.st_ino, created.st_mtime_ns) == (again.st_ino, again.st_mtime_ns)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["consent.mp4"]


def test_only_the_huge_sample_is_large(samples: Path) -> None:
    assert [name for name in SAMPLES if ensure_sample(name, samples).stat().st_size > 100_000] == [
        "dataset-1.4gb.mp4"
    ]
