"""A manifest: three formats, one check; every problem with its line, and none with a secret."""

from __future__ import annotations

import csv
import io
import json
import time
from typing import Any

import pytest

from models.errors import InvalidManifest
from models.manifest import MAX_BYTES, ManifestRow, format_of, read_manifest, read_rows
from models.manifest_text import MAX_ROWS

CANARY = "canary-signature"
HEADER = "name,dataset_video,consent_video,reference,extras,extras.team\n"
DATASET = f"https://videos.example/d.mp4?X-Amz-Signature={CANARY}"
CONSENT = f"https://videos.example/c.mp4?X-Amz-Signature={CANARY}"
ROW: dict[str, Any] = {"name": "Ada", "dataset_video": DATASET, "consent_video": CONSENT, "reference": "a"}
FORMS = ["csv", "jsonl", "yaml"]


def written(form: str, rows: list[dict[str, Any]]) -> bytes:
    if form == "jsonl":
        return "\n".join(json.dumps(row) for row in rows).encode()
    if form == "yaml":
        return "\n".join(f"- {json.dumps(row, ensure_ascii=False)}" for row in rows).encode()
    columns = list(dict.fromkeys(column for row in rows for column in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns)
    writer.writeheader()
    writer.writerows({k: json.dumps(v) if isinstance(v, dict) else v for k, v in row.items()} for row in rows)
    return buffer.getvalue().encode()


def told(row: ManifestRow) -> list[tuple[str, str]]:
    assert all(CANARY not in str(problem) for problem in row.problems)
    assert all(problem.hint for problem in row.problems)
    return [(problem.code, problem.message) for problem in row.problems]


def refused(data: bytes | str, form: str) -> str:
    with pytest.raises(InvalidManifest) as caught:
        read_manifest(data.encode() if isinstance(data, str) else data, form)
    assert CANARY not in caught.value.message + caught.value.hint
    assert caught.value.hint
    return caught.value.message


@pytest.mark.parametrize("form", FORMS)
def test_each_format_gives_the_same_requests(form: str) -> None:
    rows = [
        {**ROW, "extras": {"team": "berlin", "tier": "1"}},
        {**ROW, "name": 'Grace 👩‍🔬, "G"', "reference": "g"},
    ]
    found = read_manifest(written(form, rows), form)
    assert [row.problems for row in found] == [(), ()]
    assert [row.request.model_dump() for row in found if row.request] == [{"extras": {}, **row} for row in rows]


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "name empty": ({"name": ""}, "row.name", "name: String should have at least 1 character; it is ''"),
    "name long": ({"name": "x" * 257}, "row.name", "at most 256 characters"),
    "no https": ({"dataset_video": f"http://h/d?s={CANARY}"}, "row.dataset_video", "it is 'http://h/d?…'"),
    "no url": (
        {"consent_video": f"h/c.mp4?s={CANARY}"},
        "row.consent_video",
        "begin with https://; it is 'h/c.mp4?…'",
    ),
    "userinfo": ({"dataset_video": f"https://u:{CANARY}@h/d"}, "row.dataset_video", "user name or password"),
    "white space": ({"consent_video": "https://h/c d"}, "row.consent_video", "white space"),
    "our key": ({"extras": {"submission_id": "1"}}, "row.extras", "the service's own key"),
    "many extras": ({"extras": {str(n): "x" for n in range(10)}}, "row.extras", "at most 9 items"),
    "long extra": ({"extras": {"team": "x" * 257}}, "row.extras", "extras.team: String should have at most 256"),
    "reference long": ({"reference": "r" * 257}, "row.reference", "at most 256 characters"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_row_is_told_with_line_column_value_rule_and_way_out_and_the_others_stay_good(
    form: str, kind: str
) -> None:
    change, code, rule = BAD[kind]
    good = {**ROW, "extras": {}}
    first, bad, last = read_manifest(
        written(form, [good, {**good, "reference": "b", **change}, {**good, "reference": "c"}]), form
    )
    assert first.request is not None
    assert last.request is not None
    assert bad.request is None
    line = 3 if form == "csv" else 2
    assert bad.line == line
    [(found, message)] = told(bad)
    assert found == code
    assert message.startswith(f"line {line}, {next(iter(change))}")
    assert rule in message


def test_every_problem_of_every_row_is_told_at_once() -> None:
    rows = [{**ROW, "name": "", "dataset_video": "ftp://a"}, {"name": "Ada"}]
    first, second = read_manifest(written("jsonl", rows), "jsonl")
    assert [code for code, _ in told(first)] == ["row.name", "row.dataset_video"]
    assert [code for code, _ in told(second)] == ["row.dataset_video", "row.consent_video"]


@pytest.mark.parametrize("form", FORMS)
def test_rows_with_one_reference_are_all_bad_and_name_each_other(form: str) -> None:
    found = read_manifest(written(form, [ROW, {**ROW, "reference": "b"}, {**ROW, "name": "Eve"}]), form)
    first, third = (2, 4) if form == "csv" else (1, 3)
    assert [row.request is None for row in found] == [True, False, True]
    assert told(found[0]) == [
        ("row.duplicate", f"line {first}, reference: is also the reference of line {third}; it is 'a'")
    ]
    assert f"reference of line {first}" in told(found[2])[0][1]


def test_a_row_without_a_reference_gets_one_of_its_content_wherever_it_stands_however_it_is_signed() -> None:
    bare = {key: value for key, value in ROW.items() if key != "reference"}
    signed_anew = {**bare, "dataset_video": "https://videos.example/d.mp4?X-Amz-Signature=another"}
    [alone] = read_manifest(written("yaml", [bare]), "yaml")
    _, below = read_manifest(written("csv", [ROW, signed_anew]), "csv")
    [changed] = read_rows([{**bare, "name": "Eve"}])
    assert alone.reference == below.reference != changed.reference
    assert alone.reference.startswith("row-")
    assert alone.request is not None
    assert alone.request.reference == alone.reference
    twice = read_rows([bare, signed_anew])
    assert [code for row in twice for code, _ in told(row)] == ["row.duplicate"] * 2
    assert "asks for the same avatar as row 2" in told(twice[0])[0][1]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{nope", "row: is no JSON at column 2"),
        (b'["Ada"]', "row: must be a JSON object"),
        (b'{"name": "Ada", "name": "Eve"}', "name: stands there twice"),
        (b'{"nmae": "canary-signature"}', "nmae: is no column of a manifest"),
        (b"[" * 100_000, "row: is no JSON"),
        (b'{"name": 7, "extras": [1]}', "extras: Input should be a valid dictionary"),
    ],
)
def test_a_bad_line_of_jsonl_is_told_and_the_next_is_read(line: bytes, message: str) -> None:
    bad, good = read_manifest(line + b"\n\n" + written("jsonl", [ROW]), "jsonl")
    assert any(message in told_one for _, told_one in told(bad))
    assert (good.line, good.problems) == (3, ())


def test_csv_of_spreadsheets_is_read_with_mark_semicolons_blank_lines_and_line_breaks_in_cells() -> None:
    text = "\ufeffname;dataset_video;consent_video;extras.team\r\n\r\n"
    text += f'"A\r\nda";{DATASET};{CONSENT};\r\n;;;\r\nEve;x;{CONSENT};b\r\n'
    ada, eve = read_manifest(text.encode(), "csv")
    assert ada.request is not None
    assert (ada.line, ada.request.name, ada.request.extras) == (3, "A\r\nda", {})
    assert (eve.line, [code for code, _ in told(eve)]) == (6, ["row.dataset_video"])


def test_a_csv_row_with_cells_too_many_or_a_pair_given_twice_is_told() -> None:
    text = f'{HEADER}Ada,{DATASET},{CONSENT},a,,b,c\nAda,{DATASET},{CONSENT},b,"{{""team"": ""x""}}",y\n'
    surplus, twice = read_manifest(text.encode(), "csv")
    assert "row: has 7 cells, and the line of column names 6" in told(surplus)[0][1]
    assert "extras: has team in a column of its own as well" in told(twice)[0][1]
    [broken] = read_manifest(f"{HEADER}Ada,{DATASET},{CONSENT},b,[1],\n".encode(), "csv")
    assert "must be a JSON object" in told(broken)[0][1]


def test_yaml_tells_lines_and_what_is_no_text() -> None:
    text = f"# creators\n- name: 7\n  dataset_video: {DATASET}\n  consent_video: [1]\n"
    text += "- just text\n- name: a\n  name: b\n"
    first, second, third = read_manifest(text.encode(), "yaml")
    assert [row.line for row in (first, second, third)] == [2, 5, 6]
    assert "line 2, name: Input should be a valid string; it is 7" in [message for _, message in told(first)]
    assert "must be a mapping" in told(second)[0][1]
    assert ("row.name", "line 6, name: stands there twice") in told(third)


@pytest.mark.parametrize(
    ("text", "form", "message"),
    [
        ("", "csv", "holds no rows"),
        (HEADER, "csv", "holds no rows"),
        ("\n\n", "jsonl", "holds no rows"),
        ("# nothing", "yaml", "holds no rows"),
        (
            "name,dataset,consent_video\nx,y,z\n",
            "csv",
            "'dataset' is no column of a manifest; the column 'dataset_video' is",
        ),
        ("name,name,dataset_video,consent_video\n", "csv", "'name' stands there twice"),
        (f'{HEADER}Ada,"{DATASET},x\n', "csv", "no CSV from line 2 on"),
        ("name: Ada", "yaml", "no list of rows"),
        ("- name: 'Ada\n- x", "yaml", "no YAML at line"),
        ("- !!python/object/apply:os.system [echo]", "yaml", "must be a mapping"),
        ("[" * 100_000, "yaml", "deeper than 10 levels at line 1"),
        ("- " * 20_000, "yaml", "deeper than 10 levels at line 1"),
        (b"name\xff", "csv", "not UTF-8: line 1"),
        (b"x" * (MAX_BYTES + 1), "csv", "larger than 32 MiB"),
    ],
)
def test_what_cannot_be_read_as_a_whole_is_one_clear_error(text: str | bytes, form: str, message: str) -> None:
    if message == "must be a mapping":
        data = text.encode() if isinstance(text, str) else text
        assert message in told(read_manifest(data, form)[0])[0][1]
        return
    assert message in refused(text, form)


def test_the_format_is_told_by_the_name() -> None:
    assert [format_of(name) for name in ("a.CSV", "b.ndjson", "/c/d.yml")] == ["csv", "jsonl", "yaml"]
    for name in ("manifest", "a.xlsx", f"a.csv?sig={CANARY}"):
        with pytest.raises(InvalidManifest) as caught:
            format_of(name)
        assert CANARY not in caught.value.message


@pytest.mark.parametrize(
    "value",
    [
        *("!!timestamp x", "!!bool x", "!!int ''", "!!float ''", "!!int x"),
        "0x" + "f" * 5000,
        "1" + ":1" * 300 + ".0",
    ],
)
def test_what_a_yaml_tag_or_a_number_promises_and_does_not_hold_is_text(value: str) -> None:
    [row] = read_manifest(f"- name: {value}\n".encode(), "yaml")
    assert [message for _, message in told(row) if "dataset_video" in message]


def test_a_key_of_yaml_that_is_a_url_shows_no_query() -> None:
    [row] = read_manifest(f"- '{DATASET}': {{a: 1, a: 2}}\n".encode(), "yaml")
    assert any("stands there twice" in message for _, message in told(row))


def test_a_reference_that_is_a_url_shows_no_query() -> None:
    for row in read_rows([{**ROW, "reference": DATASET}] * 2):
        assert "row.duplicate" in [code for code, _ in told(row)]
        assert CANARY not in row.reference


def test_of_many_rows_with_one_reference_each_names_a_few() -> None:
    rows = read_rows([ROW] * 500)
    assert all(len(message) < 300 for row in rows for _, message in told(row))
    assert told(rows[0])[0][1].startswith("row 1, reference: is also the reference of row 2, row 3,")
    assert "row 11 and 489 more; it is 'a'" in told(rows[0])[0][1]


@pytest.mark.parametrize(("form", "data"), [("jsonl", "0\n"), ("csv", "1\n"), ("yaml", "- 0\n")])
def test_no_more_rows_are_read_than_a_manifest_may_have(form: str, data: str) -> None:
    text = (HEADER if form == "csv" else "") + data * (MAX_ROWS + 1) + ("'" if form == "yaml" else "\x00")
    assert "100,000 rows" in refused(text, form)  # what breaks the form behind them is not reached


@pytest.mark.parametrize(
    ("form", "data"),
    [
        ("csv", ",".join(f"extras.{number}" for number in range(60_000))),
        ("jsonl", "{" + ",".join(f'"{number}": 0' for number in range(60_000)) + "}"),
    ],
)
def test_many_columns_are_read_in_a_time_that_grows_with_their_number(form: str, data: str) -> None:
    began = time.thread_time()
    if form == "csv":
        refused(data, form)
    else:
        assert len(told(read_manifest(data.encode(), form)[0])) > 60_000
    assert time.thread_time() - began < 15  # comparing each with each took minutes


def test_half_a_character_can_be_told_of() -> None:
    text = r'{"name": "\ud83d", "reference": "\ud83d", "dataset_video": "\ud83d", "\ud83d": 1, "\ud83d": 2}'
    [row] = read_manifest(text.encode(), "jsonl")
    for shown in (row.name, row.reference, *(message for _, message in told(row))):
        assert shown.encode()
