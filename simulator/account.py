"""The state of the simulated API: its avatars, the requests it received, and its clock."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from simulator.avatar import Avatar
from simulator.responses import Form
from simulator.scenarios import CREATED, VIDEO_CREATE_REMOVED, CreateResponse, Scenario, Timing, status_stages
from simulator.validation import CreateArgs
from simulator.voices import VoiceBody, Voices, delivered_voice_id
from simulator.webhooks import Webhooks


@dataclass(frozen=True, slots=True)
class ReceivedCreate:
    """A received POST /avatars: the parsed body, or its text if it was not JSON."""

    body: Any
    status: int | None
    """The status of the response; None if the connection was dropped."""


class SimulatedAccount:
    """One simulated Argil account. It is thread-safe: tests can read it while the server runs.

    `clock` returns seconds since an arbitrary start; wall-clock times are derived from it and
    `started_at`. POST and GET of one avatar take constant time, independent of the number of avatars.
    """

    def __init__(
        self,
        timing: Timing | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        started_at: datetime | None = None,
    ) -> None:
        self.timing = timing or Timing()
        self._clock = clock
        self._started_monotonic = clock()
        self._started_at = started_at or datetime.now(UTC)
        self._lock = threading.Lock()
        self._avatars: dict[str, Avatar] = {}
        # By kind, because the trainings of one kind take the same time: the oldest ends first.
        self._in_training: dict[bool, deque[Avatar]] = {False: deque(), True: deque()}
        self._posts: list[ReceivedCreate] = []
        self._counts: Counter[str] = Counter()
        self._scenario_hits: Counter[tuple[str, tuple[str, ...]]] = Counter()
        self._polls: Counter[str] = Counter()
        self._spent: set[tuple[str, str]] = set()
        """Names of scenarios that apply to the first training only, each with the name of the avatar."""
        self.webhooks = Webhooks()
        self.voices = Voices()
        self.creates_from_videos = True
        """Whether POST /avatars accepts videos. Argil announces that it will not; it can be set at any time."""
        self._video_creates_left: int | None = None

    # Inspection by tests and the demo.

    @property
    def avatars(self) -> list[dict[str, Any]]:
        """Every avatar in its current state, oldest first, including those that a scenario hides."""
        return [self._body(avatar) for avatar in self._snapshot()]

    @property
    def received(self) -> list[ReceivedCreate]:
        """Every POST /avatars with a valid key, in order."""
        with self._lock:
            return list(self._posts)

    @property
    def posts(self) -> list[Any]:
        """The bodies of `received`."""
        return [post.body for post in self.received]

    def count(self, route: str) -> int:
        """Return how many requests a route received, for example "GET /avatars/{id}", with any response."""
        with self._lock:
            return self._counts[route]

    def requests(self) -> dict[str, Any]:
        """Return all counts and received POSTs as JSON data."""
        with self._lock:
            counts = dict(self._counts)
        posts = [{"body": post.body, "status": post.status} for post in self.received]
        return {"counts": counts, "posts": posts}

    # Operations of the API.

    def removes_video_create_after(self, count: int) -> None:
        """Accept this many further creates with videos, and then no more."""
        self._video_creates_left = count

    def count_request(self, route: str) -> None:
        """Count a request to a route."""
        with self._lock:
            self._counts[route] += 1

    def record_post(self, body: Any, status: int | None) -> None:
        """Record a POST and the status of its response."""
        with self._lock:
            self._posts.append(ReceivedCreate(body, status))

    def next_response(self, args: CreateArgs, scenarios: tuple[Scenario, ...]) -> CreateResponse:
        """Return the response to the next POST of this request.

        POSTs are counted by the identity of the request, which ignores extras: the same create sent again gets the
        next response of its scenario.
        """
        if not (args.is_image or self.creates_from_videos):
            return VIDEO_CREATE_REMOVED
        with self._lock:
            for scenario in scenarios:
                response = scenario.create_response
                if response is None:
                    continue
                if response.first_n is None:
                    return response
                step = scenario.name, args.identity
                if self._scenario_hits[step] < response.first_n:
                    self._scenario_hits[step] += 1
                    return response
        return CREATED

    def create(self, args: CreateArgs, scenarios: tuple[Scenario, ...]) -> dict[str, Any]:
        """Create an avatar and return the body of the response."""
        created_monotonic = self._clock()
        scenarios = self._without_spent(args.name, scenarios)
        avatar = Avatar(
            id=str(uuid.uuid4()),
            args=args,
            scenarios=scenarios,
            stages=status_stages(scenarios, is_image=args.is_image),
            created_monotonic=created_monotonic,
            created_at=self.now(created_monotonic),
        )
        with self._lock:
            if self._video_creates_left is not None and not args.is_image:
                self._video_creates_left -= 1
                self.creates_from_videos = self._video_creates_left > 0
            self._avatars[avatar.id] = avatar
            self._in_training[args.is_image].append(avatar)
        return avatar.created_body(self.timing)

    def _without_spent(self, name: str, scenarios: tuple[Scenario, ...]) -> tuple[Scenario, ...]:
        """Leave out the scenarios that an earlier avatar with this name had, and that apply only once."""
        with self._lock:
            applied = tuple(
                item for item in scenarios if not (item.first_training_only and (item.name, name) in self._spent)
            )
            self._spent |= {(item.name, name) for item in applied if item.first_training_only}
        return applied

    def now(self, monotonic: float | None = None) -> datetime:
        """Return the wall-clock time of a time of the monotonic clock; None: the current time."""
        passed = (self._clock() if monotonic is None else monotonic) - self._started_monotonic
        return self._started_at + timedelta(seconds=passed)

    def list_voices(self) -> list[VoiceBody]:
        """Return the response body of GET /voices."""
        from_videos = [avatar for avatar in self._snapshot() if not avatar.args.is_image]
        return self.voices.all(from_videos, self._age, self.timing.training_seconds)

    def delivered_voice_id(self, avatar_id: str) -> str | None:
        """Return `voiceId` of the webhook of an avatar, None if it has none."""
        with self._lock:  # no snapshot: thousands of trainings may end at once
            return delivered_voice_id(self._avatars[avatar_id], self._avatars.values())

    def next_poll_form(self, avatar_id: str) -> tuple[int, Form] | None:
        """Return the status and form of a poll that fails, None if it does not. Each call counts as one poll."""
        with self._lock:
            scenarios = self._avatars[avatar_id].scenarios if avatar_id in self._avatars else ()
            form = next((scenario.poll_form for scenario in scenarios if scenario.poll_form), None)
            self._polls[avatar_id] += form is not None
            return form if self._polls[avatar_id] % 2 == 0 else None

    def get(self, avatar_id: str) -> dict[str, Any] | None:
        """Return the response body of GET /avatars/{id}, None if it answers 404."""
        with self._lock:
            avatar = self._avatars.get(avatar_id)
        if avatar is None or avatar.hidden_from_get(self._age(avatar), self.timing):
            return None
        return avatar.shown_body(self._age(avatar), self.timing)

    def list_avatars(self) -> list[dict[str, Any]]:
        """Return the response body of GET /avatars, oldest first."""
        return [
            avatar.shown_body(self._age(avatar), self.timing)
            for avatar in self._snapshot()
            if not avatar.hidden_from_list(self._age(avatar), self.timing)
        ]

    def list_headers(self) -> dict[str, str]:
        """Return the headers that scenarios add to the response of GET /avatars."""
        headers: dict[str, str] = {}
        for avatar in self._snapshot():
            headers |= avatar.list_headers(self._age(avatar), self.timing)
        return headers

    def pop_finished(self) -> list[tuple[dict[str, Any], str | None]]:
        """Return the avatars that finished training since the last call, without the vanished ones.

        Each has the callback URL of its create request, None without one.
        """
        finished = []
        with self._lock:
            for queue in self._in_training.values():
                while queue and self._age(queue[0]) >= queue[0].training_seconds(self.timing):
                    finished.append(queue.popleft())
        return [
            (self._body(avatar), avatar.args.callback_url)
            for avatar in finished
            if not avatar.hidden_from_get(self._age(avatar), self.timing)
        ]

    def _snapshot(self) -> list[Avatar]:
        with self._lock:
            return list(self._avatars.values())

    def _age(self, avatar: Avatar) -> float:
        return self._clock() - avatar.created_monotonic

    def _body(self, avatar: Avatar) -> dict[str, Any]:
        return avatar.body(self._age(avatar), self.timing)
