"""A link to Google Sheets, to a local stand-in that redirects and answers as Google does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from media.manifest_loader import load_manifest, load_manifest_of_run, parse_bytes
from models.errors import InvalidManifest
from models.manifest.formats import Location
from simulator.uvicorn_thread import HOST, serve_in_thread
from tests.media.test_spreadsheets import HEADER, LIST, csv_bytes, requests_of
from tests.workbooks import xlsx

CSV = csv_bytes(",", "\r\n", "utf-8")


async def export(request: Request) -> Response:
    """Redirect as Google does: to a host of its own, with a link that works once."""
    return RedirectResponse(f"/export/{request.path_params['id']}?{request.query_params}", status_code=307)


async def content(request: Request) -> Response:
    if request.path_params["id"] == "private":
        return Response("<!DOCTYPE html><title>Sign in</title>", media_type="text/html")
    if request.query_params.get("format") == "xlsx":
        return Response(xlsx([HEADER, *LIST]), media_type="application/octet-stream")
    first = b"name,dataset_video\r\n" if request.query_params.get("gid") == "404" else CSV
    return StreamingResponse(iter([first]), media_type="text/csv")  # without a length, and without ranges


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(tmp_path / "host.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    routes = [Route("/spreadsheets/d/{id}/export", export), Route("/export/{id}", content)]
    with serve_in_thread(Starlette(routes=routes), port=0, certificate=tmp_path / "host.pem") as url:
        yield f"{url}/spreadsheets/d"


@pytest.mark.parametrize(
    "path", ["edit#gid=0", "edit?usp=sharing", "export?format=csv&gid=0", "export?format=xlsx"]
)
def test_link_gives_the_requests_of_the_list(path: str, google: str) -> None:
    expected = requests_of(parse_bytes(CSV, Location("list.csv")))
    assert requests_of(load_manifest(f"{google}/ID/{path}", allowed_hosts={HOST})) == expected
    of_run = load_manifest_of_run(f"{google}/ID/{path}", folder=None, allowed_hosts={HOST})
    assert requests_of(of_run) == expected


def test_private_sheet_is_one_clear_error(google: str) -> None:
    with pytest.raises(InvalidManifest, match="is a web page") as caught:
        load_manifest(f"{google}/private/edit#gid=0", allowed_hosts={HOST})
    assert "share the sheet with anyone who has the link" in caught.value.hint


def test_sheet_is_chosen_by_the_fragment(google: str) -> None:
    with pytest.raises(InvalidManifest, match="'consent_video' is missing"):
        load_manifest(f"{google}/ID/edit?gid=0#gid=404", allowed_hosts={HOST})


def test_stand_in_needs_to_be_allowed(google: str) -> None:
    with pytest.raises(InvalidManifest, match="cut at a #"):
        load_manifest(f"{google}/ID/edit#gid=0")
    with pytest.raises(InvalidManifest, match="not a public address"):
        load_manifest(f"{google}/ID/edit")
