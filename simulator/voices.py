"""The voices of the simulated account: GET /voices and GET /voices/{id}."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from simulator.account import SimulatedAccount
from simulator.responses import AsciiJSONResponse, error


class VoicesApi:
    """The endpoints of voices."""

    def __init__(self, account: SimulatedAccount) -> None:
        self._account = account

    async def get(self, request: Request) -> Response:
        """GET /voices/{id}."""
        voice = self._account.voices.get(request.path_params["id"])
        return error(HTTPStatus.NOT_FOUND, "no such voice") if voice is None else AsciiJSONResponse(voice)
