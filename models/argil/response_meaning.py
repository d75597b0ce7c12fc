"""The meaning of every response of Argil's host, as one table; docs/responses.md shows the same one.

Only Argil's own words end a provisioning: its documented error, or an avatar that is certainly ours. Anything else
leaves the outcome open. Sources: Argil's reference for POST /avatars (201 and 400 `{code, message}`), RFC 9110.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from models.argil.avatar import DOCUMENTED_STATUSES, UNKNOWN_STATUS
from models.argil.json_array import JsonArray
from models.argil.response import ArgilResponse
from models.argil.video_create import says_video_create_is_removed


class Operation(StrEnum):
    """The requests whose responses change a provisioning."""

    CREATE = "POST /avatars"
    GET = "GET /avatars/{id}"
    LIST = "GET /avatars"


class Meaning(StrEnum):
    """What a response says about the avatar."""

    CREATED = "created"
    """The avatar of this submission exists, and its id is known."""
    CREATED_WITHOUT_ID = "created-without-id"
    """The avatar exists, but its id must be looked up. Nothing is ever submitted again."""
    REJECTED = "rejected"
    """Argil rejected the request."""
    REJECTED_IF_ABSENT = "rejected-if-absent"
    """Argil reports an error as a success: the request is rejected unless a lookup finds its avatar."""
    UNAUTHORIZED = "unauthorized"
    """Argil rejects the API key; nothing was done."""
    PAYMENT_REQUIRED = "payment-required"
    """Argil asks for payment; nothing was done."""
    RATE_LIMITED = "rate-limited"
    """Argil limits the requests; nothing was done."""
    VIDEO_CREATE_REMOVED = "video-create-removed"
    """Argil creates no avatars from videos any more; nothing was done."""
    NO_SUCH_PATH = "no-such-path"
    """ARGIL_API_URL is not the address of Argil's API; nothing was done."""
    REDIRECTED = "redirected"
    """The host redirects the unprocessed request; nothing was done, and the redirect is not followed."""
    UNANSWERED = "unanswered"
    """The request failed while it was processed. It is looked up, then submitted again."""
    UNINTELLIGIBLE = "unintelligible"
    """It is looked up. If there is none, the provisioning waits in ACCEPTED with the words of the response."""
    AVATAR = "avatar"
    """The current state of the avatar."""
    AVATAR_LIST = "avatar-list"
    """Avatars of the account. An avatar that is missing may exist."""
    NOT_FOUND = "not-found"
    """Argil has no avatar with this id now."""
    POLL_FAILED = "poll-failed"
    """Nothing is known about the avatar; the next poll decides."""


@dataclass(frozen=True)
class SentRequest:
    """What a response is compared with."""

    operation: Operation
    avatar_id: str | None = None
    submission_id: str | None = None
    """The correlation key: the one that is submitted, or the recorded one of a GET; None if there is none."""
    name: str | None = None
    is_video: bool = False
    """Whether it is a create request with videos."""


@dataclass(frozen=True)
class Body:
    """A condition on the content type, the body and the headers of a response, with its text in the docs."""

    text: str
    holds: Callable[[SentRequest, ArgilResponse], bool]


@dataclass(frozen=True)
class Rule:
    """One row of the table: the responses of an operation that have one meaning."""

    operation: Operation
    statuses: str
    """A list such as "408, 5xx", or "any"."""
    body: Body
    meaning: Meaning

    def applies(self, sent: SentRequest, response: ArgilResponse) -> bool:
        """Whether the response to a request belongs to this row."""
        status = str(response.status)
        has_status = any(part in {"any", status, f"{status[0]}xx"} for part in self.statuses.split(", "))
        return self.operation is sent.operation and has_status and self.body.holds(sent, response)


_OPERATIONAL_CODES = frozenset({401, 402, 403, 429})
LIST_PROPERTIES = ("avatars", "data", "items", "results")
"""The properties of an envelope object that may hold the list of avatars."""


def _has_own_key(sent: SentRequest, response: ArgilResponse) -> bool:
    return sent.submission_id is not None and response.submission_id == sent.submission_id


def _is_own_avatar(sent: SentRequest, response: ArgilResponse) -> bool:
    avatar = response.avatar
    if avatar is None:
        return False
    if _has_own_key(sent, response):
        return True
    if sent.submission_id is not None and response.fields.get("extras") is not None:
        return False  # Argil returns extras unchanged, so this is the avatar of another request
    # The documented statuses only: gateways answer {"id": "req-7", "status": "error"}, too.
    return avatar.status in DOCUMENTED_STATUSES and not response.is_argil_error and avatar.name in {None, sent.name}


def _is_error_without_id(_: SentRequest, response: ArgilResponse) -> bool:
    is_success_code = HTTPStatus.OK <= (response.error_code or 0) < HTTPStatus.MULTIPLE_CHOICES
    return response.is_argil_error and not is_success_code and response.fields.get("id") is None


def _is_requested_avatar(sent: SentRequest, response: ArgilResponse) -> bool:
    avatar = response.avatar
    if avatar is None or avatar.status == UNKNOWN_STATUS or response.is_argil_error:
        return False
    has_own_key = sent.submission_id is None or response.raw_submission_id in (None, sent.submission_id)
    return avatar.id == sent.avatar_id and has_own_key


_ANY = Body("any", lambda _, response: True)  # noqa: ARG005  # the signature of Body.holds
_NO_PAGE = Body("no page", lambda _, response: not response.is_page)
_EMPTY_OR_OBJECT = Body(
    "empty, or a JSON object", lambda _, response: response.is_empty or isinstance(response.json, dict)
)
_ERROR = Body("JSON error", lambda _, response: response.is_argil_error)
_EMPTY_OR_ERROR = Body("empty, or JSON error", lambda _, response: response.is_empty or response.is_argil_error)
_WITH_RETRY_AFTER = Body(
    "no page, and the header Retry-After",
    lambda _, response: not response.is_page and "retry-after" in response.headers,
)
_OWN_AVATAR = Body(
    "an id and our submission id; or an id and a documented status, without extras and without another name",
    _is_own_avatar,
)
_OPERATIONAL_ERROR = Body(
    "JSON error without an id, with code 401, 402, 403 or 429",
    lambda sent, response: _is_error_without_id(sent, response) and response.error_code in _OPERATIONAL_CODES,
)
_VIDEO_CREATE_REMOVED = Body(
    "to a request with videos: JSON error without an id that names `datasetImage`, demands `type` IMAGE, or "
    "says that it is deprecated or removed",
    lambda sent, response: (
        sent.is_video
        and _is_error_without_id(sent, response)
        and says_video_create_is_removed(response.fields["message"], name=sent.name)
    ),
)
_ERROR_WITHOUT_ID = Body("JSON error without an id, with another code than 2xx", _is_error_without_id)
_OWN_KEY = Body("our submission id, without a usable id", _has_own_key)
_OWN_KEY_AND_ID = Body(
    "our submission id, and an id",
    lambda sent, response: _has_own_key(sent, response) and response.fields.get("id") is not None,
)
_REQUESTED_AVATAR = Body("the requested id and a status, without another submission id", _is_requested_avatar)
_LIST_BODY = Body(
    "a JSON list, or an object that holds one", lambda _, response: list_items(response.json) is not None
)

_CREATE, _GET, _LIST = Operation
RULES = (
    Rule(_CREATE, "2xx", _OWN_AVATAR, Meaning.CREATED),
    Rule(_CREATE, "2xx", _OPERATIONAL_ERROR, Meaning.UNINTELLIGIBLE),
    Rule(_CREATE, "2xx", _ERROR_WITHOUT_ID, Meaning.REJECTED_IF_ABSENT),
    Rule(_CREATE, "2xx", _OWN_KEY, Meaning.CREATED_WITHOUT_ID),
    Rule(_CREATE, "400, 404, 410, 422", _VIDEO_CREATE_REMOVED, Meaning.VIDEO_CREATE_REMOVED),
    Rule(_CREATE, "404, 405, 410", _ANY, Meaning.NO_SUCH_PATH),
    Rule(_CREATE, "any", _OWN_KEY_AND_ID, Meaning.CREATED_WITHOUT_ID),
    Rule(_CREATE, "400, 413, 422", _ERROR, Meaning.REJECTED),
    Rule(_CREATE, "401", _ANY, Meaning.UNAUTHORIZED),
    Rule(_CREATE, "403", _EMPTY_OR_OBJECT, Meaning.UNAUTHORIZED),
    Rule(_CREATE, "402", _NO_PAGE, Meaning.PAYMENT_REQUIRED),
    Rule(_CREATE, "429", _ANY, Meaning.RATE_LIMITED),
    Rule(_CREATE, "503", _WITH_RETRY_AFTER, Meaning.RATE_LIMITED),
    # These redirect an unprocessed request. A 302 or 303 may also follow a request that Argil has processed.
    Rule(_CREATE, "301, 307, 308", _ANY, Meaning.REDIRECTED),
    Rule(_CREATE, "408, 5xx", _EMPTY_OR_ERROR, Meaning.UNANSWERED),
    Rule(_CREATE, "any", _ANY, Meaning.UNINTELLIGIBLE),
    Rule(_GET, "2xx", _REQUESTED_AVATAR, Meaning.AVATAR),
    Rule(_GET, "404", _ERROR, Meaning.NOT_FOUND),
    Rule(_GET, "401", _ANY, Meaning.UNAUTHORIZED),
    Rule(_GET, "403", _EMPTY_OR_OBJECT, Meaning.UNAUTHORIZED),
    Rule(_GET, "any", _ANY, Meaning.POLL_FAILED),
    Rule(_LIST, "2xx", _LIST_BODY, Meaning.AVATAR_LIST),
    Rule(_LIST, "401", _ANY, Meaning.UNAUTHORIZED),
    Rule(_LIST, "403", _EMPTY_OR_OBJECT, Meaning.UNAUTHORIZED),
    Rule(_LIST, "any", _ANY, Meaning.POLL_FAILED),
)
"""The first row that applies decides. The last row of each operation always applies."""


def meaning_of(sent: SentRequest, response: ArgilResponse) -> Meaning:
    """Return the meaning of the response to a request."""
    return next(rule.meaning for rule in RULES if rule.applies(sent, response))


def list_items(body: object) -> Sequence[object] | None:
    """Return the list in a decoded body or in its envelope object, None if there is none."""
    if isinstance(body, dict):
        body = next((body[name] for name in LIST_PROPERTIES if isinstance(body.get(name), list)), None)
    return body if isinstance(body, list | JsonArray) else None
