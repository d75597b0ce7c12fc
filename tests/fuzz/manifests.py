"""Manifests: rows written in each format by who may write anything, and the bytes of good ones altered."""

from __future__ import annotations

import csv
import io
import json
from typing import Any, NamedTuple

import yaml
from hypothesis import strategies as st

from models.manifest import ManifestRow, read_manifest, read_rows
from tests.fuzz.kinds import CANARY, Kind, assert_tells_nothing, ours, secret_urls
from tests.fuzz.mutations import Mutation, mutated, mutations
from tests.fuzz.requests import rows, values

FORMS = ("csv", "jsonl", "yaml")
_ROW = {"name": "Ada", "dataset_video": "https://v.example/d.mp4", "consent_video": "https://v.example/c.mp4"}
_FULL = {**_ROW, "extras": {"team": "blue", "since": "2026"}, "reference": "r-1"}
SAMPLES = {
    "csv": b"name,dataset_video,consent_video,extras,extras.team,reference\n"
    b'Ada,https://v.example/d.mp4,https://v.example/c.mp4,"{""a"": ""b""}",blue,r-1\n' * 2,
    "jsonl": "\n".join(json.dumps(one) for one in (_ROW, _FULL, _FULL)).encode(),
    "yaml": yaml.safe_dump([_ROW, _FULL, _FULL]).encode(),
}
WORDS = [
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


class Written(NamedTuple):
    """A manifest of rows of any content, written as its format wants it."""

    form: str
    rows: list[dict[Any, Any]]


class Altered(NamedTuple):
    """A good manifest, altered; one in which a URL may have been torn apart, so that its secret is one no more."""

    form: str
    changes: list[Mutation]


def _written(case: Written) -> bytes:
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


def _look_at(found: list[ManifestRow] | None, secrets: tuple[str, ...]) -> None:
    for row in found or ():
        texts = [part for reason in row.problems for part in (reason.message, reason.hint, reason.code)]
        assert_tells_nothing(texts if row.request else [*texts, row.reference, row.name], secrets)
        assert (row.request is None) == bool(row.problems)


def _check(case: Written | Altered) -> None:
    if isinstance(case, Altered):
        data = mutated(SAMPLES[case.form], case.changes)
        _look_at(ours(lambda: read_manifest(data, case.form), secrets=()), ())
        return
    _look_at(ours(lambda: read_rows(case.rows)), (CANARY,))
    try:
        data = _written(case)
    except ValueError:
        return  # nobody can write a number of so many digits
    # A separator in the name of a column tears its URL apart.
    torn = case.form == "csv" and any(set(",;\t\n\r") & set(str(key)) for row in case.rows for key in row)
    secrets = () if torn else (CANARY,)
    _look_at(ours(lambda: read_manifest(data, case.form), secrets=secrets), secrets)


_PLAIN = values.filter(lambda value: value is not None)
KIND = Kind(
    "manifests",
    st.builds(Altered, st.sampled_from(FORMS), mutations(WORDS))
    | st.builds(
        Written,
        st.sampled_from(FORMS),
        st.lists(rows | st.dictionaries(secret_urls(), _PLAIN, max_size=2), max_size=3),
    ),
    _check,
)
