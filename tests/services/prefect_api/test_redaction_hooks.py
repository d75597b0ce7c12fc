"""Log records, warnings and tracebacks of a process contain no secrets, in any library's code."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
import unicodedata
import warnings
from collections.abc import Iterator

import pytest

from services.prefect_api.redaction_hooks import install_redaction
from tests.hostile_texts import CONTROL_TEXTS, HOSTILE_PARAMETERS

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


@pytest.mark.parametrize("text", HOSTILE_PARAMETERS)
def test_each_record_is_one_line_without_control_characters(output: io.StringIO, text: str) -> None:
    logging.getLogger("another.library").info("%s and %r", text, [text])
    printed = output.getvalue()
    assert printed.endswith("\n")
    assert len(printed.splitlines()) == 1
    assert all(unicodedata.category(character) not in {"Cc", "Cs", "Zl", "Zp"} for character in printed[:-1])


def test_record_stays_readable_if_it_ends_in_a_line_feed(output: io.StringIO) -> None:
    logging.getLogger("another.library").info("Exception in ASGI application\n")
    assert output.getvalue() == "Exception in ASGI application\n"


def test_traceback_keeps_its_lines_and_no_other_control_character(output: io.StringIO) -> None:
    def fail() -> None:
        raise ValueError("".join(CONTROL_TEXTS.values()))

    try:
        fail()
    except ValueError:
        logging.getLogger("another.library").exception("failed")
    printed = output.getvalue()
    assert printed.startswith("failed\nTraceback (most recent call last):\n  File ")
    assert {c for c in printed if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}} == {"\n"}
    assert "\\x1b[2J" in printed


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


def test_access_log_escapes_control_characters() -> None:
    install_redaction()
    record = logging.getLogger("uvicorn.access").makeRecord(
        "uvicorn.access", logging.INFO, "", 0, "%s %s %d", ("1.2.3.4", "/\x1b[2J\n", 200), None
    )
    assert record.args == ("1.2.3.4", "/\\x1b[2J\\n", 200)


def test_warning_is_redacted() -> None:
    install_redaction()
    assert "canary" not in warnings.formatwarning(URL, UserWarning, "a.py", 1)


def test_warning_escapes_control_characters() -> None:
    install_redaction()
    assert warnings.formatwarning("\x1b[2J", UserWarning, "a.py", 1) == "a.py:1: UserWarning: \\x1b[2J\n"


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
from services.prefect_api.redaction_hooks import install_redaction
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
