"""The format of a manifest, the sheet of a workbook, and links to Google Sheets."""

from __future__ import annotations

import pytest

from models.errors import InvalidManifest
from models.manifest.formats import Location, detect_format, format_of_name, split_location
from models.manifest.google_sheets import export_url
from tests.workbooks import ods, xlsx

CANARY = "canary-signature"
WORKBOOK = xlsx([["a"]])
SHEETS = "https://docs.google.com/spreadsheets/d"


@pytest.mark.parametrize(
    ("name", "data", "content_type", "expected"),
    [
        ("a.CSV", b"", "", "csv"),
        ("a.ndjson", b"", "", "jsonl"),
        ("/c/d.yml", b"", "text/csv", "yaml"),
        ("a.txt", b"name\t", "", "csv"),
        ("a.csv", WORKBOOK, "", "xlsx"),
        ("/export", WORKBOOK, "text/csv", "xlsx"),
        ("/export", ods([["a"]]), "", "ods"),
        ("/export", b"name,", "text/csv; charset=utf-8", "csv"),
        ("/export", b"{}", "application/x-ndjson", "jsonl"),
        ("/export", b'\n{"name": 1}', "", "jsonl"),
        ("/export", b"- name: a", "application/octet-stream", "yaml"),
        ("manifest", b"name;dataset_video", "", "csv"),
    ],
)
def test_name_then_type_then_bytes_tell_the_format(
    name: str, data: bytes, content_type: str, expected: str
) -> None:
    assert detect_format(name, data, content_type) == expected


@pytest.mark.parametrize("data", [b"<!DOCTYPE html><p>", b"\n<HTML lang=en>"])
def test_web_page_is_one_clear_error(data: bytes) -> None:
    with pytest.raises(InvalidManifest, match="is a web page") as caught:
        detect_format("/export", data, "text/html")
    assert "share the sheet" in caught.value.hint
    assert "save it as .xlsx" in caught.value.hint


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"%PDF-1.7\n%\xe2", "a PDF document"),
        (b"{\\rtf1\\ansi", "an RTF document"),
        (b'\xef\xbb\xbf<?xml version="1.0"?><Workbook/>', "XML, for example of Excel 2003"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "or an error of its host"),
    ],
)
def test_document_of_another_kind_is_named(data: bytes, kind: str) -> None:
    with pytest.raises(InvalidManifest, match=kind) as caught:
        detect_format("list.csv", data)
    assert "as .xlsx or CSV" in caught.value.hint


@pytest.mark.parametrize("name", ["a.docx", f"h/a.json?sig={CANARY}", "a.mp4"])
def test_file_of_another_kind_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(InvalidManifest) as caught:
        format_of_name(name.partition("?")[0])
    assert CANARY not in caught.value.message
    assert "export the list as .xlsx or CSV" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("a.xlsx#Sheet 2", Location("a.xlsx", "Sheet 2")),
        ("week#3.ODS#x#y", Location("week#3.ODS", "x#y")),
        ("https://h.example/a.xlsx?sig=1", Location("https://h.example/a.xlsx?sig=1")),
        ("week#3.csv", Location("week#3.csv")),
        ("a.xlsx#", Location("a.xlsx#")),
    ],
)
def test_sheet_follows_the_suffix_of_a_workbook(text: str, location: Location) -> None:
    assert split_location(text) == location


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"{SHEETS}/ID-1_x/edit#gid=7", f"{SHEETS}/ID-1_x/export?gid=7&format=csv"),
        (f"{SHEETS}/ID/edit?usp=sharing&gid=3#gid=7", f"{SHEETS}/ID/export?gid=7&format=csv"),
        (f"{SHEETS}/ID/edit?usp=sharing", f"{SHEETS}/ID/export?format=csv"),
        (f"{SHEETS}/ID", f"{SHEETS}/ID/export?format=csv"),
        (f"{SHEETS}/ID/", f"{SHEETS}/ID/export?format=csv"),
        (f"{SHEETS}/ID/export?format=csv&gid=5", f"{SHEETS}/ID/export?gid=5&format=csv"),
        (f"{SHEETS}/ID/export?format=xlsx", f"{SHEETS}/ID/export?format=xlsx"),
        (f"{SHEETS}/ID/view?resourcekey=k", f"{SHEETS}/ID/export?resourcekey=k&format=csv"),
        (f"{SHEETS}/e/2PACX/pubhtml?gid=2", f"{SHEETS}/e/2PACX/pub?gid=2&output=csv&single=true"),
        ("https://docs.google.com/document/d/ID/edit", None),
        ("https://evil.example/spreadsheets/d/ID/edit", None),
    ],
)
def test_link_of_the_address_bar_becomes_an_export(url: str, expected: str | None) -> None:
    assert export_url(url) == expected


def test_account_number_of_a_link_is_kept() -> None:
    url = "https://docs.google.com/spreadsheets/u/1/d/ID/edit#gid=0"
    assert export_url(url) == "https://docs.google.com/spreadsheets/u/1/d/ID/export?gid=0&format=csv"
