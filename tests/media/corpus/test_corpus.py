"""The check agrees with Debian's ffprobe on every recording of the corpus, or its description says why not."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from media.checker import MediaChecker
from simulator.media_host import running_media_host
from tests.media.corpus import codecs, containers, damage, fragments, other_files, shapes, timing, tracks
from tests.media.corpus.factory import CorpusFactory
from tests.media.corpus.recording import Recording
from tests.media.corpus.reference import COMPARED

PARTS = (containers, fragments, timing, shapes, codecs, tracks, damage, other_files)
RECORDINGS: list[Recording] = [recording for part in PARTS for recording in part.RECORDINGS]
# The movie's time scale rounds durations to milliseconds, and ffprobe estimates the frame rate of fragments.
TOLERANCE = 0.01


def marked(recording: Recording) -> object:
    """Return the recording as a parameter. ffmpeg makes all but those of bytes, and takes minutes for all."""
    missing = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is missing; .ci/run installs it")
    marks = (pytest.mark.system, missing) if recording.arguments else ()
    return pytest.param(recording, id=recording.name, marks=marks)


def approximately(value: object) -> object:
    """Return the value of a fact, with a tolerance if it is a float."""
    return pytest.approx(value, rel=TOLERANCE) if isinstance(value, float) else value


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("corpus")


@pytest.fixture(scope="module")
def factory(request: pytest.FixtureRequest, folder: Path) -> Iterator[CorpusFactory]:
    """Makes the recordings of the selected tests."""
    parameters = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    selected = [values["recording"] for values in parameters if isinstance(values.get("recording"), Recording)]
    made = CorpusFactory(selected, folder)
    yield made
    made.close()


@pytest.fixture(scope="module")
def host(folder: Path) -> Iterator[tuple[str, MediaChecker]]:
    """The URL of a host that serves the folder, and a checker that trusts it."""
    with running_media_host(folder) as media_host:
        trusting = ssl.create_default_context(cafile=media_host.ca_file)
        with MediaChecker(allowed_hosts={"127.0.0.1"}, ssl_context=trusting, sleep=lambda _: None) as checker:
            yield media_host.base_url, checker


@pytest.mark.parametrize("recording", [marked(recording) for recording in RECORDINGS])
async def test_recording_gives_its_codes_and_the_facts_of_ffprobe(
    recording: Recording, factory: CorpusFactory, host: tuple[str, MediaChecker]
) -> None:
    base_url, checker = host
    path, reference = factory.get(recording)
    report = await checker.check(f"{base_url}/{path.name}", recording.role)
    assert [str(reason.code) for reason in report.reasons] == [
        f"{recording.role}.{code}" for code in recording.reasons
    ]
    assert [str(reason.code) for reason in report.warnings] == [
        f"{recording.role}.{code}" for code in recording.warnings
    ]
    if report.facts is not None:
        ours = report.facts.model_dump(include=set(COMPARED))
        expected = {**dict.fromkeys(COMPARED), **reference, **recording.facts}
        assert ours == {name: approximately(value) for name, value in expected.items()}


def test_corpus_has_many_recordings_with_unique_names() -> None:
    assert len(RECORDINGS) >= 150
    assert len({recording.name for recording in RECORDINGS}) == len(RECORDINGS)


def test_each_departure_from_ffprobe_has_a_reason() -> None:
    assert all(bool(recording.facts) == bool(recording.because) for recording in RECORDINGS)
    assert all(recording.because.endswith(".") for recording in RECORDINGS if recording.facts)
