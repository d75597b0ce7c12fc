"""Log records, warnings and tracebacks of a process contain no secrets, in any library's code."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator

import pytest

from services.redaction_hooks import install_redaction

URL = "https://videos.example/ada.mp4?X-Amz-Signature=canary"


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    """The output of a plain handler."""
    install_redaction()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("another.library")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield stream
    logger.removeHandler(handler)


def test_message_and_arguments_are_redacted(output: io.StringIO) -> None:
    logger = logging.getLogger("another.library")
    logger.info("get %s: %r and %(url)s", URL, [URL])
    logger.info("%(url)s", {"url": ValueError(URL)})
    logger.info(URL)
    assert "canary" not in output.getvalue()
    assert output.getvalue().count("https://videos.example/ada.mp4?…") >= 3


def test_traceback_and_its_causes_are_redacted(output: io.StringIO) -> None:
    def fail() -> None:
        empty: dict[str, str] = {}
        try:
            empty[URL]
        except KeyError as error:
            raise ValueError({"url": URL}) from error

    try:
        fail()
    except ValueError:
        logging.getLogger("another.library").exception("failed")
    assert "canary" not in output.getvalue()
    assert output.getvalue().count("ada.mp4?…") == 2
    assert "test_redaction_hooks.py" in output.getvalue()


def test_access_log_keeps_the_arguments_for_its_formatter() -> None:
    install_redaction()
    record = logging.getLogger("uvicorn.access").makeRecord(
        "uvicorn.access", logging.INFO, "", 0, "%s %s %d", ("1.2.3.4", "/a?token=canary", 200), None
    )
    assert record.args == ("1.2.3.4", "/a?token=…", 200)


def test_warning_is_redacted() -> None:
    install_redaction()
    assert "canary" not in warnings.formatwarning(URL, UserWarning, "a.py", 1)


@pytest.mark.parametrize(
    "statement",
    [
        "raise ValueError(URL)",
        "t = threading.Thread(target=fail); t.start(); t.join()",
        "FailsInDel(); gc.collect()",
        "asyncio.run(lose_task())",
        "warnings.warn(URL)",
    ],
)
def test_uncaught_errors_are_printed_without_secrets(statement: str) -> None:
    script = f"""
import asyncio, gc, threading, warnings
from services.redaction_hooks import install_redaction
URL = {URL!r}
def fail():
    raise ValueError(URL)
class FailsInDel:
    def __del__(self):
        fail()
async def lose_task():
    async def failing():
        fail()
    task = asyncio.ensure_future(failing())
    await asyncio.sleep(0)
    del task
install_redaction()
{statement}
"""
    completed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    # Tracebacks and warnings quote source lines; a script passed with -c has none.
    assert "canary" not in completed.stdout + completed.stderr
    assert "https://videos.example/ada.mp4?…" in completed.stderr
