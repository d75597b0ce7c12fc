"""The faults a caller asks for by name, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from simulator.validation import Invalid

CHOSEN_BY = "simulator"
"""The key in a create request's `extras` whose value names the scenarios, with commas between them."""

NOT_TRAINED = "NOT_TRAINED"
TRAINING = "TRAINING"
IDLE = "IDLE"
TRAINING_FAILED = "TRAINING_FAILED"
REFUSED = "REFUSED"

Stages = tuple[tuple[float, str], ...]
"""Statuses in order, each with the share of the training time after which it begins."""
_EARLY: Stages = ((0.0, NOT_TRAINED), (0.1, TRAINING))


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things take, in seconds."""

    training_seconds: float = 1.0
    slow_seconds: float = 3.0
    list_lag_seconds: float = 2.0
    late_get_seconds: float = 1.0
    retry_after_seconds: float = 1.0
    """Told in whole seconds, rounded up: Retry-After knows no others."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """How one POST is met."""

    status: int | None
    """None: the line is cut without an answer."""
    creates: bool = False
    first: int | None = None
    """Meets only the first so many POSTs of one request; None: every one."""
    retry_after: bool = False
    slow: bool = False
    garbled: bool = False
    echoes: bool = False
    """The message repeats the request, headers and all."""


CREATED = Reaction(HTTPStatus.CREATED, creates=True)

Hides = Callable[[float, Timing], bool]
"""Tells from an avatar's age in seconds whether it is hidden."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of trouble. What it leaves at None goes as on the good path."""

    name: str
    does: str
    reaction: Reaction | None = None
    early: Stages | None = None
    end: str | None = None
    get_hides: Hides | None = None
    list_hides: Hides | None = None
    flaky: bool = False


def _vanished(age_seconds: float, timing: Timing) -> bool:
    return age_seconds >= timing.training_seconds / 2


def _late(age_seconds: float, timing: Timing) -> bool:
    return age_seconds < timing.late_get_seconds


def _lagging(age_seconds: float, timing: Timing) -> bool:
    return age_seconds < timing.list_lag_seconds


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("fail", "the training ends in TRAINING_FAILED", end=TRAINING_FAILED),
        Scenario("refuse", "the training ends in REFUSED", end=REFUSED),
        Scenario("never", "the training never ends", end=TRAINING),
        Scenario(
            "unknown-status",
            "the status is one that no document knows until the training ends",
            early=((0.0, "QUEUED_FOR_REVIEW"),),
        ),
        Scenario(
            "rate-limited",
            "the first two POSTs get 429 with Retry-After",
            Reaction(HTTPStatus.TOO_MANY_REQUESTS, first=2, retry_after=True),
        ),
        Scenario(
            "unavailable",
            "the first two POSTs get 503 with Retry-After",
            Reaction(HTTPStatus.SERVICE_UNAVAILABLE, first=2, retry_after=True),
        ),
        Scenario(
            "unavailable-bare",
            "the first two POSTs get 503 without Retry-After",
            Reaction(HTTPStatus.SERVICE_UNAVAILABLE, first=2),
        ),
        Scenario("invalid", "every POST gets 422", Reaction(HTTPStatus.UNPROCESSABLE_ENTITY)),
        Scenario(
            "echo",
            "every POST gets 400 with a message that repeats its body and headers, key and all",
            Reaction(HTTPStatus.BAD_REQUEST, echoes=True),
        ),
        Scenario("payment-required", "every POST gets 402", Reaction(HTTPStatus.PAYMENT_REQUIRED)),
        Scenario(
            "error-after-create",
            "every POST creates and gets 500",
            Reaction(HTTPStatus.INTERNAL_SERVER_ERROR, creates=True),
        ),
        Scenario(
            "cut-after-create",
            "the first POST creates and its line is cut",
            Reaction(None, creates=True, first=1),
        ),
        Scenario(
            "cut-before-create", "the first POST's line is cut and nothing is created", Reaction(None, first=1)
        ),
        Scenario(
            "slow",
            "every POST creates and is answered late",
            Reaction(HTTPStatus.CREATED, creates=True, slow=True),
        ),
        Scenario(
            "garbled",
            "every POST creates and gets 201 with a body that is not JSON",
            Reaction(HTTPStatus.CREATED, creates=True, garbled=True),
        ),
        Scenario(
            "vanish",
            "half the training time on, GET answers 404 and the list leaves it out",
            get_hides=_vanished,
            list_hides=_vanished,
        ),
        Scenario("late-get", "just after the create, GET answers 404", get_hides=_late),
        Scenario("list-lag", "just after the create, the list leaves it out", list_hides=_lagging),
        Scenario("flaky-polls", "every second GET answers 500", flaky=True),
    )
}


def chosen(names: str) -> tuple[Scenario, ...]:
    """Return the scenarios in a list such as "unavailable,refuse"; none for an empty one.

    Of two that contradict each other the first has its way; two that meet only the first POSTs take turns.
    Raises Invalid for a name that is not known.
    """
    scenarios = []
    for name in filter(None, map(str.strip, names.split(","))):
        if name not in SCENARIOS:
            raise Invalid(f"unknown scenario {name!r}; known are: {', '.join(SCENARIOS)}")
        scenarios.append(SCENARIOS[name])
    return tuple(scenarios)


def stages(scenarios: tuple[Scenario, ...]) -> Stages:
    """Return the statuses that an avatar goes through."""
    early = next((each.early for each in scenarios if each.early), _EARLY)
    end = next((each.end for each in scenarios if each.end), IDLE)
    return (*early, (1.0, end))
