"""A known secret is found in every encoding and case, and ordinary text stays as it is."""

from __future__ import annotations

import base64
import html
import json
import re
import string
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from models.text.decoding import decoded_layers, unescape_html
from models.text.secret_search import SecretSearch

KEY = "sk-Live/9f8E+7d6c5B4a=3210"


def percent(text: str, form: str = "%{:02X}") -> str:
    """Percent-encode every byte, which is allowed although no program needs it."""
    return "".join(form.format(byte) for byte in text.encode())


def units(text: str) -> str:
    """Write every UTF-16 unit as a JSON escape."""
    data = text.encode("utf-16-be")
    return "".join(rf"\u{data[i]:02x}{data[i + 1]:02X}" for i in range(0, len(data), 2))


def base64_at(offset: int, *, url_safe: bool = False, padded: bool = True) -> Callable[[str], str]:
    """Encode the secret after `offset` other bytes, with one byte behind it."""

    def encode(text: str) -> str:
        data = b"u:p"[:offset] + text.encode() + b"!"
        encoded = (base64.urlsafe_b64encode if url_safe else base64.b64encode)(data).decode()
        return encoded if padded else encoded.rstrip("=")

    return encode


ENCODINGS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "percent-encoded": lambda text: quote(text, safe=""),
    "percent-encoded, lower case": lambda text: re.sub("%..", lambda match: match[0].lower(), quote(text, safe="")),
    "form": quote_plus,
    "percent-encoded twice": lambda text: quote(quote(text, safe=""), safe=""),
    "percent-encoded three times": lambda text: quote(quote(quote(text, safe=""), safe=""), safe=""),
    "percent-encoded slash alone": lambda text: text.replace("%", "%25").replace("/", "%2f"),
    "every byte percent-encoded": percent,
    "every byte percent-encoded twice": lambda text: percent(text, "%25{:02x}"),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON with escaped slashes": lambda text: json.dumps(text)[1:-1].replace("/", r"\/"),
    "JSON in JSON": lambda text: json.dumps(json.dumps(text))[3:-3],
    "JSON in JSON in JSON": lambda text: json.dumps(json.dumps(json.dumps(text)))[7:-7],
    "every unit escaped": units,
    "repr": lambda text: repr(text)[1:-1],
    "HTML": html.escape,
    "HTML, decimal": lambda text: "".join(f"&#{ord(character)};" for character in text),
    "HTML, hexadecimal": lambda text: "".join(f"&#X{ord(character):06x};" for character in text),
    "HTML of JSON": lambda text: html.escape(json.dumps(text)[1:-1]),
    "JSON of HTML": lambda text: json.dumps(html.escape(text))[1:-1],
    "percent-encoded HTML": lambda text: quote(html.escape(text), safe=""),
    "HTML of percent-encoded": lambda text: html.escape(quote(text, safe="")),
    "JavaScript's escape": lambda text: units(text).replace("\\", "%"),
    "octal escapes": lambda text: "".join(
        rf"\{ord(character):03o}" if character.isascii() else character for character in text
    ),
    "escapes in braces": lambda text: "".join(rf"\u{{{ord(character):x}}}" for character in text),
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal with colons": lambda text: text.encode().hex(":"),
    "hexadecimal with hyphens": lambda text: text.encode().hex("-"),
    "hexadecimal, percent-encoded before": lambda text: quote(text, safe="").encode().hex(),
    "hexadecimal list of bytes": lambda text: ", ".join(map(hex, text.encode())),
    "base64, percent-encoded before": lambda text: base64_at(1)(quote(text, safe="")),
    "hexadecimal, upper case": lambda text: text.encode().hex().upper(),
    **{f"base64 at {offset}": base64_at(offset) for offset in range(3)},
    **{f"base64 at {offset}, URL-safe": base64_at(offset, url_safe=True) for offset in range(3)},
    **{f"base64 at {offset}, without padding": base64_at(offset, padded=False) for offset in range(3)},
    "base64, percent-encoded": lambda text: quote(base64.b64encode(text.encode()).decode(), safe=""),
    "base64 in JSON with escaped slashes": lambda text: (
        base64.b64encode(text.encode()).decode().replace("/", r"\/")
    ),
    "base64 in lines": lambda text: base64.encodebytes(text.encode() * 4).decode(),
    "broken over lines": lambda text: f"{text[:5]}\r\n    {text[5:9]}\n{text[9:]}",
    "broken by tags": lambda text: "<wbr>".join(map(html.escape, (text[:5], text[5:9], text[9:]))),
    "broken by soft hyphens": lambda text: f"{text[:5]}\u00ad{text[5:9]}\u200b{text[9:]}",
    "broken by tags within escapes": lambda text: "".join(
        f"%<wbr>{byte:02x}" if index % 3 else f"&#<b class='x'>{byte}</b>;"
        for index, byte in enumerate(text.encode())
    ),
    "broken by control characters": lambda text: f"{text[:5]}\0{text[5:9]}\b{text[9:]}\x7f",
    "broken by escaped control characters": lambda text: rf"{text[:5]}\b{text[5:9]}\f{text[9:11]}\x00{text[11:]}",
    "broken by selectors": lambda text: f"{text[:5]}\ufe0f{text[5:9]}\u034f{text[9:]}",
    "UTF-16 read as bytes": lambda text: text.encode("utf-16-be").decode("latin-1"),
    "broken by a continued line": lambda text: f"{text[:5]}\\\n{text[5:]}",
    "broken by escaped line breaks": lambda text: f"{text[:5]}\\n{text[5:9]}&#10;{text[9:13]}%0D%0a{text[13:]}",
}
CASES = (str, str.upper, str.lower, str.swapcase)


@pytest.mark.parametrize("name", ENCODINGS)
def test_secret_is_found_in_every_encoding(name: str) -> None:
    encode = ENCODINGS[name]
    # Other cases are other bytes, which base64 and hexadecimal encode.
    for case in CASES[:1] if name.startswith(("base64", "hexadecimal")) else CASES:
        text = f"Argil: {encode(case(KEY))} is not valid"
        redacted = SecretSearch([KEY]).replace_in(text)
        assert redacted.startswith("Argil: ")
        assert redacted.endswith(" is not valid")
        assert "…" in redacted
        assert SecretSearch([KEY]).replace_in(redacted) == redacted
        # At most the characters that a secret in base64 shares with other bytes.
        assert len(redacted) <= len("Argil:  is not valid") + 8


# In UTF-16, only the letters of Latin-1 are themselves between null characters. A numeric reference is a character,
# and not one of several bytes.
ASCII_ENCODINGS = [ENCODINGS[name] for name in ("UTF-16 read as bytes", "broken by tags within escapes")]
SECRETS = st.one_of(
    st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=16, max_size=40),
    st.text(st.sampled_from(string.ascii_letters + string.digits + "+/=-_"), min_size=16, max_size=80),
    st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=16, max_size=24),
).filter(lambda secret: len(set(secret)) > 7 and "…" not in secret)
AROUND = st.text(st.sampled_from("ab &;%25\\u0/<>=\"'+-_\n.:?#@é…3dx"), max_size=12)


def test_digits_after_a_continued_line_are_no_escape() -> None:
    for line_break in ("\\\n", "\\\r\n", "\\\\\n"):
        text = f"a 00000{line_break}00001234567 é"
        assert SecretSearch(["0000000001234567"]).replace_in(text) == "a … é"
        assert SecretSearch(["0000000001234567"]).replace_in(text[:-2]) == "a …"


@settings(deadline=None)
@given(secret=SECRETS, encode=st.sampled_from(list(ENCODINGS.values())), before=AROUND, after=AROUND)
def test_no_layer_of_a_redacted_text_has_it(
    secret: str, encode: Callable[[str], str], before: str, after: str
) -> None:
    assume(secret.isascii() or encode not in ASCII_ENCODINGS)
    text = f"{before} {encode(secret)} {after}"
    redacted = SecretSearch([secret]).replace_in(text)
    assert "…" in redacted
    assert secret not in redacted
    assert secret.lower() not in [layer.text for layer in decoded_layers(redacted)]
    assert SecretSearch([secret]).replace_in(redacted) == redacted


@settings(deadline=None)
@given(st.lists(SECRETS, min_size=1, max_size=3), st.text(), st.data())
def test_rest_of_the_text_stays(secrets: list[str], text: str, data: st.DataObject) -> None:
    """Whatever is not replaced is as it was, and in its order."""
    secret = data.draw(st.sampled_from(secrets))
    redacted = SecretSearch(secrets).replace_in(f"{text}\n{secret}\n{text}")
    assume("…" not in text)
    assert re.fullmatch(
        ".*".join(re.escape(part) for part in redacted.split("…")), f"{text}\n{secret}\n{text}", re.DOTALL
    )


@pytest.mark.parametrize(
    ("shown", "redacted"),
    [
        (KEY[:13], "…"),
        (f"{KEY[:20]}...", "…..."),
        (f"...{KEY[-13:]}", "...…"),
        (f"{KEY[:15]}***{KEY[-4:]}", f"…***{KEY[-4:]}"),
        (quote(KEY[:20], safe="").lower(), "…"),
        (base64.b64encode(KEY.encode()).decode()[:-10], "…"),
        (KEY.encode().hex()[:30], "…"),
        (f"{KEY[:15]}{KEY}", "…"),
        (KEY[:7], KEY[:7]),
        (KEY[7:20], KEY[7:20]),
    ],
)
def test_half_of_a_secret_is_replaced(shown: str, redacted: str) -> None:
    assert SecretSearch([KEY]).replace_in(f"the key {shown} is wrong") == f"the key {redacted} is wrong"


@pytest.mark.parametrize(
    "secret", ["correct-horse-battery-staple-7", "database-of-avatars-at-home", "canary-0123456789"]
)
def test_half_that_may_be_words_is_not_replaced(secret: str) -> None:
    text = f"see {secret[: len(secret) // 2 + 1]} and {secret[len(secret) // 2 - 1 :]}"
    assert SecretSearch([secret]).replace_in(text) == text


ORDINARY = [
    "row 17 of 1,000: TRAINING since 2026-11-26 19:20:01 UTC (12:30 h left); 100% of it = done",
    'HTTP Request: GET https://api.argil.ai/v1/avatars/0f8fad5b-d9cb-469f-a165-70867728950e "HTTP/1.1 200 OK"',
    "write to ada@example.com or <ada.lovelace+argil@example.co.uk>, see /home/ada/.avatars/ledger.db",
    "C:\\Users\\ada\\videos\\new.mp4: version 1.2.3-rc.1+build5, sha256:9f86d081884c7d65",
    "X-Amz-Algorithm=AWS4-HMAC-SHA256 and X-Amz-Expires=3600 are public; a=b&c=d; key: value",
    "&lt;b&gt; 50% off &amp; more; 3 < 4 > 2; \\n is a line break; caf\u00e9, \U0001f600, Größe, ΣΑΣ, İstanbul",
    'Traceback (most recent call last):\n  File "/app/flows/batch.py", line 12, in run\nValueError: x=1',
    "az://container/key, s3://bucket/ada/dataset.mp4, gs://bucket/b.mov, sqlite+aiosqlite:////a/b.db",
    "what? no. #4711 // comment :: [::1]:8080 == 'ok' || \"fine\" @here",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_is_unchanged(text: str) -> None:
    from models.text.redaction import redact

    assert redact(text) == text
    assert SecretSearch([KEY, "canary-0123456789", "?v=1&id=12"]).replace_in(text) == text


def test_short_and_absent_secrets_are_ignored() -> None:
    assert SecretSearch([]).replace_in("a secret") == "a secret"
    assert SecretSearch(["secret", "", "…………………"]).replace_in("a secret …………………") == "a secret …………………"


def test_query_is_replaced_behind_its_question_mark() -> None:
    search = SecretSearch(["?v=1&part=ada%2Fb"])
    assert search.replace_in("no /a.mp4?v=1&part=ada%2Fb here") == "no /a.mp4?… here"
    assert search.replace_in("no /a.mp4%3Fv%3D1%26part%3Dada%252fb here") == "no /a.mp4%3F… here"
    assert search.replace_in("no /a.mp4?v=1&amp;part=ada/b here") == "no /a.mp4?… here"


def test_secrets_that_touch_or_overlap_are_one() -> None:
    search = SecretSearch(["canary-0123", "0123-canary"])
    assert search.replace_in("canary-0123-canary canary-01230123-canary") == "… …"


@pytest.mark.parametrize("text", ["see can", "see cana", "see canary-01", "see can\nary-0123", "see canary%2D0123"])
def test_beginning_of_a_secret_at_a_cut_is_replaced(text: str) -> None:
    search = SecretSearch(["canary-0123456789"])
    assert search.replace_in(text) == text
    assert search.replace_in(text, is_cut=True) == ("see can" if text == "see can" else "see …")


@example("&#" + "9" * 5000)
@example("&#x" + "f" * 5000 + ";")
@example("&#x110000;")
@given(st.text(st.sampled_from("&#x09af;lt")))
def test_any_character_reference_is_decoded(text: str) -> None:
    assert isinstance(unescape_html(text), str)


def test_huge_character_reference_is_replaced() -> None:
    assert unescape_html("a&#" + "9" * 5000 + ";b&lt;") == "a\ufffdb<"
