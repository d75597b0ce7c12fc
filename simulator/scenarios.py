"""The scenarios: named faults that a caller selects per request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

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


@dataclass(frozen=True, slots=True)
class Timing:
    """The durations of the simulated operations, in seconds."""

    training_seconds: float = 1.0
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
    invalid_json: bool = False
    echoes_request: bool = False
    """The error message repeats the request including its headers."""


CREATED = CreateResponse(HTTPStatus.CREATED, creates_avatar=True)

HidePredicate = Callable[[float, Timing], bool]
"""Returns whether an avatar of this age in seconds is hidden."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of fault. A field that is None does not change the normal behaviour."""

    name: str
    description: str
    create_response: CreateResponse | None = None
    initial_stages: Stages | None = None
    final_status: str | None = None
    get_hides: HidePredicate | None = None
    list_hides: HidePredicate | None = None
    flaky: bool = False


def _vanished(age_seconds: float, timing: Timing) -> bool:
    return age_seconds >= timing.training_seconds / 2


def _hidden_at_first(age_seconds: float, timing: Timing) -> bool:
    return age_seconds < timing.get_lag_seconds


def _lagging(age_seconds: float, timing: Timing) -> bool:
    return age_seconds < timing.list_lag_seconds


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("fail", "the training ends in TRAINING_FAILED", final_status=TRAINING_FAILED),
        Scenario("refuse", "the training ends in REFUSED", final_status=REFUSED),
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
            CreateResponse(HTTPStatus.CREATED, creates_avatar=True, invalid_json=True),
        ),
        Scenario(
            "vanish",
            "after half the training time GET answers 404 and the list omits the avatar",
            get_hides=_vanished,
            list_hides=_vanished,
        ),
        Scenario("late-get", "shortly after the create, GET answers 404", get_hides=_hidden_at_first),
        Scenario("list-lag", "shortly after the create, the list omits the avatar", list_hides=_lagging),
        Scenario("flaky-polls", "every second GET answers 500", flaky=True),
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


def status_stages(scenarios: tuple[Scenario, ...]) -> Stages:
    """Return the statuses of an avatar with these scenarios, in order."""
    initial = next((scenario.initial_stages for scenario in scenarios if scenario.initial_stages), _INITIAL_STAGES)
    final = next((scenario.final_status for scenario in scenarios if scenario.final_status), IDLE)
    return (*initial, (1.0, final))
