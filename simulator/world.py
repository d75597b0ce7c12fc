"""The state behind the simulated API: its avatars, what was asked of it, and its clock."""

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
from simulator.scenarios import CREATED, Reaction, Scenario, Timing, stages
from simulator.validation import CreateArgs
from simulator.webhooks import Webhooks


@dataclass(frozen=True, slots=True)
class Post:
    """A create request as it came: parsed where it was JSON, else its text."""

    body: Any
    status: int | None
    """What it was answered with; None: its line was cut."""


class World:
    """One simulated Argil account. Any thread may read it while the server works on it.

    Time is `clock`, in seconds from an arbitrary start; wall times run along with it. A create and a look at one
    avatar cost the same however many there are.
    """

    def __init__(self, timing: Timing | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.timing = timing or Timing()
        self._clock = clock
        self._began = clock()
        self._began_at = datetime.now(UTC)
        self._lock = threading.Lock()
        self._avatars: dict[str, Avatar] = {}
        self._in_training: deque[Avatar] = deque()
        self._posts: list[Post] = []
        self._counts: Counter[str] = Counter()
        self._met: Counter[tuple[str, tuple[str, str, str]]] = Counter()
        self._polls: Counter[str] = Counter()
        self.webhooks = Webhooks()

    # What tests and the demo read.

    @property
    def avatars(self) -> list[dict[str, Any]]:
        """Every avatar as it stands now, oldest first, whatever its scenario hides."""
        return [self._body(avatar) for avatar in self._snapshot()]

    @property
    def received(self) -> list[Post]:
        """Every POST /avatars that bore the right key, in order."""
        with self._lock:
            return list(self._posts)

    @property
    def posts(self) -> list[Any]:
        """The bodies of `received`."""
        return [post.body for post in self.received]

    def count(self, route: str) -> int:
        """Return how many requests a route has had, whatever their answer: "POST /avatars", "GET /avatars/{id}"."""
        with self._lock:
            return self._counts[route]

    def requests(self) -> dict[str, Any]:
        """Return all counts and received POSTs as JSON data."""
        with self._lock:
            counts = dict(self._counts)
        posts = [{"body": post.body, "status": post.status} for post in self.received]
        return {"counts": counts, "posts": posts}

    # What the API does.

    def count_request(self, route: str) -> None:
        """Count a request to a route."""
        with self._lock:
            self._counts[route] += 1

    def record_post(self, body: Any, status: int | None) -> None:
        """Keep a POST and how it is met."""
        with self._lock:
            self._posts.append(Post(body, status))

    def reaction(self, args: CreateArgs, scenarios: tuple[Scenario, ...]) -> Reaction:
        """Return how the next POST of this request is met.

        Counted by the request's identity and not by its extras: the same create sent again meets the next step.
        """
        with self._lock:
            for scenario in scenarios:
                reaction = scenario.reaction
                if reaction is None:
                    continue
                if reaction.first is None:
                    return reaction
                step = scenario.name, args.identity
                if self._met[step] < reaction.first:
                    self._met[step] += 1
                    return reaction
        return CREATED

    def create(self, args: CreateArgs, scenarios: tuple[Scenario, ...]) -> dict[str, Any]:
        """Create an avatar and return the body of the answer."""
        born = self._clock()
        avatar = Avatar(
            id=str(uuid.uuid4()),
            args=args,
            scenarios=scenarios,
            stages=stages(scenarios),
            born=born,
            created_at=self._began_at + timedelta(seconds=born - self._began),
        )
        with self._lock:
            self._avatars[avatar.id] = avatar
            self._in_training.append(avatar)
        return avatar.newborn()

    def fails_poll(self, avatar_id: str) -> bool:
        """Tell whether this look at an avatar is one that fails; each call is a look."""
        with self._lock:
            avatar = self._avatars.get(avatar_id)
            if avatar is None or not any(each.flaky for each in avatar.scenarios):
                return False
            self._polls[avatar_id] += 1
            return self._polls[avatar_id] % 2 == 0

    def shown(self, avatar_id: str) -> dict[str, Any] | None:
        """Return what GET /avatars/{id} shows; None where it denies the avatar."""
        with self._lock:
            avatar = self._avatars.get(avatar_id)
        if avatar is None or avatar.get_hides(self._age(avatar), self.timing):
            return None
        return self._body(avatar)

    def listed(self) -> list[dict[str, Any]]:
        """Return what GET /avatars shows, oldest first."""
        return [
            self._body(avatar)
            for avatar in self._snapshot()
            if not avatar.list_hides(self._age(avatar), self.timing)
        ]

    def newly_ended(self) -> list[dict[str, Any]]:
        """Return each avatar whose training time has passed since this was last asked, but for the vanished."""
        ended = []
        with self._lock:
            while self._in_training and self._age(self._in_training[0]) >= self.timing.training_seconds:
                ended.append(self._in_training.popleft())
        return [self._body(avatar) for avatar in ended if not avatar.get_hides(self._age(avatar), self.timing)]

    def _snapshot(self) -> list[Avatar]:
        with self._lock:
            return list(self._avatars.values())

    def _age(self, avatar: Avatar) -> float:
        return self._clock() - avatar.born

    def _body(self, avatar: Avatar) -> dict[str, Any]:
        return avatar.body(self._age(avatar), self.timing)
