"""The simulated Argil API as an ASGI app: routes, authentication and responses."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from simulator.account import SimulatedAccount
from simulator.connection_drop import DropConnection, wait_for_disconnect
from simulator.responses import AsciiJSONResponse, error
from simulator.scenarios import SCENARIO_EXTRA, CreateResponse, parse_scenarios
from simulator.validation import InvalidCreateRequest, parse_json, validate_create
from simulator.voice_endpoints import VoiceEndpoints
from simulator.webhook_sender import deliver_webhooks

FILTERS = {
    "visibility": ("private", "public"),
    "orientation": ("ASPECT_RATIO_16_9", "ASPECT_RATIO_9_16"),
    "model": ("ARGIL_V1", "ARGIL_ATOM"),
}

Endpoint = Callable[[Request], Awaitable[Response]]


def create_app(account: SimulatedAccount, *, api_key: str) -> Starlette:
    """Return the ASGI app that serves an account.

    The API is under /v1 and requires the key. The routes under /_simulator do not.
    """
    api = _Api(account)
    voices = VoiceEndpoints(account)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with deliver_webhooks(account):
            yield

    def authenticated_route(method: str, path: str, endpoint: Endpoint) -> Route:
        async def guard(request: Request) -> Response:
            account.count_request(f"{method} {path}")
            if request.headers.get("x-api-key") != api_key:
                return error(HTTPStatus.UNAUTHORIZED, "the header x-api-key is missing or wrong")
            return await endpoint(request)

        return Route(path, guard, methods=[method])

    return Starlette(
        routes=[
            Mount(
                "/v1",
                routes=[
                    authenticated_route("POST", "/avatars", api.create),
                    authenticated_route("GET", "/avatars", api.list_all),
                    authenticated_route("GET", "/avatars/{id}", api.get),
                    authenticated_route("POST", "/voices", voices.clone),
                    authenticated_route("GET", "/voices", voices.list_all),
                    authenticated_route("GET", "/voices/{id}", voices.get),
                    authenticated_route("POST", "/webhooks", api.add_webhook),
                    authenticated_route("GET", "/webhooks", api.list_webhooks),
                    authenticated_route("PUT", "/webhooks/{id}", api.change_webhook),
                    authenticated_route("DELETE", "/webhooks/{id}", api.remove_webhook),
                ],
            ),
            Route("/_simulator/requests", api.list_requests),
            Route("/_simulator/avatars", api.all_avatars),
            Route("/_simulator/video-create", api.switch_video_create, methods=["PUT"]),
        ],
        exception_handlers={HTTPException: _http_error, InvalidCreateRequest: _invalid},
        lifespan=lifespan,
    )


class _Api:
    """The endpoints: each translates between HTTP and the account."""

    def __init__(self, account: SimulatedAccount) -> None:
        self._account = account

    async def create(self, request: Request) -> Response:
        """POST /avatars."""
        account = self._account
        raw = await request.body()
        body = raw.decode(errors="replace")
        try:
            body = parse_json(raw)
            args = validate_create(body)
            scenarios = parse_scenarios(args.extras.get(SCENARIO_EXTRA, ""))
        except InvalidCreateRequest as invalid:
            account.record_post(body, HTTPStatus.BAD_REQUEST)
            return error(HTTPStatus.BAD_REQUEST, str(invalid))
        planned = account.next_response(args, scenarios)
        avatar = account.create(args, scenarios) if planned.creates_avatar else None
        account.record_post(body, planned.status)
        if planned.delayed:
            # Stop waiting if the caller disconnects.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wait_for_disconnect(request.receive), account.timing.slow_seconds)
        if planned.echoes_request:
            message = f"cannot accept {raw.decode()} with {dict(request.headers)}"
            return error(planned.status or HTTPStatus.BAD_REQUEST, message)
        return _response_for(planned, avatar, account.timing.retry_after_seconds)

    async def get(self, request: Request) -> Response:
        """GET /avatars/{id}."""
        avatar_id = request.path_params["id"]
        failing = self._account.next_poll_form(avatar_id)
        avatar = self._account.get(avatar_id)
        if failing is not None:
            status, form = failing
            return form(status, avatar or {})
        if avatar is None:
            return error(HTTPStatus.NOT_FOUND, "no such avatar")
        return AsciiJSONResponse(avatar)

    async def list_all(self, request: Request) -> Response:
        """GET /avatars."""
        filters = {name: request.query_params[name] for name in FILTERS if name in request.query_params}
        for name, value in filters.items():
            if value not in FILTERS[name]:
                return error(HTTPStatus.BAD_REQUEST, f"{name} must be one of {', '.join(FILTERS[name])}")
        if filters.pop("visibility", "private") == "public":
            return AsciiJSONResponse([])
        avatars = [avatar for avatar in self._account.list_avatars() if _matches(avatar, filters)]
        return AsciiJSONResponse(avatars, headers=self._account.list_headers())

    async def add_webhook(self, request: Request) -> Response:
        """POST /webhooks."""
        return AsciiJSONResponse(self._account.webhooks.add(parse_json(await request.body())), HTTPStatus.CREATED)

    async def list_webhooks(self, _request: Request) -> Response:
        """GET /webhooks."""
        return AsciiJSONResponse(self._account.webhooks.all())

    async def change_webhook(self, request: Request) -> Response:
        """PUT /webhooks/{id}."""
        changed = self._account.webhooks.change(request.path_params["id"], parse_json(await request.body()))
        return error(HTTPStatus.NOT_FOUND, "no such webhook") if changed is None else AsciiJSONResponse(changed)

    async def remove_webhook(self, request: Request) -> Response:
        """DELETE /webhooks/{id}."""
        if not self._account.webhooks.remove(request.path_params["id"]):
            return error(HTTPStatus.NOT_FOUND, "no such webhook")
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def list_requests(self, _request: Request) -> Response:
        """GET /_simulator/requests."""
        return AsciiJSONResponse(self._account.requests())

    async def switch_video_create(self, request: Request) -> Response:
        """PUT /_simulator/video-create with `true` or `false`."""
        self._account.creates_from_videos = parse_json(await request.body()) is True
        return AsciiJSONResponse(self._account.creates_from_videos)

    async def all_avatars(self, _request: Request) -> Response:
        """GET /_simulator/avatars."""
        return AsciiJSONResponse(self._account.avatars)


def _matches(avatar: dict[str, Any], filters: dict[str, str]) -> bool:
    return all(avatar.get(name) == value for name, value in filters.items())


def _response_for(planned: CreateResponse, avatar: dict[str, Any] | None, retry_after_seconds: float) -> Response:
    if planned.status is None:
        return DropConnection()
    if planned.form is not None:
        return planned.form(planned.status, avatar or {})
    if planned.status == HTTPStatus.CREATED:
        return AsciiJSONResponse(avatar, planned.status)
    headers = {"retry-after": str(math.ceil(retry_after_seconds))} if planned.retry_after else None
    return error(planned.status, "simulated failure", headers)


async def _http_error(_request: Request, exc: Any) -> Response:
    # Starlette types handlers for any exception, although this one is called for HTTPException only.
    return error(exc.status_code, exc.detail)


async def _invalid(_request: Request, exc: Any) -> Response:
    return error(HTTPStatus.BAD_REQUEST, str(exc))
