"""The endpoints of voices: each translates between HTTP and the account."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from simulator.account import SimulatedAccount
from simulator.connection_drop import DropConnection
from simulator.responses import AsciiJSONResponse, error
from simulator.validation import parse_json


class VoiceEndpoints:
    """GET /voices, GET /voices/{id} and POST /voices."""

    def __init__(self, account: SimulatedAccount) -> None:
        self._account = account

    async def list_all(self, _request: Request) -> Response:
        """GET /voices."""
        voices = self._account.voices
        await asyncio.sleep(voices.list_delay_seconds)
        if voices.list_status != HTTPStatus.OK:
            return error(voices.list_status, "simulated failure")
        return AsciiJSONResponse(self._account.list_voices())

    async def get(self, request: Request) -> Response:
        """GET /voices/{id}."""
        status = self._account.voices.get_status
        if status != HTTPStatus.OK:
            return error(status, "simulated failure")
        voice_id = request.path_params["id"]
        voice = next((voice for voice in self._account.list_voices() if voice["id"] == voice_id), None)
        return error(HTTPStatus.NOT_FOUND, "no such voice") if voice is None else AsciiJSONResponse(voice)

    async def clone(self, request: Request) -> Response:
        """POST /voices: clone a voice from an audio file."""
        account = self._account
        body = parse_json(await request.body())
        planned = account.voices.next_clone_response()
        voice = account.voices.add_clone(body, account.now(), creates=planned.creates_avatar, status=planned.status)
        if planned.status is None:
            return DropConnection()
        if planned.form is not None:
            return planned.form(planned.status, voice or {})
        if voice is not None and planned.status == HTTPStatus.CREATED:
            return AsciiJSONResponse(voice, planned.status)
        return error(planned.status, "simulated failure")
