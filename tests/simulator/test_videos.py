from __future__ import annotations

from pathlib import Path

import av
import pytest

from simulator.videos import HUGE_BYTES, SAMPLES, sample


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that the tests of the clients fill as well: each sample is made once a session."""
    return tmp_path_factory.getbasetemp() / "samples"


@pytest.mark.parametrize(
    ("name", "seconds", "size"),
    [
        ("dataset.mp4", 75, (1280, 720)),
        ("dataset-index-first.mp4", 75, (1280, 720)),
        ("dataset-quicktime.mov", 75, (1280, 720)),
        ("dataset-portrait.mp4", 75, (720, 1280)),
        ("dataset-turned.mp4", 75, (1280, 720)),
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
def test_a_sample_is_a_real_video(name: str, seconds: int, size: tuple[int, int], samples: Path) -> None:
    with av.open(str(sample(name, samples))) as container:
        (stream,) = container.streams.video
        frames = list(container.decode(stream))
    assert len(frames) == seconds
    assert (stream.width, stream.height) == size
    assert abs(frames[0].rotation) == (90 if name == "dataset-turned.mp4" else 0)


@pytest.mark.parametrize("name", ["dataset.mp4", "dataset-1.4gb.mp4", "consent.mp4", "sound-only.mp4"])
def test_some_samples_have_sound(name: str, samples: Path) -> None:
    with av.open(str(sample(name, samples))) as container:
        assert len(container.streams.audio) == 1
        assert len(container.streams.video) == (0 if name == "sound-only.mp4" else 1)


def test_the_index_stands_where_the_name_says(samples: Path) -> None:
    first = sample("dataset-index-first.mp4", samples).read_bytes()
    last = sample("dataset.mp4", samples).read_bytes()
    assert first.index(b"moov") < first.index(b"mdat")
    assert last.index(b"moov") > last.index(b"mdat")


def test_the_huge_sample_is_a_hole_with_an_index_behind_it(samples: Path) -> None:
    path = sample("dataset-1.4gb.mp4", samples)
    status = path.stat()
    assert status.st_size == HUGE_BYTES
    assert status.st_blocks * 512 < 1_000_000
    with path.open("rb") as file:
        assert b"moov" not in file.read(100_000)
        file.seek(-400_000, 2)
        assert b"moov" in file.read()


def test_a_sample_is_made_once_and_leaves_nothing_else_behind(tmp_path: Path) -> None:
    made = sample("consent.mp4", tmp_path / "new").stat()
    again = sample("consent.mp4", tmp_path / "new").stat()
    assert (made.st_ino, made.st_mtime_ns) == (again.st_ino, again.st_mtime_ns)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["consent.mp4"]


def test_all_samples_but_the_huge_one_are_small(samples: Path) -> None:
    assert [name for name in SAMPLES if sample(name, samples).stat().st_size > 50_000] == ["dataset-1.4gb.mp4"]
