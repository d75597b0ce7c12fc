"""The simulated Argil API as an ASGI app: routes, key, answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from simulator.cutting import Cut, disconnected
from simulator.deliveries import delivering
from simulator.scenarios import CHOSEN_BY, Reaction, chosen
from simulator.validation import Invalid, checked, decoded
from simulator.world import World

FILTERS = {
    "visibility": ("private", "public"),
    "orientation": ("ASPECT_RATIO_16_9", "ASPECT_RATIO_9_16"),
    "model": ("ARGIL_V1", "ARGIL_ATOM"),
}

Endpoint = Callable[[Request], Awaitable[Response]]


class Json(JSONResponse):
    """JSON in ASCII: a lone surrogate, which a JSON string may hold, has no UTF-8."""

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return json.dumps(content, separators=(",", ":")).encode("ascii")


def error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """Return an answer in the document's error shape. The document tells of no codes: the status is one."""
    return Json({"code": int(status), "message": message}, status, headers)


def create_app(world: World, *, api_key: str) -> Starlette:
    """Return the app that serves `world`: the API under /v1 for who knows the key, /_simulator for anyone."""
    api = _Api(world)

    @contextlib.asynccontextmanager
    async def alive(_app: Starlette) -> AsyncIterator[None]:
        async with delivering(world):
            yield

    def keyed(method: str, path: str, endpoint: Endpoint) -> Route:
        async def guard(request: Request) -> Response:
            world.count_request(f"{method} {path}")
            if request.headers.get("x-api-key") != api_key:
                return error(HTTPStatus.UNAUTHORIZED, "the header x-api-key is missing or wrong")
            return await endpoint(request)

        return Route(path, guard, methods=[method])

    return Starlette(
        routes=[
            Mount(
                "/v1",
                routes=[
                    keyed("POST", "/avatars", api.create),
                    keyed("GET", "/avatars", api.list_all),
                    keyed("GET", "/avatars/{id}", api.get),
                    keyed("POST", "/webhooks", api.add_webhook),
                    keyed("GET", "/webhooks", api.list_webhooks),
                    keyed("PUT", "/webhooks/{id}", api.change_webhook),
                    keyed("DELETE", "/webhooks/{id}", api.remove_webhook),
                ],
            ),
            Route("/_simulator/requests", api.seen_requests),
            Route("/_simulator/avatars", api.all_avatars),
        ],
        exception_handlers={HTTPException: _http_error, Invalid: _invalid},
        lifespan=alive,
    )


class _Api:
    """The endpoints: each turns a request into a question to the world, and what it says into an answer."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def create(self, request: Request) -> Response:
        """POST /avatars."""
        world = self._world
        raw = await request.body()
        body = raw.decode(errors="replace")
        try:
            body = decoded(raw)
            args = checked(body)
            scenarios = chosen(args.extras.get(CHOSEN_BY, ""))
        except Invalid as wrong:
            world.record_post(body, HTTPStatus.BAD_REQUEST)
            return error(HTTPStatus.BAD_REQUEST, str(wrong))
        reaction = world.reaction(args, scenarios)
        avatar = world.create(args, scenarios) if reaction.creates else None
        world.record_post(body, reaction.status)
        if reaction.slow:
            # Nobody waits for a caller who has hung up.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(disconnected(request.receive), world.timing.slow_seconds)
        if reaction.echoes:
            said = f"cannot take {raw.decode()} with {dict(request.headers)}"
            return error(reaction.status or HTTPStatus.BAD_REQUEST, said)
        return _answer(reaction, avatar, world.timing.retry_after_seconds)

    async def get(self, request: Request) -> Response:
        """GET /avatars/{id}."""
        avatar_id = request.path_params["id"]
        if self._world.fails_poll(avatar_id):
            return error(HTTPStatus.INTERNAL_SERVER_ERROR, "simulated failure")
        avatar = self._world.shown(avatar_id)
        if avatar is None:
            return error(HTTPStatus.NOT_FOUND, "no such avatar")
        return Json(avatar)

    async def list_all(self, request: Request) -> Response:
        """GET /avatars."""
        wanted = {name: request.query_params[name] for name in FILTERS if name in request.query_params}
        for name, value in wanted.items():
            if value not in FILTERS[name]:
                return error(HTTPStatus.BAD_REQUEST, f"{name} must be one of {', '.join(FILTERS[name])}")
        if wanted.pop("visibility", "private") == "public":
            return Json([])
        return Json([avatar for avatar in self._world.listed() if _has(avatar, wanted)])

    async def add_webhook(self, request: Request) -> Response:
        """POST /webhooks."""
        return Json(self._world.webhooks.add(decoded(await request.body())), HTTPStatus.CREATED)

    async def list_webhooks(self, _request: Request) -> Response:
        """GET /webhooks."""
        return Json(self._world.webhooks.all())

    async def change_webhook(self, request: Request) -> Response:
        """PUT /webhooks/{id}."""
        changed = self._world.webhooks.change(request.path_params["id"], decoded(await request.body()))
        return error(HTTPStatus.NOT_FOUND, "no such webhook") if changed is None else Json(changed)

    async def remove_webhook(self, request: Request) -> Response:
        """DELETE /webhooks/{id}."""
        if not self._world.webhooks.remove(request.path_params["id"]):
            return error(HTTPStatus.NOT_FOUND, "no such webhook")
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def seen_requests(self, _request: Request) -> Response:
        """GET /_simulator/requests."""
        return Json(self._world.requests())

    async def all_avatars(self, _request: Request) -> Response:
        """GET /_simulator/avatars."""
        return Json(self._world.avatars)


def _has(avatar: dict[str, Any], wanted: dict[str, str]) -> bool:
    return all(avatar.get(name) == value for name, value in wanted.items())


def _answer(reaction: Reaction, avatar: dict[str, Any] | None, retry_after_seconds: float) -> Response:
    if reaction.status is None:
        return Cut()
    if reaction.garbled:
        return Response("<html>Created", reaction.status, media_type="application/json")
    if reaction.status == HTTPStatus.CREATED:
        return Json(avatar, reaction.status)
    headers = {"retry-after": str(math.ceil(retry_after_seconds))} if reaction.retry_after else None
    return error(reaction.status, "simulated failure", headers)


async def _http_error(_request: Request, exc: Any) -> Response:
    # Starlette's type for handlers forgets that this one is called for HTTPException alone.
    return error(exc.status_code, exc.detail)


async def _invalid(_request: Request, exc: Any) -> Response:
    return error(HTTPStatus.BAD_REQUEST, str(exc))
