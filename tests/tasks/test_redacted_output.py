"""Nothing that a process logs, warns of or dies with holds a secret, whoever's code says it."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator

import pytest

from tasks.redacted_output import redact_output

URL = "https://videos.example/ada.mp4?X-Amz-Signature=canary"


@pytest.fixture
def told() -> Iterator[io.StringIO]:
    """What a handler prints that knows nothing of redaction."""
    redact_output()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("another.library")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield stream
    logger.removeHandler(handler)


def test_a_message_and_its_arguments_are_redacted(told: io.StringIO) -> None:
    logger = logging.getLogger("another.library")
    logger.info("get %s: %r and %(url)s", URL, [URL])
    logger.info("%(url)s", {"url": ValueError(URL)})
    logger.info(URL)
    assert "canary" not in told.getvalue()
    assert told.getvalue().count("https://videos.example/ada.mp4?…") >= 3


def test_a_traceback_is_redacted_with_its_causes(told: io.StringIO) -> None:
    def fail() -> None:
        nothing: dict[str, str] = {}
        try:
            nothing[URL]
        except KeyError as error:
            raise ValueError({"url": URL}) from error

    try:
        fail()
    except ValueError:
        logging.getLogger("another.library").exception("failed")
    assert "canary" not in told.getvalue()
    assert told.getvalue().count("ada.mp4?…") == 2
    assert "test_redacted_output.py" in told.getvalue()


def test_the_access_log_keeps_the_arguments_that_its_formatter_takes_apart() -> None:
    redact_output()
    record = logging.getLogger("uvicorn.access").makeRecord(
        "uvicorn.access", logging.INFO, "", 0, "%s %s %d", ("1.2.3.4", "/a?token=canary", 200), None
    )
    assert record.args == ("1.2.3.4", "/a?token=…", 200)


def test_a_warning_is_redacted() -> None:
    redact_output()
    assert "canary" not in warnings.formatwarning(URL, UserWarning, "a.py", 1)


@pytest.mark.parametrize(
    "death",
    [
        "raise ValueError(URL)",
        "t = threading.Thread(target=fail); t.start(); t.join()",
        "Ungrateful(); gc.collect()",
        "asyncio.run(forget())",
        "warnings.warn(URL)",
    ],
)
def test_whatever_a_process_dies_with_is_told_without_secrets(death: str) -> None:
    script = f"""
import asyncio, gc, threading, warnings
from tasks.redacted_output import redact_output
URL = {URL!r}
def fail():
    raise ValueError(URL)
class Ungrateful:
    def __del__(self):
        fail()
async def forget():
    async def failing():
        fail()
    task = asyncio.ensure_future(failing())
    await asyncio.sleep(0)
    del task
redact_output()
{death}
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    # Tracebacks and warnings quote the line of the source, which a script on the command line does not have.
    assert "canary" not in ran.stdout + ran.stderr
    assert "https://videos.example/ada.mp4?…" in ran.stderr
