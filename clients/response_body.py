"""Reads a response up to a limit: a small compressed body could fill the memory of the process."""

from __future__ import annotations

import httpx

from models.argil.response import ArgilResponse

MAX_BODY_BYTES = 8 * 1024**2
"""Of any response but a list of avatars, decompressed. An avatar has about 1 KB."""
MAX_LIST_BYTES = 256 * 1024**2
"""Of a list of avatars, decompressed: more than 100,000 avatars."""


async def read_response(response: httpx.Response, *, is_list: bool = False) -> ArgilResponse:
    """Return the parts of a streamed response that decide its meaning.

    The response is streamed, because an httpx response keeps a body of many megabytes until the garbage collector
    runs.

    Args:
        response: The response, of which only the headers were read.
        is_list: Whether it is a list of avatars.

    Raises:
        httpx.DecodingError: The body is longer than its limit, or compressed more than once: one part of it could
            then expand beyond the limit.
        httpx.RequestError: The body did not arrive, or is damaged.
    """
    limit = MAX_LIST_BYTES if is_list else MAX_BODY_BYTES
    if len(response.headers.get_list("content-encoding", split_commas=True)) > 1:
        raise httpx.DecodingError("the body is compressed more than once")
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > limit:
            raise httpx.DecodingError(f"the body has more than {limit:,} bytes")
    return ArgilResponse(response.status_code, dict(response.headers), body, is_list=is_list)
