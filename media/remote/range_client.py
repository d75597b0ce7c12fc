"""Reads byte ranges of one file, whatever form its host gives them."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from http import HTTPStatus
from typing import NamedTuple

import httpx

from media.remote.content_coding import content_coding
from media.remote.content_range import parse_unsatisfied_range
from media.remote.fetch_errors import AttemptFailed, empty_file_error
from media.remote.file_host import FileHost
from media.remote.partial_content import Part, read_partial_content, size_if_whole
from media.remote.response_headers import content_length
from models.errors import MediaUnreachable


class RangeResponse(NamedTuple):
    """The first bytes of a file that has `size` bytes."""

    data: bytes
    size: int


class FullResponse(NamedTuple):
    """An open response with the whole file, whose body is not read yet.

    `size` is that of the file, None if the host does not state it. `coding` is the compression of the body.
    """

    response: httpx.Response
    size: int | None
    coding: str | None


class EntityVersion(NamedTuple):
    """Properties that must not change while a file is read; None if the host does not send them."""

    size: int | None
    etag: str | None
    modified: str | None


class RangeClient:
    """Fetches byte ranges of one file.

    Every method raises MediaRejected if a retry would not help, and MediaUnreachable if the host
    gives no usable response.
    """

    def __init__(self, host: FileHost) -> None:
        self._host = host
        self._version: EntityVersion | None = None

    @property
    def etag(self) -> str | None:
        """The ETag of the first response."""
        return self._version.etag if self._version else None

    def open_file(self, end: int) -> RangeResponse | FullResponse:
        """Fetch the first `end` bytes; fewer only if the file has fewer.

        Returns:
            The bytes, or an open response with the whole file if the host does not support ranges or compresses.
            The caller reads that response and closes it.
        """
        head = self._host.retry(partial(self._fetch_head, end))
        if isinstance(head, FullResponse):
            return head
        data, size = head or Part(b"", None)
        if size is None:
            whole = self._host.retry(self._fetch_whole)
            if whole.size is None or not data:
                return whole
            whole.response.close()
            size = whole.size
            if size < len(data):
                raise self._file_changed_error()
        end = min(end, size)
        if len(data) < end:
            self._host.budget.count_short_answer(len(data))
            data += self.fetch_range(len(data), end)
        return RangeResponse(data, size)

    def fetch_range(self, start: int, end: int) -> bytes:
        """Fetch the bytes from `start` to `end`, which must be inside the file, with a request for each part."""
        data = bytearray()
        while len(data) < end - start:
            part = self._host.retry(partial(self._fetch_part, start + len(data), end))
            data += part.data
            if len(data) < end - start:
                self._host.budget.count_short_answer(len(part.data))
        return bytes(data)

    def _fetch_head(self, end: int) -> Part | FullResponse | None:
        """Fetch the first bytes; None if they must be requested without a range."""
        response = self._send_range(0, end)
        if response.status_code == HTTPStatus.OK:
            return self._full_response(response, content_length(response))
        if response.status_code == HTTPStatus.PARTIAL_CONTENT and (size := size_if_whole(response, end)):
            return self._full_response(response, size)
        with closing(response):
            if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                # Some hosts refuse a range that is longer than the file.
                if parse_unsatisfied_range(response.headers.get("content-range", "")) == 0:
                    raise empty_file_error(self._host.redacted_url)
                return None
            if response.status_code == HTTPStatus.PARTIAL_CONTENT and content_coding(response) is not None:
                return None  # a part of a compressed body cannot be decoded
            return self._read_part(response, 0, end)

    def _fetch_whole(self) -> FullResponse:
        """Request the file without a range: the response states its size, or has all of it."""
        response = self._host.send(None)
        if response.status_code == HTTPStatus.OK:
            return self._full_response(response, content_length(response))
        if response.status_code == HTTPStatus.PARTIAL_CONTENT and (size := size_if_whole(response, 0)):
            return self._full_response(response, size)
        with closing(response):
            if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise empty_file_error(self._host.redacted_url)
            if response.status_code == HTTPStatus.PARTIAL_CONTENT:
                raise AttemptFailed("the host does not state the size of the file (Content-Range ends in /*)")
            raise self._host.error_for_response(response)

    def _fetch_part(self, start: int, end: int) -> Part:
        response = self._send_range(start, end)
        with closing(response):
            if response.status_code == HTTPStatus.OK:
                self._require_same_version(response, content_length(response))
                raise self._host.unreachable_error("the host stopped supporting range requests")
            if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise self._unsatisfied_error(response)
            if response.status_code == HTTPStatus.PARTIAL_CONTENT and (coding := content_coding(response)):
                raise AttemptFailed(f"206 with Content-Encoding: {coding}, unlike before")
            return self._read_part(response, start, end)

    def _full_response(self, response: httpx.Response, size: int | None) -> FullResponse:
        coding = content_coding(response)
        # The length of a compressed body is not the size of the file.
        size = size if coding is None else None
        self._require_same_version(response, size)
        return FullResponse(response, size, coding)

    def _read_part(self, response: httpx.Response, start: int, end: int) -> Part:
        if response.status_code != HTTPStatus.PARTIAL_CONTENT:
            raise self._host.error_for_response(response)
        part = read_partial_content(response, self._host.iter_body(response), start, end)
        self._require_same_version(response, part.size)
        return part

    def _send_range(self, start: int, end: int) -> httpx.Response:
        self._host.budget.require_bytes(end - start, self._host.redacted_url)
        return self._host.send(f"bytes={start}-{end - 1}")

    def _require_same_version(self, response: httpx.Response, size: int | None) -> None:
        """Raise MediaUnreachable if the file changed. A response need not state the size."""
        version = EntityVersion(size, response.headers.get("etag"), response.headers.get("last-modified"))
        known = self._version or version
        if version[1:] != known[1:] or (size is not None and known.size not in {None, size}):
            response.close()
            raise self._file_changed_error()
        self._version = known if size is None else version

    def _unsatisfied_error(self, response: httpx.Response) -> Exception:
        """Return the exception for a 416 response to a range inside the file."""
        size = parse_unsatisfied_range(response.headers.get("content-range", ""))
        if self._version is not None and size is not None and size == self._version.size:
            return AttemptFailed("416 for a range inside the file")
        return self._file_changed_error()

    def _file_changed_error(self) -> MediaUnreachable:
        return self._host.unreachable_error("the file changed while it was being read")
