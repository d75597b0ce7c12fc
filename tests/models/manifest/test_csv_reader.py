"""CSV as spreadsheet programs write it: encodings, separators, `sep=`, titles, columns and cells."""

from __future__ import annotations

import pytest

from models.errors import InvalidManifest
from models.manifest.columns import RESULT_COLUMNS, parse_column_map
from models.manifest.manifest import Manifest, ManifestOptions, parse_manifest

D, C = "https://videos.example/d.mp4", "https://videos.example/c.mp4"
HEADER = "name,dataset_video,consent_video"
ROW = f"Ada,{D},{C}"


def read(text: str, *maps: str, strict: bool = False) -> Manifest:
    return parse_manifest(text.encode(), "csv", ManifestOptions(column_map=parse_column_map(maps), strict=strict))


def names_of(manifest: Manifest) -> list[str]:
    assert [row.problems for row in manifest.rows if row.request is None] == []
    return [row.name for row in manifest.rows]


def error_of(text: str, *maps: str, strict: bool = False) -> str:
    with pytest.raises(InvalidManifest) as caught:
        read(text, *maps, strict=strict)
    assert caught.value.hint
    return caught.value.message


@pytest.mark.parametrize(
    "header",
    [
        *(
            "Name,Dataset Video,Consent video URL",
            "NAME ,dataset-video,Consent_Video",
            "Creator,Training video,Consent",
        ),
        *(
            "Full name:,Training footage (URL),Consent recording*",
            "\u200bname,\u00a0DATASET_VIDEO,\ufeffconsent video",
        ),
        *("Avatar name,dataset.,Consent clip link", "ｎａｍｅ,dataset video link,consent_video_file"),
    ],
)
def test_headers_are_compared_by_their_meaning(header: str) -> None:
    assert names_of(read(f"{header}\n{ROW}\n")) == ["Ada"]


SEMICOLONS = f"name;dataset_video;consent_video;{{}}\rAda;{D};{C};\r"


@pytest.mark.parametrize(
    "text",
    [
        f"sep=;\r\n{HEADER};x\r\n{ROW};1\r\n".replace(",", ";"),
        f'"sep=,"\n{HEADER}\n{ROW}\n',
        f'{HEADER},"extras.role; team; year; city"\n{ROW},\n',
        SEMICOLONS.format('"extras.role, team, year, city"'),
    ],
)
def test_separator_is_counted_outside_quotes(text: str) -> None:
    assert names_of(read(text)) == ["Ada"]


def test_lines_are_counted_after_a_sep_line() -> None:
    assert [row.line for row in read(f"sep=,\n{HEADER}\n\n{ROW}\n").rows] == [4]


def test_text_above_the_header_is_skipped_with_a_notice() -> None:
    manifest = read(f"Creators of May\n\nExported by,CRM\n{HEADER}\n{ROW}\n")
    assert names_of(manifest) == ["Ada"]
    assert manifest.rows[0].line == 5
    assert manifest.notices == ["the header line is line 4; the text above it was skipped"]


def test_surplus_columns_are_reported_once_or_refused() -> None:
    text = f"{HEADER},Notes,Budget,,\n{ROW},a,b,,\nEve,{D},{C}\n"
    manifest = read(text)
    assert names_of(manifest) == ["Ada", "Eve"]
    assert manifest.notices == ["columns that are not read: 'Notes', 'Budget'"]
    assert "not a column of a manifest: 'Notes', 'Budget'" in error_of(text, strict=True)


def test_column_without_a_header_is_reported_or_refused() -> None:
    text = f"#,,{HEADER},Notes\n1,call her,{ROW},a\n2,,Eve,{D},{C},\n"
    manifest = read(text)
    assert names_of(manifest) == ["Ada", "Eve"]
    assert manifest.notices == ["columns that are not read: '#', 'Notes', B (without a header)"]
    assert "not a column of a manifest: '#', 'Notes'" in error_of(text, strict=True)
    nameless = f",{HEADER}\nx,{ROW}\n"
    assert error_of(nameless, strict=True) == "header line 1: not a column of a manifest: A (without a header)"
    assert names_of(read(f",{HEADER}\n,{ROW}\nx,,,\n", strict=True)) == ["Ada"]


def test_misspelt_optional_column_is_named() -> None:
    assert "'refrence' (did you mean reference?)" in read(f"{HEADER},refrence\n{ROW},1\n").notices[0]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("nmae,dataset_video,consent_video", "the column 'name' is missing (did you mean 'nmae'?)"),
        ("name,dataset vidoe,consent", "the column 'dataset_video' is missing (did you mean 'dataset vidoe'?)"),
        ("name,Video link,consent", "the column 'dataset_video' is missing"),
        ("name,dataset,training video,consent", "'dataset' (B), 'training video' (C) mean the same"),
        ("name,Name,dataset,consent", "the column name is repeated: 'name' (A), 'Name' (B)"),
    ],
)
def test_header_problem_names_column_and_remedy(header: str, message: str) -> None:
    assert message in error_of(f"{header}\na,b,c,d\n")


def test_header_line_of_one_cell_suggests_no_column() -> None:
    assert "did you mean" not in error_of(f'"{HEADER}"\n"{ROW}"\n')


def test_own_name_of_a_column_has_precedence() -> None:
    text = f"Creator,ID,External ID,{HEADER}\nx,1,crm-7,{ROW}\n"
    [row] = read(text).rows
    assert (row.name, row.reference) == ("Ada", "crm-7")


def test_column_map_names_any_header() -> None:
    text = f"Who,Video link,Consent,Team\nAda,{D},{C},berlin\n"
    [row] = read(text, "who=name", "VIDEO-LINK=dataset video", "Team=extras.team").rows
    assert row.request is not None
    assert row.request.extras == {"team": "berlin"}
    assert "the file has no header 'whom' for 'reference'" in error_of(text, "Whom=reference", "Who=name")


@pytest.mark.parametrize("pair", ["", "x", "=name", "x=", "https://h.example/?sig=canary=name"])
def test_column_map_must_be_a_pair(pair: str) -> None:
    with pytest.raises(InvalidManifest, match="is not HEADER=COLUMN") as caught:
        parse_column_map([pair])
    assert "canary" not in caught.value.message


@pytest.mark.parametrize("pair", ["x=video", "x=extras.", "x=result_status"])
def test_column_map_must_name_a_column(pair: str) -> None:
    with pytest.raises(InvalidManifest, match=f"'{pair}' names a column that a manifest does not have") as caught:
        parse_column_map([pair])
    assert "the columns are name, dataset_video" in caught.value.hint


def test_column_map_of_one_header_twice_is_refused() -> None:
    assert parse_column_map(["Video=dataset_video", "video =dataset_video"]) == {"video": "dataset_video"}
    with pytest.raises(InvalidManifest, match="'video' two columns: dataset_video and consent_video"):
        parse_column_map(["Video=dataset_video", "video=consent_video"])


def test_cells_are_trimmed_with_a_notice() -> None:
    manifest = read(f"{HEADER}\n\u00a0Ada ,{D}\u200b, {C.replace('https', 'HTTPS')}\n")
    [row] = manifest.rows
    assert row.request is not None
    assert [*row.request.recordings.values()] == [D, C]
    assert manifest.notices == ["spaces or invisible characters were removed around the text of line 2"]


def test_number_sign_in_a_path_has_an_error_of_its_own() -> None:
    [row] = read(f"{HEADER}\nAda,https://videos.example/week#3.mp4,{C}\n").rows
    assert "must not contain #: in the name of a file it must be written %23" in row.problems[0].message


def test_rows_without_a_manifest_value_are_skipped() -> None:
    manifest = read(f"{HEADER},extras.team,Done\n{ROW},berlin,FALSE\n,,,berlin,FALSE\n , ,,berlin,FALSE\n")
    assert names_of(manifest) == ["Ada"]
    assert manifest.notices[-1] == "lines 3, 4 with neither a name, a recording nor a reference were skipped"


def test_repeated_header_is_skipped_and_another_one_is_not() -> None:
    same = read(f"{HEADER},,\n{ROW},,\n{HEADER}\nEve,{D},{C}\n")
    assert names_of(same) == ["Ada", "Eve"]
    assert same.notices == ["the header line is repeated in line 3"]
    swapped = read(f"{HEADER}\n{ROW}\n\nname,consent video,dataset video\nEve,{C},{D}\n").rows
    assert [row.request is None for row in swapped] == [False, True]
    assert "is below another header line, in line 4" in swapped[1].problems[0].message


def test_results_columns_are_ignored() -> None:
    manifest = read(f"{HEADER},{','.join(RESULT_COLUMNS)}\n'-{ROW},READY,1,,,\n", strict=True)
    assert names_of(manifest) == ["-Ada"]
    assert list(manifest.columns) == HEADER.split(",")


def test_damaged_utf8_is_not_read_as_windows_1252() -> None:
    damaged = f"{HEADER}\nMüller é 李,{D},{C}\n".encode() + b"Eve \xc3,x,y\n"
    with pytest.raises(InvalidManifest, match="not valid UTF-8: line 3"):
        parse_manifest(damaged, "csv")


@pytest.mark.parametrize("data", [f"{HEADER}\n{ROW}".encode("utf-16-le"), b"name\x00,"])
def test_utf16_without_a_mark_is_one_clear_error(data: bytes) -> None:
    with pytest.raises(InvalidManifest, match="UTF-16 without a byte order mark"):
        parse_manifest(data, "csv")


@pytest.mark.parametrize("separator", [",", ";"])
def test_quotes_after_a_space_enclose_a_cell(separator: str) -> None:
    header = '"name", "dataset_video", "consent_video", "reference", "extras.note"'
    row = f'"Ada", "{D}", "{C}", "a-1", "one, two; three"'
    text = f"{header}\n{row}\n".replace('", "', f'"{separator}  "')
    [request] = [row.request for row in read(text).rows]
    assert request is not None
    assert (request.reference, request.extras) == ("a-1", {"note": "one, two; three"})


@pytest.mark.parametrize("cell", ['="00123"', '"=""00123"""', ' ="00123" '])
def test_formula_of_one_text_is_that_text(cell: str) -> None:
    [row] = read(f'"=""name""",dataset_video,consent_video,reference\n{ROW},{cell}\n').rows
    assert (row.problems, row.reference, row.cells[-1]) == ((), "00123", "00123")


@pytest.mark.parametrize("cell", ["=00123", '="a"&"b"', '=A1&"b"', '="'])
def test_other_formula_is_not_evaluated(cell: str) -> None:
    [row] = read(f"{HEADER},reference\n{ROW},{cell}\n").rows
    assert row.reference == cell


def test_byte_outside_of_windows_1252_names_it() -> None:
    with pytest.raises(InvalidManifest, match="not valid Windows-1252: line 2"):
        parse_manifest(f"{HEADER}\nM\u00fcller,{D},{C}\n".encode("cp437"), "csv")


@pytest.mark.parametrize(
    "text",
    [
        f"sep=;\n{HEADER}\n{ROW}\n",
        f'"{HEADER}"\n"{ROW}"\n',
        f"{HEADER}\n{ROW}\n".replace(",", " "),
        f"{HEADER}\n{ROW}\n".replace(",", "\u2028"),
    ],
)
def test_header_line_of_one_cell_suggests_a_separator(text: str) -> None:
    with pytest.raises(InvalidManifest) as caught:
        read(text)
    assert "the header line is one cell: check the separator" in caught.value.hint


def test_quote_that_is_not_doubled_names_the_remedy() -> None:
    with pytest.raises(InvalidManifest) as caught:
        read(f'{HEADER}\n"Ada \\"C\\" L",{D},{C}\n')
    assert "a quote in the text that is not doubled" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "name"), [('\ufeff{"name": "Ada", "dataset_video": 1}\n', "jsonl"), ("- name: Ada\n  x: 1\n", "yaml")]
)
def test_text_of_another_format_names_the_option(text: str, name: str) -> None:
    with pytest.raises(InvalidManifest) as caught:
        read(text)
    assert f"the file begins as {name} does: pass --format {name}" in caught.value.hint
