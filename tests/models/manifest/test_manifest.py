"""Manifests: three formats with the same validation; problems name their line and contain no secret."""

from __future__ import annotations

import csv
import io
import json
import time
from typing import Any

import pytest

from models.errors import InvalidManifest
from models.manifest import manifest
from models.manifest.manifest import parse_rows
from models.manifest.rows import MAX_BYTES, MAX_ROWS
from models.manifest.validation import ManifestRow
from models.text.normalization import trim

CANARY = "canary-signature"
HEADER = "name,dataset_video,consent_video,reference,extras,extras.team\n"
DATASET = f"https://videos.example/d.mp4?X-Amz-Signature={CANARY}"
CONSENT = f"https://videos.example/c.mp4?X-Amz-Signature={CANARY}"
ROW: dict[str, Any] = {"name": "Ada", "dataset_video": DATASET, "consent_video": CONSENT, "reference": "a"}
FORMATS = ["csv", "jsonl", "yaml"]


def parse_manifest(data: bytes, format_name: str) -> list[ManifestRow]:
    return manifest.parse_manifest(data, format_name).rows


def write_manifest(format_name: str, rows: list[dict[str, Any]]) -> bytes:
    if format_name == "jsonl":
        return "\n".join(json.dumps(row) for row in rows).encode()
    if format_name == "yaml":
        return "\n".join(f"- {json.dumps(row, ensure_ascii=False)}" for row in rows).encode()
    columns = list(dict.fromkeys(column for row in rows for column in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns)
    writer.writeheader()
    writer.writerows({k: json.dumps(v) if isinstance(v, dict) else v for k, v in row.items()} for row in rows)
    return buffer.getvalue().encode()


def problems_of(row: ManifestRow) -> list[tuple[str, str]]:
    assert all(CANARY not in str(problem) for problem in row.problems)
    assert all(problem.hint for problem in row.problems)
    return [(problem.code, problem.message) for problem in row.problems]


def manifest_error(data: bytes | str, format_name: str) -> str:
    with pytest.raises(InvalidManifest) as caught:
        parse_manifest(data.encode() if isinstance(data, str) else data, format_name)
    assert CANARY not in caught.value.message + caught.value.hint
    assert caught.value.hint
    return caught.value.message


@pytest.mark.parametrize("format_name", FORMATS)
def test_all_formats_give_the_same_requests(format_name: str) -> None:
    rows = [
        {**ROW, "extras": {"team": "berlin", "tier": "1"}},
        {**ROW, "name": 'Grace 👩‍🔬, "G"', "reference": "g"},
    ]
    rows_read = parse_manifest(write_manifest(format_name, rows), format_name)
    assert [row.problems for row in rows_read] == [(), ()]
    assert [row.request.model_dump() for row in rows_read if row.request] == [{"extras": {}, **row} for row in rows]


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "name empty": ({"name": ""}, "row.name", "name: is empty"),
    "name long": ({"name": "x" * 257}, "row.name", "at most 256 characters"),
    "no https": ({"dataset_video": f"http://h/d?s={CANARY}"}, "row.dataset_video", "it is 'http://h/d?…'"),
    "no url": (
        {"consent_video": f"h/c.mp4?s={CANARY}"},
        "row.consent_video",
        "begin with https://, s3://, gs:// or az://; it is 'h/c.mp4?…'",
    ),
    "userinfo": ({"dataset_video": f"https://u:{CANARY}@h/d"}, "row.dataset_video", "user name or password"),
    "space in a URL": ({"consent_video": "https://h/c d"}, "row.consent_video", "must not contain a space"),
    "our key": ({"extras": {"submission_id": "1"}}, "row.extras", "the service sets this key itself"),
    "many extras": ({"extras": {str(n): "x" for n in range(10)}}, "row.extras", "at most 9 entries"),
    "long extra": ({"extras": {"team": "x" * 257}}, "row.extras", "extras.team: must have at most 256"),
    "reference long": ({"reference": "r" * 257}, "row.reference", "at most 256 characters"),
}


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("kind", BAD)
def test_bad_row_is_reported_and_other_rows_stay_valid(format_name: str, kind: str) -> None:
    change, code, rule = BAD[kind]
    good = {**ROW, "extras": {}}
    first, bad, last = parse_manifest(
        write_manifest(format_name, [good, {**good, "reference": "b", **change}, {**good, "reference": "c"}]),
        format_name,
    )
    assert first.request is not None
    assert last.request is not None
    assert bad.request is None
    line = 3 if format_name == "csv" else 2
    assert bad.line == line
    [(actual_code, message)] = problems_of(bad)
    assert actual_code == code
    assert message.startswith(f"line {line}, {next(iter(change))}")
    assert rule in message


def test_every_problem_of_every_row_is_reported() -> None:
    rows = [{**ROW, "name": "", "dataset_video": "ftp://a"}, {"name": "Ada"}]
    first, second = parse_manifest(write_manifest("jsonl", rows), "jsonl")
    assert [code for code, _ in problems_of(first)] == ["row.name", "row.dataset_video"]
    assert [code for code, _ in problems_of(second)] == ["row.dataset_video", "row.consent_video"]


@pytest.mark.parametrize("format_name", FORMATS)
def test_rows_with_one_reference_are_invalid_and_listed(format_name: str) -> None:
    rows_read = parse_manifest(
        write_manifest(format_name, [ROW, {**ROW, "reference": "b"}, {**ROW, "name": "Eve"}]), format_name
    )
    first, third = (2, 4) if format_name == "csv" else (1, 3)
    assert [row.request is None for row in rows_read] == [True, False, True]
    assert problems_of(rows_read[0]) == [
        ("row.duplicate", f"line {first}, reference: is also the reference of line {third}; it is 'a'")
    ]
    assert f"reference of line {first}" in problems_of(rows_read[2])[0][1]


def test_row_that_is_not_an_object_is_malformed() -> None:
    (row,) = parse_rows([1])
    assert [problem.code for problem in row.problems] == ["row.malformed"]


def test_missing_reference_is_derived_from_the_content() -> None:
    bare = {key: value for key, value in ROW.items() if key != "reference"}
    signed_again = {**bare, "dataset_video": "https://videos.example/d.mp4?X-Amz-Signature=another"}
    [alone] = parse_manifest(write_manifest("yaml", [bare]), "yaml")
    _, below = parse_manifest(write_manifest("csv", [ROW, signed_again]), "csv")
    [changed] = parse_rows([{**bare, "name": "Eve"}])
    assert alone.reference == below.reference != changed.reference
    assert alone.reference.startswith("row-")
    assert alone.request is not None
    assert alone.request.reference == alone.reference
    repeated = parse_rows([bare, signed_again])
    assert [code for row in repeated for code, _ in problems_of(row)] == ["row.duplicate"] * 2
    assert "requests the same avatar as row 2" in problems_of(repeated[0])[0][1]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{nope", "row: is not valid JSON at column 2"),
        (b'["Ada"]', "row: must be a JSON object"),
        (b'{"name": "Ada", "name": "Eve"}', "name: is repeated"),
        (b'{"nmae": "canary-signature"}', "nmae: is not a column of a manifest"),
        (b"[" * 100_000, "row: is not valid JSON"),
        (b'{"name": 7, "extras": [1]}', "extras: must be pairs of a key and a text"),
    ],
)
def test_bad_jsonl_line_does_not_stop_the_next(line: bytes, message: str) -> None:
    bad, good = parse_manifest(line + b"\n\n" + write_manifest("jsonl", [ROW]), "jsonl")
    assert any(message in actual for _, actual in problems_of(bad))
    assert (good.line, good.problems) == (3, ())


def test_csv_as_exported_by_spreadsheets_is_parsed() -> None:
    text = "\ufeffname;dataset_video;consent_video;extras.team\r\n\r\n"
    text += f'"Ada\r\n";{DATASET};{CONSENT};\r\n;;;\r\nEve;x;{CONSENT};b\r\n'
    ada, eve = parse_manifest(text.encode(), "csv")
    assert ada.request is not None
    assert (ada.line, ada.request.name, ada.request.extras) == (3, "Ada", {})
    assert (eve.line, [code for code, _ in problems_of(eve)]) == (6, ["row.dataset_video"])


SCIENTIFIC = ["4.71E+15", "4,71E+15", "1e5", "-2.5e-7", " 4.71E+15 ", "1E300", "4.E+15", ".5E+10", "4.71 E+15"]
SCIENTIFIC += [
    "４.７１Ｅ＋１５",
    "٤٫٧١E+15",
    "4.71E+15\u200b",
    "4.71E+15\ufeff",
    "\ufeff4.71E+15",
    "\u200e4.71E+15",
]


@pytest.mark.parametrize("reference", SCIENTIFIC)
def test_csv_reference_in_scientific_notation_fails(reference: str) -> None:
    text = f"name;dataset_video;consent_video;reference\nAda;{DATASET};{CONSENT};{reference}\n"
    [row] = parse_manifest(text.encode(), "csv")
    assert row.request is None
    [(code, message)] = problems_of(row)
    assert code == "row.reference"
    assert f"format the column as text; it is '{trim(reference)}'" in message


@pytest.mark.parametrize("reference", ["########", " ### ", "#N/A", "#REF!", "#name?", "#DIV/0!", "#VALUE!"])
def test_csv_reference_without_its_value_fails(reference: str) -> None:
    [row] = parse_manifest(f"{HEADER}Ada,{DATASET},{CONSENT},{reference},,\n".encode(), "csv")
    assert row.request is None
    [(code, message)] = problems_of(row)
    assert code == "row.reference"
    assert f"it is '{trim(reference)}'" in message


@pytest.mark.parametrize(
    "reference",
    [
        *("#1", "##", "# 3", "#N/A-7", "team#REF!", "#######7"),
        *("4711", "4.71", "e5", "1e5x", "E+15", "creator-1e5", "1e5-2", "1e5a", "e10", "2E-unit"),
        *("12E", "E10", "3E10-x", ".E5", "12 E5"),
    ],
)
def test_csv_reference_with_digits_is_valid(reference: str) -> None:
    [row] = parse_manifest(f"{HEADER}Ada,{DATASET},{CONSENT},{reference},,\n".encode(), "csv")
    assert (row.reference, row.problems) == (reference, ())


@pytest.mark.parametrize("reference", SCIENTIFIC)
@pytest.mark.parametrize("format_name", ["jsonl", "yaml"])
def test_text_in_scientific_notation_is_a_reference(format_name: str, reference: str) -> None:
    [row] = parse_manifest(write_manifest(format_name, [{**ROW, "reference": reference}]), format_name)
    assert row.reference == trim(reference)
    [listed] = parse_rows([{**ROW, "reference": reference}])
    assert listed.reference == trim(reference)


@pytest.mark.parametrize("spelling", ["b ", "\u00a0b", "b\u200b"])
def test_spellings_of_one_reference_are_duplicates(spelling: str) -> None:
    rows = parse_rows([{**ROW, "reference": "b"}, {**ROW, "reference": spelling, "name": "Eve"}])
    assert [code for row in rows for code, _ in problems_of(row)] == ["row.duplicate"] * 2
    rows = parse_rows([{**ROW, "reference": "b"}, {**ROW, "reference": spelling, "name": ""}])
    assert [code for row in rows for code, _ in problems_of(row)] == ["row.duplicate", "row.name", "row.duplicate"]


def test_derived_reference_ignores_signature_and_spelling() -> None:
    one, other = (
        parse_rows([{**ROW, "reference": "", "dataset_video": url}])[0].reference
        for url in ("https://h/dl?id=1&X-Amz-Signature=1", "https://H:443/x/../dl?X-Amz-Signature=2&id=%31")
    )
    assert one == other
    [stranger] = parse_rows([{**ROW, "reference": "", "dataset_video": "https://h/dl?id=2"}])
    assert stranger.reference != one


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"name": "Ada L"}, {"name": "Ada\u00a0L"}),
        ({"extras": {"team": "b"}}, {"extras": {"team": "b "}}),
        ({"extras": {"team": "b"}}, {"extras": {"team": "b\u200b"}}),
        ({"extras": {"team": "b"}}, {"extras": {"team\u200b": "b"}}),
        ({"extras": {"team": "\u00e9"}}, {"extras": {"team": "e\u0301"}}),
    ],
)
def test_derived_reference_ignores_invisible_differences(one: dict[str, Any], other: dict[str, Any]) -> None:
    rows = parse_rows([{**ROW, "reference": "", **one}, {**ROW, "reference": "", **other}])
    assert rows[0].reference == rows[1].reference
    assert rows[0].reference.startswith("row-")


def test_invisible_cell_of_an_extra_is_not_a_pair() -> None:
    [row] = parse_manifest(f"{HEADER}Ada,{DATASET},{CONSENT},a,,\u200b \n".encode(), "csv")
    assert row.request is not None
    assert row.request.extras == {}


def test_csv_row_with_extra_cells_or_repeated_pair_fails() -> None:
    text = f'{HEADER}Ada,{DATASET},{CONSENT},a,,b,c\nAda,{DATASET},{CONSENT},b,"{{""team"": ""x""}}",y\n'
    surplus, repeated = parse_manifest(text.encode(), "csv")
    assert "row: has 7 cells, but the header line has 6" in problems_of(surplus)[0][1]
    assert "extras: repeats team, which has its own column" in problems_of(repeated)[0][1]
    [broken] = parse_manifest(f"{HEADER}Ada,{DATASET},{CONSENT},b,[1],\n".encode(), "csv")
    assert "must be a JSON object" in problems_of(broken)[0][1]


def test_yaml_problems_name_line_and_value() -> None:
    text = f"# creators\n- name: 7\n  dataset_video: {DATASET}\n  consent_video: [1]\n"
    text += "- just text\n- name: a\n  name: b\n"
    first, second, third = parse_manifest(text.encode(), "yaml")
    assert [row.line for row in (first, second, third)] == [2, 5, 6]
    assert "line 2, name: must be text; it is 7" in [message for _, message in problems_of(first)]
    assert "must be a mapping" in problems_of(second)[0][1]
    assert ("row.name", "line 6, name: is repeated") in problems_of(third)


@pytest.mark.parametrize(
    ("text", "format_name", "message"),
    [
        ("", "csv", "has no rows"),
        (HEADER, "csv", "has no rows"),
        ("\n\n", "jsonl", "has no rows"),
        ("# nothing", "yaml", "has no rows"),
        (
            "name,datset,consent_video\nx,y,z\n",
            "csv",
            "the column 'dataset_video' is missing (did you mean 'datset'?)",
        ),
        (
            "name,name,dataset_video,consent_video\n",
            "csv",
            "the column name is repeated: 'name' (A), 'name' (B)",
        ),
        (f'{HEADER}Ada,"{DATASET},x\n', "csv", "not valid CSV from line 2 on"),
        ("name: Ada", "yaml", "not a list of rows"),
        ("- name: 'Ada\n- x", "yaml", "not valid YAML at line"),
        ("- !!python/object/apply:os.system [echo]", "yaml", "must be a mapping"),
        ("[" * 11, "yaml", "deeper than 10 levels at line 1"),
        ("[" * 100_000, "yaml", "at line 1"),  # beyond the limit of libyaml, which reads ahead
        ("- " * 20_000, "yaml", "deeper than 10 levels at line 1"),
        (b"{\xff", "jsonl", "not valid UTF-8: line 1"),
        (b"x" * (MAX_BYTES + 1), "csv", "larger than 32 MiB"),
    ],
)
def test_unparsable_manifest_is_one_clear_error(text: str | bytes, format_name: str, message: str) -> None:
    if message == "must be a mapping":
        data = text.encode() if isinstance(text, str) else text
        assert message in problems_of(parse_manifest(data, format_name)[0])[0][1]
        return
    assert message in manifest_error(text, format_name)


@pytest.mark.parametrize(
    "value",
    [
        *("!!timestamp x", "!!bool x", "!!int ''", "!!float ''", "!!int x"),
        "0x" + "f" * 5000,
        "1" + ":1" * 300 + ".0",
    ],
)
def test_yaml_value_that_does_not_match_its_tag_is_text(value: str) -> None:
    [row] = parse_manifest(f"- name: {value}\n".encode(), "yaml")
    assert [message for _, message in problems_of(row) if "dataset_video" in message]


def test_yaml_key_that_is_a_url_is_redacted() -> None:
    [row] = parse_manifest(f"- '{DATASET}': {{a: 1, a: 2}}\n".encode(), "yaml")
    assert any("is repeated" in message for _, message in problems_of(row))


def test_reference_that_is_a_url_is_redacted() -> None:
    for row in parse_rows([{**ROW, "reference": DATASET}] * 2):
        assert "row.duplicate" in [code for code, _ in problems_of(row)]
        assert CANARY not in row.reference


def test_duplicate_problem_lists_a_few_rows_only() -> None:
    rows = parse_rows([ROW] * 500)
    assert all(len(message) < 300 for row in rows for _, message in problems_of(row))
    assert problems_of(rows[0])[0][1].startswith("row 1, reference: is also the reference of row 2, row 3,")
    assert "row 11 and 489 more; it is 'a'" in problems_of(rows[0])[0][1]


@pytest.mark.parametrize(("format_name", "data"), [("jsonl", "0\n"), ("csv", "1\n"), ("yaml", "- 0\n")])
def test_parsing_stops_at_the_row_limit(format_name: str, data: str) -> None:
    text = (
        (HEADER if format_name == "csv" else "")
        + data * (MAX_ROWS + 1)
        + ("'" if format_name == "yaml" else "\x00")
    )
    assert "100,000 rows" in manifest_error(text, format_name)  # the syntax error after them is not reached


@pytest.mark.parametrize(
    ("format_name", "data"),
    [
        ("csv", ",".join(f"extras.{number}" for number in range(60_000))),
        ("jsonl", "{" + ",".join(f'"{number}": 0' for number in range(60_000)) + "}"),
    ],
)
def test_many_columns_are_parsed_in_linear_time(format_name: str, data: str) -> None:
    started_at = time.thread_time()
    if format_name == "csv":
        manifest_error(data, format_name)
    else:
        assert len(problems_of(parse_manifest(data.encode(), format_name)[0])) > 60_000
    assert time.thread_time() - started_at < 15  # a quadratic comparison took minutes


def test_lone_surrogates_are_replaced_in_problems() -> None:
    text = r'{"name": "\ud83d", "reference": "\ud83d", "dataset_video": "\ud83d", "\ud83d": 1, "\ud83d": 2}'
    [row] = parse_manifest(text.encode(), "jsonl")
    for text in (row.name, row.reference, *(message for _, message in problems_of(row))):
        assert text.encode()


FOREIGN = {
    "passwords.csv": f"user,password\nada,{CANARY}\n",
    "headerless.csv": f"{CANARY},x\ny,z\n",
    "private-key.csv": f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n",
    "name.csv": f"name,{CANARY},{CANARY}\na,b,c\n",
    "repeated.csv": f"{CANARY},{CANARY}\n",
    "environment.csv": f"API_KEY={CANARY}\n",
    "quote.csv": f'"{CANARY}\n',
    "object.jsonl": f'{{"api_key": "{CANARY}", "{CANARY}": 1, "{CANARY}": 2}}\n',
    "names.jsonl": f'{{"name": 7, "reference": "{CANARY}", "extras": {{"{CANARY}": 1}}}}\n' * 2,
    "syntax.jsonl": f'{{"{CANARY}\n',
    "scalar.jsonl": f'"{CANARY}"\n',
    "list.yaml": f"- name: {CANARY}\n  value: {CANARY}\n- {CANARY}: 1\n  {CANARY}: {{{CANARY}: 1, {CANARY}: 2}}\n",
    "mapping.yaml": f"password: {CANARY}\n",
    "tag.yaml": f"- !{CANARY} x\n",
    "tag-in-a-row.yaml": f"- name: !{CANARY} x\n",
    "tag-handle.yaml": f"- name: !{CANARY}!x y\n",
    "alias.yaml": f"- name: *{CANARY}\n",
    "anchors.yaml": f"- &{CANARY} a\n- &{CANARY} b\n",
    "directive.yaml": f"%{CANARY}\n---\n- a\n",
    "unclosed.yaml": f"- name: '{CANARY}\n",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_file_that_is_not_a_manifest_is_not_quoted(name: str) -> None:
    try:
        rows = parse_manifest(FOREIGN[name].encode(), name.rpartition(".")[2])
    except InvalidManifest as error:
        shown = f"{error}{error.hint}"
    else:
        assert all(row.request is None and row.problems for row in rows)
        shown = f"{rows}"
    assert CANARY.lower() not in shown.lower()


def test_foreign_file_names_what_is_missing() -> None:
    [row] = parse_manifest(b'{"name": "Ada", "password": "x"}', "jsonl")
    assert [message for _, message in problems_of(row)] == [
        "line 1, dataset_video: is missing",
        "line 1, consent_video: is missing",
        "line 1, row: its name number 2 is not a column of a manifest",
    ]
    header = "header line 1: the column 'name' is missing; the column 'consent_video' is missing; "
    assert manifest_error("dataset_video,password\n", "csv") == f"{header}not a column of a manifest: number 2"


@pytest.mark.parametrize("format_name", ["jsonl", "yaml", "csv"])
def test_row_of_a_manifest_names_the_value_seen(format_name: str) -> None:
    data = write_manifest(format_name, [ROW, {**ROW, "dataset_video": "ftp://v.example/d.mp4", "reference": "2"}])
    _, bad = parse_manifest(data, format_name)
    assert any("ftp://v.example/d.mp4" in message for _, message in problems_of(bad))


def test_long_file_without_a_row_of_a_manifest_is_one_error() -> None:
    with pytest.raises(InvalidManifest, match="none of the 1,001 rows is a row of a manifest"):
        parse_manifest(b">\n" * 1001, "jsonl")
    assert len(parse_manifest(b">\n" * 1000, "jsonl")) == 1000


@pytest.mark.parametrize(
    "rows",
    ["- name: &a {text}\n" + "- name: *a\n" * 1000, "- &a {{name: {text}}}\n" + "- *a\n" * 1000],
    ids=["value", "row"],
)
def test_yaml_aliases_that_repeat_a_long_text_are_refused(rows: str) -> None:
    """A file of 100 KB would otherwise stand for 100 MB, each of which is normalized and redacted."""
    data = rows.format(text="x" * 100_000).encode()
    with pytest.raises(InvalidManifest, match="with what its aliases repeat"):
        parse_manifest(data, "yaml")


def test_yaml_aliases_of_short_values_are_read() -> None:
    videos = "dataset_video: https://videos.example/d.mp4, consent_video: https://videos.example/c.mp4"
    lines = [f"- {{name: A, {videos}, extras: &e {{team: berlin}}}}"]
    lines += [f"- {{name: B{number}, {videos}, extras: *e}}" for number in range(100)]
    rows = parse_manifest("\n".join(lines).encode(), "yaml")
    assert [row.request and row.request.extras["team"] for row in rows] == ["berlin"] * 101


def test_reference_that_begins_like_a_derived_one_is_not_taken_for_one() -> None:
    rows = [{**ROW, "reference": "row-3"}, {**ROW, "name": "Eve", "reference": "row-3"}]
    for row in parse_manifest(write_manifest("csv", rows), "csv"):
        [(_, message)] = problems_of(row)
        assert "is also the reference of line" in message


def test_empty_address_is_said_to_be_empty() -> None:
    [row] = parse_manifest(write_manifest("csv", [{**ROW, "consent_video": ""}]), "csv")
    [(code, message)] = problems_of(row)
    assert code == "row.consent_video"
    assert "must not be empty" in message
