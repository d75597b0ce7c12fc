"""Clear errors for the file that SSL_CERT_FILE names, when a TLS context is created from it.

httpx would raise an OSError without the path, and wait forever for a named pipe.
"""

from __future__ import annotations

import contextlib
import os
import ssl
from collections.abc import Iterator

from models.environment.regular_files import FileTooLarge, open_regular_file
from models.errors import SettingsError

VARIABLE = "SSL_CERT_FILE"
MAX_BYTES = 16 * 1024 * 1024
"""The certificates of all public authorities take about 250 KB."""


@contextlib.contextmanager
def explaining_certificate_errors() -> Iterator[None]:
    """Check the file that SSL_CERT_FILE names, if it is set, before the block creates a TLS context from it.

    Raises:
        SettingsError: It is not a regular file, cannot be read, or contains no certificate.
    """
    path = os.environ.get(VARIABLE)
    if not path:
        yield
        return
    try:
        with open_regular_file(path, os.O_RDONLY) as descriptor:
            if os.fstat(descriptor).st_size > MAX_BYTES:
                raise FileTooLarge(f"it is larger than {MAX_BYTES:,} bytes")
        yield
    except OSError as error:
        cause = "it has no certificate in PEM format" if isinstance(error, ssl.SSLError) else error.strerror
    except ValueError:  # a NUL character in the path
        cause = "it is not a valid path"
    else:
        return
    raise SettingsError(
        f"{VARIABLE}: {path} cannot be used: {cause}",
        hint="set it to a file of certificates in PEM format, or unset it",
    )


def require_usable_certificates() -> None:
    """Check that SSL_CERT_FILE, if it is set, names a file of certificates.

    Raises:
        SettingsError: It is not a regular file, cannot be read, or contains no certificate.
    """
    if path := os.environ.get(VARIABLE):
        with explaining_certificate_errors():
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
