"""Fuzzes manifests: arbitrary rows written in each format, and valid manifests with mutated bytes."""

from __future__ import annotations

import csv
import io
import json
from typing import Any, NamedTuple

import yaml
from hypothesis import strategies as st

from models.manifest.manifest import parse_manifest, parse_rows
from models.manifest.validation import ManifestRow
from tests.fuzz.mutations import Mutation, mutated, mutations
from tests.fuzz.requests import rows, values
from tests.fuzz.target import CANARY, FuzzTarget, assert_no_secrets, expect_own_errors, secret_urls

FORMS = ("csv", "jsonl", "yaml")
_ROW = {"name": "Ada", "dataset_video": "https://v.example/d.mp4", "consent_video": "https://v.example/c.mp4"}
_FULL = {**_ROW, "extras": {"team": "blue", "since": "2026"}, "reference": "r-1"}
SAMPLES = {
    "csv": b"name,dataset_video,consent_video,extras,extras.team,reference\n"
    b'Ada,https://v.example/d.mp4,https://v.example/c.mp4,"{""a"": ""b""}",blue,r-1\n' * 2,
    "jsonl": "\n".join(json.dumps(row) for row in (_ROW, _FULL, _FULL)).encode(),
    "yaml": yaml.safe_dump([_ROW, _FULL, _FULL]).encode(),
}
TOKENS = [
    *(b",", b";", b"\t", b'"', b'""', b"\n", b"\r", b"\r\n", b"\x00", b"\xef\xbb\xbf", b"\xff", b"\xe2\x80\xa8"),
    *(b"[", b"]", b"{", b"}", b":", b"- ", b"? ", b"&a ", b"*a ", b"|\n", b">\n", b"# ", b"---\n", b"<<: ", b"%"),
    *(b"!!timestamp ", b"!!int ", b"!!float ", b"!!bool ", b"!!binary ", b"!!python/name:os.system ", b"!!set "),
    *(
        b"null",
        b"true",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"0x",
        b"f",
        b"1:",
        b"9",
        b".",
        b"_",
        b"2026-11-23",
        b"T24:",
    ),
    *(b"\\ud800", b"\\u0000", b"\\", b"extras.", b"extras.team", b"name", b"reference", b"'", b" ", b"\xc3\xa9"),
]


class WrittenManifest(NamedTuple):
    """A manifest of arbitrary rows, well-formed in its format."""

    form: str
    rows: list[dict[Any, Any]]


class MutatedManifest(NamedTuple):
    """A valid manifest with mutated bytes. A URL in it may be split, so that its secret is not recognisable."""

    form: str
    changes: list[Mutation]


def _write(case: WrittenManifest) -> bytes:
    if case.form == "jsonl":
        return "\n".join(
            json.dumps({str(k): v for k, v in row.items()}, default=repr, skipkeys=True) for row in case.rows
        ).encode()
    if case.form == "yaml":
        text: str = yaml.dump(case.rows, Dumper=yaml.CSafeDumper, allow_unicode=True)
        return text.encode("utf-8", "replace")
    columns = sorted({str(key) for row in case.rows for key in row})
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows([str(row.get(column, "")) for column in columns] for row in case.rows)
    return out.getvalue().encode("utf-8", "replace")


def inspect_rows(manifest_rows: list[ManifestRow] | None, secrets: tuple[str, ...]) -> None:
    """Assert that each row has a request or problems, and that no text of a problem has a secret."""
    for row in manifest_rows or ():
        texts = [part for reason in row.problems for part in (reason.message, reason.hint, reason.code)]
        assert_no_secrets(texts if row.request else [*texts, row.reference, row.name], secrets)
        assert (row.request is None) == bool(row.problems)


def _check(case: WrittenManifest | MutatedManifest) -> None:
    if isinstance(case, MutatedManifest):
        data = mutated(SAMPLES[case.form], case.changes)
        inspect_rows(expect_own_errors(lambda: parse_manifest(data, case.form).rows, secrets=()), ())
        return
    inspect_rows(expect_own_errors(lambda: parse_rows(case.rows)), (CANARY,))
    try:
        data = _write(case)
    except ValueError:
        return  # Python limits the number of digits it formats
    # A separator in the name of a column splits its URL.
    is_split = case.form == "csv" and any(set(",;\t\n\r") & set(str(key)) for row in case.rows for key in row)
    secrets = () if is_split else (CANARY,)
    inspect_rows(expect_own_errors(lambda: parse_manifest(data, case.form).rows, secrets=secrets), secrets)


_PLAIN = values.filter(lambda value: value is not None)
TARGET = FuzzTarget(
    "manifests",
    st.builds(MutatedManifest, st.sampled_from(FORMS), mutations(TOKENS))
    | st.builds(
        WrittenManifest,
        st.sampled_from(FORMS),
        st.lists(rows | st.dictionaries(secret_urls(), _PLAIN, max_size=2), max_size=3),
    ),
    _check,
)
