"""Decodes bodies that a host compressed, although every request has `Accept-Encoding: identity`.

Some hosts and caches compress whatever is requested, or store a file with its Content-Encoding. gzip and deflate
are decoded as a stream in pieces of limited size, so that a small body cannot take much memory.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import httpx

from media.remote.fetch_errors import AttemptFailed
from models.errors import MediaRejected
from models.media.codes import MediaCode

_GZIP = {"gzip", "x-gzip"}
_DECODABLE = {*_GZIP, "deflate"}
# The registered compressions (RFC 9110, section 8.4.1, and IANA). Clients ignore other values, such as "identity",
# "aws-chunked" (S3) and "binary".
_COMPRESSIONS = {*_DECODABLE, "br", "zstd", "compress", "x-compress", "dcb", "dcz"}
_PIECE_BYTES = 1024 * 1024
_HEADER_BYTES = 2
_GZIP_MAGIC = b"\x1f\x8b"


def content_coding(response: httpx.Response) -> str | None:
    """Return the compression of a response's body, as the host names it; None if it is not compressed."""
    names = [name.strip().lower() for name in response.headers.get("content-encoding", "").split(",")]
    return ", ".join(name for name in names if name in _COMPRESSIONS) or None


def decode(chunks: Iterator[bytes], coding: str | None, redacted_url: str) -> Iterator[bytes]:
    """Yield the decoded bytes of a body, in pieces of limited size.

    Args:
        chunks: The body as it was received.
        coding: The result of `content_coding`.
        redacted_url: The URL, without its query.

    Raises:
        MediaRejected: If the compression is not supported, or the body is not compressed in that way.
        AttemptFailed: If the body ends early.
    """
    if coding is None:
        return chunks
    if coding not in _DECODABLE:
        raise _coding_error(redacted_url, coding, "which is not decoded here")
    return _inflate(chunks, coding, redacted_url)


def _inflate(chunks: Iterator[bytes], coding: str, redacted_url: str) -> Iterator[bytes]:
    decoder = None
    data, members = b"", 0
    for chunk in chunks:
        data += chunk
        try:
            while decoder is not None or len(data) >= _HEADER_BYTES:
                if decoder is None:
                    if members and (coding not in _GZIP or not data.startswith(_GZIP_MAGIC)):
                        return  # padding after the end
                    decoder, members = zlib.decompressobj(_window_bits(data, coding)), members + 1
                piece = decoder.decompress(data, _PIECE_BYTES)
                data = decoder.unconsumed_tail
                if piece:
                    yield piece
                if decoder.eof:
                    # A gzip body may have several members.
                    data, decoder = decoder.unused_data, None
                elif not data and len(piece) < _PIECE_BYTES:
                    break
        except zlib.error:
            raise _coding_error(redacted_url, coding, "but the body is not in that format") from None
    if decoder is not None or (data and not members):
        raise AttemptFailed("the compressed body ended early")


def _window_bits(data: bytes, coding: str) -> int:
    if coding in _GZIP:
        return zlib.MAX_WBITS | 16
    # "deflate" means the zlib format; some hosts send the bare format instead.
    has_header = data[0] & 0x0F == zlib.DEFLATED and int.from_bytes(data[:2]) % 31 == 0
    return zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS


def _coding_error(redacted_url: str, coding: str, problem: str) -> MediaRejected:
    return MediaRejected(
        MediaCode.COMPRESSED_TRANSFER,
        f"{redacted_url} is sent with Content-Encoding: {coding}, {problem}",
        hint="turn compression off for this file at its host, or upload it without Content-Encoding metadata",
    )
