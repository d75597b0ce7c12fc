"""Every function and regular expression that reads outside text takes linear time, whatever the text is."""

from __future__ import annotations

import ast
import contextlib
import importlib
import json
import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from media.kinds.file_kinds import identify
from media.manifest_loader import load_manifest_of_run
from media.remote.content_range import parse_content_range, parse_unsatisfied_range
from media.remote.https_urls import parse_https_url
from media.remote.storage_errors import storage_error
from models.argil.account_list import AccountList
from models.argil.response import ArgilResponse
from models.argil.webhook import WebhookDelivery, mask_token
from models.errors import AvatarsError, MediaRejected
from models.manifest.manifest import parse_manifest
from models.privacy.data_subject import DataSubject, LedgerTraces
from models.recordings.canonical_form import canonical_form, shown_form
from models.recordings.identity import RecordingIdentity
from models.recordings.recording_secrets import protect_urls, secrets_of_url
from models.recordings.signature_parameters import SIGNATURE_SCHEMES
from models.recordings.signature_terms import SignatureTerms, parse_terms
from models.request import parse_reason, parse_request
from models.retry import retry_after_seconds
from models.text.decoding import decoded_layers, unescape_html
from models.text.redaction import redact
from models.text.url_redaction import contains_secret, redact_url
from services.prefect_api.redaction_hooks import RedactedLogRecord, format_redacted_traceback

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[1]
LAYERS = ("models", "clients", "media", "store", "services", "tasks", "flows", "deployments", "cli")
CHARACTERS = 3_000
"""The length of a text for a function: Python needs 100 ms for quadratic time, a few for linear time."""
EXPRESSION_CHARACTERS = 12_000
"""The same for a regular expression, whose steps are faster."""
NEGLIGIBLE_SECONDS = 0.05
"""A shorter process time is not compared: it depends on the machine more than on the text."""
PART = 8
"""The text is compared with its first eighth: 8 times the time is linear, 64 times quadratic, 20 far from both.
Half of the text (2 times or 4) would leave no room for a busy machine."""
MAX_RATIO = 20
NOW = datetime(2026, 11, 26, tzinfo=UTC)

WORDS = r"""
\ " ' \" \\" \/ \\/ \u003f \u0023 \u003a\u002f \ud83d \x ? # @ : / // . , ; = == - _ + 0 1. % %25 a% %3f %40
%2f < > & &# &amp; &#9 &#x3f; &quot é x İ Σ 😀 {"code": { [ ] }, ** | ` _* ![a]( N, 0x 1.1. 2026- a=b& "a"
a:// %3a// a%3a%2f%2f a:%2f%2f a%253a%252f%252fb%2540 a://b@ a://b:c a://b:c@ a://@ a:\/\/ sig= sig=\
sig=\u00 sig%3d token x-amz-signature x-amz-signature= x-amz-signature:' eyJ eyJa.b. <a <script <script>
</script <style>a <wbr> <Code> a/../ /./ %2e%2e/ <RequestTime>1</RequestTime> .mp4; .mp4;a=b ;a=
;jsessionid= rel= rel=next, <a>; hmac= ~hmac=0 bytes-1-2/3 sk-live-9f8e sk-live-9f8e7d6c5b4a3210 canary-
"""
SPACED = (
    *(" ", "\t", "\n", "a ", "a\n", "a: ", "- a\n", "x-amz-signature =  ", "</script  ", "rel =  ", ", <"),
    *("https://a/b?c d ", "\x00", "\x1b[", "\u200b\u200d", "\u0301", "\U000e0030", "\U0001f3f4", "\u202e"),
)
BEGINNINGS = ("", "https://a/")
MARKS, SEXAGESIMAL = "\u0301\u0316", "1:1"
LONG_FAMILIES = (MARKS, SEXAGESIMAL)
LONG_CHARACTERS = 30_000
"""Libraries order combining marks, and compute numbers in base 60, in quadratic time, but fast."""


def texts(characters: int) -> Iterator[tuple[str, str]]:
    """Yield the beginning of each text, and the text."""
    for beginning in BEGINNINGS:
        for family in (*WORDS.split(), *SPACED):
            text = beginning + family * characters
            yield text[: characters // PART], text[:characters]


def process_seconds(function: Callable[[str], object], text: str) -> float:
    start = time.process_time()
    function(text)
    return time.process_time() - start


def time_ratio(function: Callable[[str], object], part: str, text: str) -> float:
    """Return the process time of the text over that of its part, each the best of three."""
    # In turn: what slows the machine for a moment slows both.
    seconds = [(process_seconds(function, text), process_seconds(function, part)) for _ in range(3)]
    return min(pair[0] for pair in seconds) / min(pair[1] for pair in seconds)


def long_texts() -> Iterator[tuple[str, str]]:
    """Yield the beginning of each long text, and the text."""
    for family in LONG_FAMILIES:
        text = "a" * (family == MARKS) + family * LONG_CHARACTERS
        yield text[: LONG_CHARACTERS // PART], text[:LONG_CHARACTERS]


def slow_text(
    function: Callable[[str], object], characters: int, pairs: Iterable[tuple[str, str]] | None = None
) -> tuple[str, float] | None:
    """Return the beginning of a text that takes more than `MAX_RATIO` times as long as its part, with the ratio."""
    for part, text in pairs or texts(characters):
        seconds = process_seconds(function, text)
        if seconds < NEGLIGIBLE_SECONDS or seconds <= MAX_RATIO * process_seconds(function, part):
            continue
        # Measured twice more: the code is slow in both, a busy machine only in one.
        ratio = min(time_ratio(function, part, text) for _ in range(2))
        if ratio > MAX_RATIO:
            return text[:30], round(ratio, 1)
    return None


def regular_expressions() -> dict[str, Callable[[str], object]]:
    """Return the uses of the regular expressions in the layers, by module and place."""
    found: dict[str, Callable[[str], object]] = {}
    for file in sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py")):
        source = file.read_text(encoding="utf-8")
        if "import re\n" in source:
            module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            found |= {
                f"{module}:{place}": run for place, run in (*inline_uses(source), *named_uses(module, source))
            }
    for scheme in SIGNATURE_SCHEMES:
        for required in scheme.required.values():
            found[f"{scheme.store}: {required}"] = use(re.compile(required, re.IGNORECASE), "fullmatch")
    return found


def inline_uses(source: str) -> Iterator[tuple[str, Callable[[str], object]]]:
    """Yield the calls like `re.fullmatch("...", text)`."""
    for call in ast.walk(ast.parse(source)):
        match call:
            case ast.Call(
                func=ast.Attribute(value=ast.Name("re"), attr=method),
                args=[ast.Constant(str() | bytes() as text), *_],
            ) if method in METHODS:
                yield str(call.lineno), use(re.compile(text), method)


def named_uses(module: str, source: str) -> Iterator[tuple[str, Callable[[str], object]]]:
    """Yield the uses of the compiled expressions of a module."""
    for name, value in vars(importlib.import_module(module)).items():
        methods = set(re.findall(rf"\b{name}\.(\w+)", source)) & METHODS
        for number, pattern in enumerate(patterns_in(value)):
            yield from ((f"{name}.{number}.{method}", use(pattern, method)) for method in methods or {"search"})


METHODS = {"search", "match", "fullmatch", "sub", "split", "findall", "finditer"}


def patterns_in(value: object) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, Mapping):
        yield from (pattern for item in [*value, *value.values()] for pattern in patterns_in(item))
    elif isinstance(value, tuple | list | set | frozenset):
        yield from (pattern for item in value for pattern in patterns_in(item))
    elif type(value).__module__.startswith("models.") and hasattr(value, "__dict__"):
        yield from (pattern for item in vars(value).values() for pattern in patterns_in(item))


def use(pattern: re.Pattern[Any], method: str) -> Callable[[str], object]:
    """Return a function that uses the pattern as the code does; `sub` and `split` read as `finditer`."""

    def run(text: str) -> None:
        data = text if isinstance(pattern.pattern, str) else text.encode("utf-8", "surrogatepass")
        if method in {"search", "match", "fullmatch"}:
            getattr(pattern, method)(data)
        else:
            for _ in pattern.finditer(data):
                pass

    return run


def report_error(text: str) -> None:
    format_redacted_traceback(AvatarsError(text))


def log(text: str) -> None:
    RedactedLogRecord("a", logging.INFO, __file__, 1, "got %s", (text,), None)


def response(text: str, content_type: str) -> str:
    return ArgilResponse(502, {"content-type": content_type}, text.encode(errors="replace")).words(redact)


def webhook(text: str) -> None:
    fields = {"event": "AVATAR_TRAINING_SUCCESS", "data": {"avatarId": "a", "extras": text}}
    assert WebhookDelivery.parse(json.dumps(fields).encode()) is not None
    WebhookDelivery.parse(text.encode(errors="replace"))


def request(text: str) -> None:
    with pytest.raises(AvatarsError):
        parse_request(dict.fromkeys(("name", "dataset_video", "reference", text), text) | {"extras": {text: text}})


def manifest(text: str) -> None:
    row = ",".join(json.dumps(text.replace("\n", " "), ensure_ascii=False) for _ in range(3))
    with contextlib.suppress(AvatarsError):
        parse_manifest(f"name,dataset_video,consent_video\n{row}\n".encode(errors="replace"), "csv")


def storage(text: str) -> MediaRejected:
    return storage_error("https://a/b", 403, text, text.encode(errors="replace"), terms=SignatureTerms(), now=NOW)


def account_list(text: str) -> AccountList:
    return AccountList(ArgilResponse(200, {"link": text, "x-total": text}, b"[]", is_list=True))


def in_a_scope(text: str) -> str:
    with protect_urls([f"https://a/b?{text}"[:8192], "https://a/b?sig=sk-live-9f8e7d6c5b4a3210"]):
        return redact(text)


def yaml_manifest(text: str) -> None:
    with contextlib.suppress(AvatarsError):
        parse_manifest(f"- name: {text}\n  extras: {{a: {text}}}\n".encode(errors="replace"), "yaml")


def csv_manifest(text: str) -> None:
    with contextlib.suppress(AvatarsError):
        header = f"name,dataset_video,consent_video,reference,extras.{text}"
        parse_manifest(f"{header}\n{','.join([text] * 5)}\n".encode(), "csv")


def urls(text: str) -> None:
    for url in (f"https://{text}.example/a", f"https://a.example/{text}"):
        RecordingIdentity.from_facts(url)
        with contextlib.suppress(AvatarsError):
            parse_https_url(url, base=httpx.URL("https://a.example/"))
        with contextlib.suppress(AvatarsError):
            load_manifest_of_run(f"{url}.doc", folder=None)


def data_subject(text: str) -> None:
    request = {"name": "Ada", "dataset_video": "https://a/a.mp4", "consent_video": "https://a/b.mp4"}
    subject = DataSubject("id", "reference", LedgerTraces(recording_digests=("0",))).including(request)
    subject.trace(dict.fromkeys(("name", "reference", "dataset_video"), text), "run")
    subject.is_mentioned(text)


def reason(text: str) -> None:
    with contextlib.suppress(AvatarsError):
        parse_reason(text)


FUNCTIONS: dict[str, Callable[[str], object]] = {
    "redact": redact,
    "redact a cut text": lambda text: redact(text, max_characters=len(text) - 10),
    "redact_url": redact_url,
    "redact in a scope": in_a_scope,
    "contains_secret": contains_secret,
    "decoded_layers": lambda text: [layer.locate(0, 1) for layer in decoded_layers(text) if layer.text],
    "unescape_html": unescape_html,
    "secrets_of_url": lambda text: list(secrets_of_url(f"https://a/?{text}")),
    "log record": log,
    "traceback": report_error,
    "page": lambda text: response(f"<html>{text}", "text/html"),
    "body": lambda text: response(text, "text/plain"),
    "Argil's error": lambda text: response(json.dumps({"code": 400, "message": text}), "application/json"),
    "webhook": webhook,
    "mask_token": mask_token,
    "request": request,
    "manifest": manifest,
    "canonical_form": lambda text: [canonical_form(f"https://h/{text}"), shown_form(f"https://{text}/a")],
    "parse_terms": lambda text: [parse_terms(f"https://h/a?{name}={text}") for name in ("token", "policy", text)],
    "storage_error": storage,
    "account list": account_list,
    "Content-Range": lambda text: [parse_content_range([f"bytes{text}"]), parse_unsatisfied_range(f"bytes{text}")],
    "text instead of a video": lambda text: identify(text.encode()),
    "Retry-After": lambda text: retry_after_seconds(429, {"retry-after": text, "x-ratelimit-reset": text}, NOW),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_takes_linear_time(name: str) -> None:
    assert slow_text(FUNCTIONS[name], CHARACTERS) is None


@pytest.mark.parametrize("function", [request, csv_manifest, yaml_manifest, urls, data_subject, reason])
def test_long_text_takes_linear_time(function: Callable[[str], object]) -> None:
    assert slow_text(function, LONG_CHARACTERS, long_texts()) is None


def test_regular_expression_takes_linear_time() -> None:
    expressions = regular_expressions()
    assert len(expressions) > 60
    slow = {name: slow_text(run, EXPRESSION_CHARACTERS) for name, run in expressions.items()}
    assert {name: text for name, text in slow.items() if text} == {}


@pytest.mark.parametrize(("expression", "method"), [(r"\\+x", "search"), (r"%3a//.*?%3f", "finditer")])
def test_quadratic_expression_is_found(expression: str, method: str) -> None:
    assert slow_text(use(re.compile(expression), method), 2 * EXPRESSION_CHARACTERS)
