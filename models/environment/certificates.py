"""Checks the file that SSL_CERT_FILE names, before a TLS context is created from it.

httpx would raise an OSError without the path, and wait forever for a named pipe.
"""

from __future__ import annotations

import os
import ssl

from models.environment.regular_files import read_regular_file
from models.errors import SettingsError

VARIABLE = "SSL_CERT_FILE"
MAX_BYTES = 16 * 1024 * 1024
"""The certificates of all public authorities take about 250 KB."""


def require_usable_certificates() -> None:
    """Check that SSL_CERT_FILE, if it is set, names a file of certificates.

    Raises:
        SettingsError: It is not a regular file, cannot be read, or contains no certificate.
    """
    path = os.environ.get(VARIABLE)
    if not path:
        return
    try:
        text = read_regular_file(path, MAX_BYTES).decode(
            "ascii", errors="ignore"
        )  # comments may be in any encoding
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except OSError as error:
        cause = "it has no certificate in PEM format" if isinstance(error, ssl.SSLError) else error.strerror
    except ValueError:  # a NUL character in the path, or an empty file
        cause = "it is empty, or not a valid path"
    else:
        return
    raise SettingsError(
        f"{VARIABLE}: {path} cannot be used: {cause}",
        hint="set it to a file of certificates in PEM format, or unset it",
    )
