"""Uploads local files to an object store under the digest of their content, in parts and with little memory."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from media.stores.construction import REQUEST_TIMEOUT, build_store
from media.stores.store_errors import CREDENTIAL_HINTS, MAX_CAUSE_CHARACTERS
from models.errors import StoreUnavailable
from models.recordings.addresses import ObjectAddress

if TYPE_CHECKING:
    from media.stores.construction import ObjectStore

PART_BYTES = 8 * 1024 * 1024
"""Of an upload in parts. S3 requires at least 5 MiB for all but the last."""
MAX_CONCURRENT_PARTS = 3
"""Of one file. Each takes twice its size in memory: in this process, and in that of the connection."""
MAX_PARTS = 10_000
"""The most parts of one upload to S3."""
PART_TIMEOUT = timedelta(minutes=15)
"""Of one part, which takes 11 minutes at 100 kbit/s, or of joining all parts, which takes S3 minutes."""


class ContentChanged(Exception):
    """The bytes that were read do not have the digest of the object's name; nothing was stored."""


class ObjectWriter:
    """Uploads files with the credentials of this process's environment.

    Args:
        s3_endpoint: The value of AVATARS_S3_ENDPOINT; empty for AWS.

    """

    def __init__(self, s3_endpoint: str) -> None:
        self._s3_endpoint = s3_endpoint
        self._stores: dict[tuple[str, str, timedelta], ObjectStore] = {}

    async def find_size(self, uri: str) -> int | None:
        """Return the size of an object in bytes, None if there is none. Raises StoreUnavailable."""
        import obstore  # noqa: PLC0415  # most commands need no store

        address = ObjectAddress.parse(uri)
        try:
            with _translating_errors(uri, "looked up"):
                return (await obstore.head_async(self._store(address), address.key))["size"]
        except FileNotFoundError:
            return None

    async def upload(
        self,
        uri: str,
        descriptor: int,
        *,
        sha256: str,
        size_bytes: int,
        content_type: str,
        on_sent: Callable[[int], None],
    ) -> None:
        """Upload an open file. The object becomes visible only when it is complete.

        Args:
            uri: The address of the object.
            descriptor: The file, which stays open.
            sha256: The digest (hex) that the bytes must have.
            size_bytes: The size that the file must have.
            content_type: The Content-Type that the store returns with the object.
            on_sent: Gets the size of each part that was handed to the connection.

        Raises:
            ContentChanged: The file no longer has this digest; nothing was stored.
            StoreUnavailable: The store cannot be reached, or does not accept the object.

        """
        import obstore  # noqa: PLC0415  # most commands need no store

        address = ObjectAddress.parse(uri)
        part_bytes = max(PART_BYTES, -(-size_bytes // (MAX_PARTS - 1)))
        parts = _VerifiedParts(descriptor, sha256, size_bytes, part_bytes, on_sent)
        try:
            with _translating_errors(uri, "uploaded"):
                await obstore.put_async(
                    self._store(address, PART_TIMEOUT),
                    address.key,
                    aiter(parts),
                    attributes={"Content-Type": content_type},
                    use_multipart=True,
                    chunk_size=part_bytes,
                    max_concurrency=MAX_CONCURRENT_PARTS,
                )
        except (StoreUnavailable, FileNotFoundError) as error:
            if parts.has_changed:
                raise ContentChanged from None
            # The answer to the last request may have been lost; a repeated one then finds no upload.
            if await self.find_size(uri) == size_bytes:
                return
            if isinstance(error, StoreUnavailable):
                raise
            raise StoreUnavailable(
                f"{uri} cannot be uploaded: the bucket or the upload does not exist",
                hint="check AVATARS_UPLOAD_URL and AVATARS_S3_ENDPOINT, then run the command again",
            ) from None

    async def delete(self, uri: str) -> None:
        """Delete an object, if it exists. Raises StoreUnavailable."""
        import obstore  # noqa: PLC0415  # most commands need no store

        address = ObjectAddress.parse(uri)
        with contextlib.suppress(FileNotFoundError), _translating_errors(uri, "deleted"):
            await obstore.delete_async(self._store(address), address.key)

    def _store(self, address: ObjectAddress, request_timeout: timedelta | None = None) -> ObjectStore:
        request_timeout = request_timeout or REQUEST_TIMEOUT
        key = (address.scheme, address.bucket, request_timeout)
        if key not in self._stores:
            self._stores[key] = build_store(
                address.scheme, address.bucket, self._s3_endpoint, request_timeout=request_timeout
            )
        return self._stores[key]


class _VerifiedParts:
    """The parts of a file. Before the last one is given away, the digest of all is compared."""

    def __init__(
        self, descriptor: int, sha256: str, size_bytes: int, part_bytes: int, on_sent: Callable[[int], None]
    ) -> None:
        self.has_changed = False
        self._descriptor = descriptor
        self._sha256 = sha256
        self._size_bytes = size_bytes
        self._part_bytes = part_bytes
        self._on_sent = on_sent

    async def __aiter__(self) -> AsyncIterator[bytes]:
        digest = hashlib.sha256()
        for start in range(0, self._size_bytes, self._part_bytes):
            part = await asyncio.to_thread(self._read, start, digest)
            is_last = start + self._part_bytes >= self._size_bytes
            if is_last and (
                os.fstat(self._descriptor).st_size != self._size_bytes or digest.hexdigest() != self._sha256
            ):
                self.has_changed = True
                raise ContentChanged
            yield part
            self._on_sent(len(part))

    def _read(self, start: int, digest: hashlib._Hash) -> bytes:
        part = os.pread(self._descriptor, min(self._part_bytes, self._size_bytes - start), start)
        digest.update(part)
        return part


@contextlib.contextmanager
def _translating_errors(uri: str, verb: str) -> Iterator[None]:
    from obstore.exceptions import BaseError, PermissionDeniedError  # noqa: PLC0415  # most commands need no store

    scheme = uri.partition("://")[0]
    try:
        yield
    except FileNotFoundError:
        raise
    except PermissionDeniedError as error:
        raise StoreUnavailable(
            f"{uri} cannot be {verb}: the credentials do not permit it, or are wrong{_store_code(error)}",
            hint="allow them to read, write and delete objects below AVATARS_UPLOAD_URL; for S3: s3:GetObject, "
            "s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload",
        ) from None
    except (BaseError, ValueError, OSError, RuntimeError, ContentChanged) as error:
        # Without the error as the cause: its text contains the configuration of the store.
        raise StoreUnavailable(
            f"{uri} cannot be {verb}: {_cause(error)}{_store_code(error)}",
            hint=f"check AVATARS_UPLOAD_URL, AVATARS_S3_ENDPOINT and AWS_REGION; {CREDENTIAL_HINTS[scheme]}",
        ) from None


def _cause(error: Exception) -> str:
    """Return the first line of an error without the address, which follows the name of the object."""
    text = str(error).strip().partition("\n")[0]
    return re.sub(r"https?://\S+", "the store", text)[:MAX_CAUSE_CHARACTERS]


def _store_code(error: Exception) -> str:
    match = re.search(r"<Code>([A-Za-z]{1,64})</Code>", str(error))
    return f" ({match[1]})" if match else ""
