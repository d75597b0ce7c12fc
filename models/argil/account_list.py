"""One response of GET /avatars, and whether it proves that the avatar of a submission does not exist.

Argil documents a plain array without paging. Anything else may hide avatars, so it shows presence, never absence.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from http import HTTPStatus

from models.argil.avatar import Avatar, read_extras
from models.argil.avatar_list import AvatarList
from models.argil.json_array import JsonArray
from models.argil.response import ArgilResponse
from models.argil.response_meaning import list_items
from models.request_fields import SUBMISSION_ID_EXTRA

CREATION_TIME_TOLERANCE = timedelta(days=1)
"""An avatar that Argil created earlier than this before a submission belongs to another one.

The time of the submission is that of a machine whose clock may have been hours ahead of Argil's.
"""
_PAGING_WORDS = {"continuation", "count", "cursor", "limit", "marker", "more", "next", "offset", "page", "pages"}
_PAGING_WORDS |= {"incomplete", "pagination", "paging", "partial", "records", "total", "truncated"}
_PAGING_NAME = re.compile(
    "total(?:count|items|pages|records)|next(?:cursor|link|page|token)|page(?:count|number|size)|continuation|hasmore"
    "|lastid"
)
# X-Cache, CF-Cache-Status, X-Proxy-Cache, X-Vercel-Cache and the like; Cache-Status is RFC 9211.
_CACHE_NAME = re.compile(r"(?:[a-z0-9-]+-)?cache(?:-status)?")
# Not `fwd=stale` or `RefreshHit`, after which the origin answered.
_CACHED = re.compile(r"(?<![a-z=])(?:hit|stale|updating)(?![a-z])", re.IGNORECASE)
# Gateways add these to any response.
_OTHER_NAME = re.compile("rate-?limit|attempt|retry|next-?js|page-id|page-speed|total-time")
_OTHER_RELATION = re.compile(
    r"""\brel\s*=\s*"?(?:alternate|canonical|describedby|dns-prefetch|license|modulepreload|preconnect|prefetch"""
    r"""|preload|self|service-doc|shortlink|stylesheet)\b""",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class SoughtAvatar:
    """The avatar that a lookup tries to find."""

    submission_ids: Collection[str]
    name: str
    submitted_at: datetime


class AccountList:
    """The items of a list response, and why it may be incomplete."""

    def __init__(self, response: ArgilResponse) -> None:
        """Read a response that holds a list (Meaning.AVATAR_LIST)."""
        self.items = list_items(response.json) or ()
        self.incomplete_because = incomplete_because(response)
        """Empty for a plain array without paging. services/account/empty_lists.py adds a reason."""

    @property
    def avatars(self) -> list[Avatar]:
        """The avatars with an id and a status; other items are skipped."""
        return [avatar for item in self.items if (avatar := Avatar.parse(item)) is not None]

    @cached_property
    def index(self) -> AvatarList:
        """The items by id and by submission id."""
        return AvatarList(self.items)

    @property
    def names_an_avatar(self) -> bool:
        """Whether an item has an id; other items prove nothing."""
        return any(isinstance(item, dict) and item.get("id") for item in self.items)

    @cached_property
    def avatar_ids(self) -> frozenset[str]:
        """The ids of `avatars`."""
        return frozenset(avatar.id for avatar in self.avatars)

    def find(self, sought: SoughtAvatar) -> list[Avatar]:
        """Return the avatars that carry one of the submission ids and have a usable id."""
        return [
            avatar
            for item in self.items
            if _submission_id(item) in sought.submission_ids and (avatar := Avatar.parse_created(item)) is not None
        ]

    def inconclusive_because(self, sought: SoughtAvatar) -> str:
        """Return why this list does not prove that the sought avatar does not exist; empty if it does."""
        if self.incomplete_because:
            return self.incomplete_because
        for item in self.items:
            if not isinstance(item, dict):
                return "an item of the list is not an object"
            if _submission_id(item) in sought.submission_ids:
                return "the list contains the submission id without a usable avatar id"
            if _may_be(item, sought):
                return "an item of the list has no submission id, so it may be this avatar"
        return ""


def _submission_id(item: object) -> str | None:
    extras = read_extras(item.get("extras")) if isinstance(item, dict) else None
    return (extras or {}).get(SUBMISSION_ID_EXTRA)


def _may_be(item: dict[str, object], sought: SoughtAvatar) -> bool:
    name = item.get("name")
    if _submission_id(item) is not None or (isinstance(name, str) and name != sought.name):
        return False
    avatar = Avatar.parse_created(item)
    if avatar is None or avatar.created_at is None:
        return True
    created_at = avatar.created_at
    if created_at.tzinfo is None:
        created_at = created_at.replace(tzinfo=UTC)
    return created_at > sought.submitted_at - CREATION_TIME_TOLERANCE


def incomplete_because(response: ArgilResponse) -> str:
    """Return why a response with a list may not hold all items; empty for a plain array without paging."""
    if response.status != HTTPStatus.OK:
        return f"the list came with status {response.status}"
    if not isinstance(response.json, list | JsonArray):
        return "the list is part of an object, so it may be one page"
    if _is_cached(response.headers):
        return "the list comes from a cache, so it may be older than the submission"
    header = _paging_header(response.headers)
    return f"the list has the header {header}, so it may be one page" if header else ""


def _is_paging_name(name: str) -> bool:
    name = name.replace("_", "-")
    is_named = not _PAGING_WORDS.isdisjoint(name.split("-")) or _PAGING_NAME.search(name.replace("-", ""))
    return bool(is_named) and not _OTHER_NAME.search(name)


def _is_cached(headers: Mapping[str, str]) -> bool:
    """Whether a cache answered, although the request asked for a fresh response: the list may be of any age."""
    age, warning = headers.get("age", "").strip(), headers.get("warning", "").strip()
    return (
        age.strip("0") != ""
        or warning.startswith(("110", "111"))
        or any(_CACHE_NAME.fullmatch(name) and _CACHED.search(value) for name, value in headers.items())
    )


def _paging_header(headers: Mapping[str, str]) -> str | None:
    for name, value in headers.items():
        if name == "link":
            is_paging = not all(map(_OTHER_RELATION.search, re.split(r",\s*(?=<)", value)))
        else:
            is_paging = name == "content-range" or _is_paging_name(name)
        if is_paging:
            return name
    return None
