"""The ids of submissions: each also tells which request it belongs to, to a ledger that lost the submission.

A submission id travels in the extras of an avatar. One half of it is random, so that no two submissions have the
same id. The other half is a digest of the reference and the fingerprint of the request: a ledger that was restored
from a backup recognizes the avatars of its requests by it. docs/adr/0024-recovered-submissions.md has the reasons.
"""

from __future__ import annotations

import hashlib
import json
import uuid

TAG_CHARACTERS = 15
"""Hexadecimal digits of a tag: 60 bits. The random half has 62."""
_RANDOM_CHARACTERS = 20
"""Of the text of a UUID: all groups before the last two, and the digit of the variant."""
_GROUP_CHARACTERS = 3
"""Digits of the tag before the last hyphen of the UUID."""


def request_tag(reference: str, request_fingerprint: str) -> str:
    """Return the digest of a request that its submission ids contain: TAG_CHARACTERS hexadecimal digits.

    Args:
        reference: The reference of the provisioning.
        request_fingerprint: The fingerprint of its request.
    """
    text = json.dumps(["submission", reference, request_fingerprint])
    return hashlib.sha256(text.encode()).hexdigest()[:TAG_CHARACTERS]


def new_submission_id(reference: str, request_fingerprint: str) -> str:
    """Return a new submission id of a request, in the form of a random UUID (RFC 9562, version 4)."""
    tag = request_tag(reference, request_fingerprint)
    return f"{str(uuid.uuid4())[:_RANDOM_CHARACTERS]}{tag_suffix(tag)}"


def tag_suffix(tag: str) -> str:
    """Return the end of every submission id with this tag."""
    return f"{tag[:_GROUP_CHARACTERS]}-{tag[_GROUP_CHARACTERS:]}"


def tag_of(submission_id: str) -> str:
    """Return the part of a submission id where its tag is.

    In an id of an earlier version this part is random, and is the tag of no request.
    """
    return submission_id[_RANDOM_CHARACTERS:].replace("-", "")
