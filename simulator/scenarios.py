"""The scenarios: named faults that a caller selects per request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus

from simulator import responses
from simulator.responses import Body, Form
from simulator.validation import InvalidCreateRequest

SCENARIO_EXTRA = "simulator"
"""The key in the `extras` of POST /avatars whose value lists the scenarios, separated by commas."""

NOT_TRAINED = "NOT_TRAINED"
TRAINING = "TRAINING"
IDLE = "IDLE"
TRAINING_FAILED = "TRAINING_FAILED"
REFUSED = "REFUSED"

Stages = tuple[tuple[float, str], ...]
"""Statuses in order, each with the fraction of the training time after which it begins."""
_INITIAL_STAGES: Stages = ((0.0, NOT_TRAINED), (0.1, TRAINING))
_INITIAL_STAGES_OF_IMAGE: Stages = ((0.0, TRAINING),)


@dataclass(frozen=True, slots=True)
class Timing:
    """The durations of the simulated operations, in seconds."""

    training_seconds: float = 1.0
    image_training_seconds: float = 0.3
    """Of an avatar from an image, which Argil says is typically ready within 30 seconds."""
    slow_seconds: float = 3.0
    list_lag_seconds: float = 2.0
    get_lag_seconds: float = 1.0
    retry_after_seconds: float = 1.0
    """Sent as whole seconds, rounded up, because Retry-After has no fractions."""


@dataclass(frozen=True, slots=True)
class CreateResponse:
    """The response to one POST /avatars."""

    status: int | None
    """None: the connection is dropped without a response."""
    creates_avatar: bool = False
    first_n: int | None = None
    """Applies only to this many first POSTs of a request; None: to every POST."""
    retry_after: bool = False
    delayed: bool = False
    form: Form | None = None
    """Builds the response; None for the avatar or an error in the documented format."""
    echoes_request: bool = False
    """The error message repeats the request including its headers."""


CREATED = CreateResponse(HTTPStatus.CREATED, creates_avatar=True)

HidePredicate = Callable[[float, Timing], bool]
"""Returns whether an avatar of this age in seconds is hidden."""


class VoiceFault(Enum):
    """What is wrong with the voice of an avatar, or with the `voiceId` of its webhook."""

    NOT_DELIVERED = auto()
    UNKNOWN = auto()
    OF_ANOTHER = auto()
    OLDER = auto()
    NONE_CREATED = auto()


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of fault. A field that is None does not change the normal behaviour."""

    name: str
    description: str
    create_response: CreateResponse | None = None
    initial_stages: Stages | None = None
    final_status: str | None = None
    first_training_only: bool = False
    """Whether `final_status` is that of the first avatar with a name only."""
    get_hides: HidePredicate | None = None
    list_hides: HidePredicate | None = None
    list_headers: tuple[tuple[str, str], ...] = ()
    """Sent with the list while it omits the avatar."""
    early_body: Callable[[Body], Body] | None = None
    """Changes the body of the avatar until `list_lag_seconds` after its create."""
    poll_form: tuple[int, Form] | None = None
    """The status and form of every second GET; None if GETs do not fail."""
    voice_fault: VoiceFault | None = None


VIDEO_CREATE_REMOVED = CreateResponse(HTTPStatus.GONE, form=responses.video_create_removed)


def _vanished(age_seconds: float, timing: Timing) -> bool:
    return age_seconds >= timing.training_seconds / 2


def _hidden_at_first(age_seconds: float, timing: Timing) -> bool:
    return age_seconds < timing.get_lag_seconds


def _lagging(age_seconds: float, timing: Timing) -> bool:
    return age_seconds < timing.list_lag_seconds


def _created(form: Form, status: int = HTTPStatus.CREATED) -> CreateResponse:
    return CreateResponse(status, creates_avatar=True, first_n=1, form=form)


def _not_created(form: Form, status: int) -> CreateResponse:
    return CreateResponse(status, first_n=1, form=form)


RESPONSE_SCENARIOS = (
    Scenario(
        "gateway-page",
        "the first POST gets a gateway's page with 502 and nothing is created",
        _not_created(responses.gateway_page, HTTPStatus.BAD_GATEWAY),
    ),
    Scenario(
        "gateway-page-after-create",
        "the first POST creates an avatar and gets a gateway's page with 504",
        _created(responses.gateway_page, HTTPStatus.GATEWAY_TIMEOUT),
    ),
    Scenario(
        "cache-page-after-create",
        "the first POST creates an avatar and gets a cache's page with 503 and Retry-After",
        _created(responses.gateway_page_with_retry_after, HTTPStatus.SERVICE_UNAVAILABLE),
    ),
    Scenario(
        "too-large-page",
        "the first POST gets a gateway's page with 413",
        _not_created(responses.gateway_page, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    ),
    Scenario(
        "no-path",
        "the first POST gets a gateway's page with 404",
        _not_created(responses.gateway_page, HTTPStatus.NOT_FOUND),
    ),
    Scenario(
        "challenge",
        "the first POST gets a challenge page with 403",
        _not_created(responses.challenge_page, HTTPStatus.FORBIDDEN),
    ),
    Scenario(
        "challenge-success",
        "the first POST gets a challenge page with 200",
        _not_created(responses.challenge_page, HTTPStatus.OK),
    ),
    Scenario(
        "redirect",
        "the first POST gets 307 to another host",
        _not_created(responses.redirect, HTTPStatus.TEMPORARY_REDIRECT),
    ),
    Scenario(
        "error-in-success",
        "every POST gets 200 with an error in the documented format",
        CreateResponse(HTTPStatus.OK, form=responses.error_in_success),
    ),
    Scenario(
        "error-in-success-after-create",
        "the first POST creates an avatar and gets 200 with an error",
        _created(responses.error_in_success, HTTPStatus.OK),
    ),
    Scenario(
        "empty-success",
        "the first POST creates an avatar and gets 202 without a body",
        _created(responses.empty, HTTPStatus.ACCEPTED),
    ),
    Scenario("truncated", "the first POST creates an avatar and gets half a body", _created(responses.truncated)),
    Scenario(
        "damaged-gzip", "the first POST creates an avatar and gets a damaged body", _created(responses.damaged_gzip)
    ),
    Scenario("utf-16", "the first POST creates an avatar and gets UTF-16", _created(responses.utf16)),
    Scenario("not-finite", "the first POST creates an avatar and gets NaN", _created(responses.not_finite)),
    Scenario("repeated-key", "the first POST creates an avatar and gets two ids", _created(responses.repeated_key)),
    Scenario(
        "other-avatar",
        "the first POST creates an avatar and gets that of another request",
        _created(responses.other_avatar),
    ),
    Scenario("null-status", "shortly after the create, the status is null", early_body=responses.null_status),
    Scenario("numeric-id", "shortly after the create, the id is a number", early_body=responses.numeric_id),
    Scenario(
        "paged-list",
        "shortly after the create, the list has paging headers and omits the avatar",
        list_hides=_lagging,
        list_headers=(("x-total-count", "1000"), ("link", '</v1/avatars?page=2>; rel="next"')),
    ),
    Scenario(
        "other-polls",
        "every second GET answers with another avatar, which is ready",
        poll_form=(HTTPStatus.OK, responses.other_avatar),
    ),
    Scenario(
        "gateway-polls",
        "every second GET gets a gateway's page with 404",
        poll_form=(HTTPStatus.NOT_FOUND, responses.gateway_page),
    ),
)
"""Faults in the form of a response, and responses that are not Argil's."""

VOICE_SCENARIOS = (
    Scenario("voice-not-delivered", "the webhook names no voice", voice_fault=VoiceFault.NOT_DELIVERED),
    Scenario("voice-unknown", "the webhook names a voice that does not exist", voice_fault=VoiceFault.UNKNOWN),
    Scenario(
        "voice-of-another", "the webhook names the voice of another avatar", voice_fault=VoiceFault.OF_ANOTHER
    ),
    Scenario("voice-older", "the voice is older than the avatar", voice_fault=VoiceFault.OLDER),
    Scenario("voice-none", "no voice is created", voice_fault=VoiceFault.NONE_CREATED),
)
"""Faults of voices; the avatar itself becomes IDLE."""

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("fail", "the training ends in TRAINING_FAILED", final_status=TRAINING_FAILED),
        Scenario("refuse", "the training ends in REFUSED", final_status=REFUSED),
        Scenario(
            "fail-once",
            "the first training with a name ends in TRAINING_FAILED, a later one succeeds",
            final_status=TRAINING_FAILED,
            first_training_only=True,
        ),
        Scenario(
            "refuse-once",
            "the first training with a name ends in REFUSED, a later one succeeds",
            final_status=REFUSED,
            first_training_only=True,
        ),
        Scenario("never", "the training never ends", final_status=TRAINING),
        Scenario(
            "unknown-status",
            "the status is undocumented until the training ends",
            initial_stages=((0.0, "QUEUED_FOR_REVIEW"),),
        ),
        Scenario(
            "rate-limited",
            "the first two POSTs get 429 with Retry-After",
            CreateResponse(HTTPStatus.TOO_MANY_REQUESTS, first_n=2, retry_after=True),
        ),
        Scenario(
            "unavailable",
            "the first two POSTs get 503 with Retry-After",
            CreateResponse(HTTPStatus.SERVICE_UNAVAILABLE, first_n=2, retry_after=True),
        ),
        Scenario(
            "unavailable-bare",
            "the first two POSTs get 503 without Retry-After",
            CreateResponse(HTTPStatus.SERVICE_UNAVAILABLE, first_n=2),
        ),
        Scenario("invalid", "every POST gets 422", CreateResponse(HTTPStatus.UNPROCESSABLE_ENTITY)),
        Scenario(
            "echo",
            "every POST gets 400 with a message that repeats its body and headers, including the key",
            CreateResponse(HTTPStatus.BAD_REQUEST, echoes_request=True),
        ),
        Scenario("payment-required", "every POST gets 402", CreateResponse(HTTPStatus.PAYMENT_REQUIRED)),
        Scenario(
            "error-after-create",
            "every POST creates an avatar and gets 500",
            CreateResponse(HTTPStatus.INTERNAL_SERVER_ERROR, creates_avatar=True),
        ),
        Scenario(
            "cut-after-create",
            "the first POST creates an avatar and its connection is dropped",
            CreateResponse(None, creates_avatar=True, first_n=1),
        ),
        Scenario(
            "cut-before-create",
            "the connection of the first POST is dropped and nothing is created",
            CreateResponse(None, first_n=1),
        ),
        Scenario(
            "slow",
            "every POST creates an avatar and gets a delayed response",
            CreateResponse(HTTPStatus.CREATED, creates_avatar=True, delayed=True),
        ),
        Scenario(
            "garbled",
            "every POST creates an avatar and gets 201 with a body that is not JSON",
            CreateResponse(HTTPStatus.CREATED, creates_avatar=True, form=responses.not_json),
        ),
        Scenario(
            "vanish",
            "after half the training time GET answers 404 and the list omits the avatar",
            get_hides=_vanished,
            list_hides=_vanished,
        ),
        Scenario("late-get", "shortly after the create, GET answers 404", get_hides=_hidden_at_first),
        Scenario("list-lag", "shortly after the create, the list omits the avatar", list_hides=_lagging),
        Scenario(
            "flaky-polls",
            "every second GET answers 500",
            poll_form=(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                lambda status, _: responses.error(status, "simulated failure"),
            ),
        ),
        *RESPONSE_SCENARIOS,
        *VOICE_SCENARIOS,
    )
}


def parse_scenarios(names: str) -> tuple[Scenario, ...]:
    """Return the scenarios in a list such as "unavailable,refuse".

    If two scenarios conflict, the first one applies. Two that apply only to the first POSTs apply one after the
    other.

    Raises:
        InvalidCreateRequest: A name is unknown.
    """
    scenarios = []
    for name in filter(None, map(str.strip, names.split(","))):
        if name not in SCENARIOS:
            raise InvalidCreateRequest(f"unknown scenario {name!r}; known are: {', '.join(SCENARIOS)}")
        scenarios.append(SCENARIOS[name])
    return tuple(scenarios)


def status_stages(scenarios: tuple[Scenario, ...], *, is_image: bool = False) -> Stages:
    """Return the statuses of an avatar with these scenarios, in order."""
    normal = _INITIAL_STAGES_OF_IMAGE if is_image else _INITIAL_STAGES
    initial = next((scenario.initial_stages for scenario in scenarios if scenario.initial_stages), normal)
    final = next((scenario.final_status for scenario in scenarios if scenario.final_status), IDLE)
    return (*initial, (1.0, final))
