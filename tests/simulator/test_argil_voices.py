"""The voices of the simulated account."""

from __future__ import annotations

from http import HTTPStatus

import httpx
import pytest

from simulator.account import SimulatedAccount
from simulator.clock import ManualClock
from simulator.scenarios import CreateResponse
from simulator.server import ArgilSimulator

TRAINING_SECONDS = 100.0


def create(caller: httpx.Client, name: str, scenario: str = "") -> str:
    urls = {"datasetVideo": {"url": "https://h.example/d"}, "consentVideo": {"url": "https://h.example/c"}}
    body = {"name": name, **urls, "extras": {"simulator": scenario, "submission_id": name}}
    avatar_id: str = caller.post("/avatars", json=body).json()["id"]
    return avatar_id


def test_avatar_gets_a_voice_during_its_training(caller: httpx.Client, clock: ManualClock) -> None:
    create(caller, "Ada")
    assert caller.get("/voices").json() == []
    clock.advance(TRAINING_SECONDS / 2)
    (voice,) = caller.get("/voices").json()
    assert set(voice) == {"id", "name", "createdAt", "updatedAt", "status", "sampleUrl", "language", "gender"}
    assert voice["name"] == "Ada"
    assert caller.get(f"/voices/{voice['id']}").json() == voice
    assert caller.get("/voices/other").status_code == 404


@pytest.mark.parametrize(
    ("scenario", "is_delivered", "exists"),
    [
        ("", True, True),
        ("voice-not-delivered", False, False),
        ("voice-none", False, False),
        ("voice-unknown", True, False),
        ("voice-older", True, True),
    ],
)
def test_voice_fault_changes_the_delivery(
    caller: httpx.Client,
    argil: ArgilSimulator,
    clock: ManualClock,
    scenario: str,
    is_delivered: bool,
    exists: bool,
) -> None:
    avatar_id = create(caller, "Ada", scenario)
    clock.advance(TRAINING_SECONDS)
    voice_id = argil.account.delivered_voice_id(avatar_id)
    assert (voice_id is not None) is is_delivered
    assert (caller.get(f"/voices/{voice_id}").status_code == 200) is exists


def test_fault_delivers_the_voice_of_another_avatar(
    caller: httpx.Client, argil: ArgilSimulator, clock: ManualClock
) -> None:
    other = create(caller, "Bob")
    own = create(caller, "Ada", "voice-of-another")
    clock.advance(TRAINING_SECONDS)
    assert argil.account.delivered_voice_id(own) == argil.account.delivered_voice_id(other)


def test_old_voice_is_older_than_its_avatar(caller: httpx.Client, clock: ManualClock) -> None:
    avatar_id = create(caller, "Ada", "voice-older")
    clock.advance(TRAINING_SECONDS)
    (voice,) = caller.get("/voices").json()
    assert voice["createdAt"] < caller.get(f"/avatars/{avatar_id}").json()["createAt"]


def test_reads_fail_on_demand(caller: httpx.Client, argil: ArgilSimulator) -> None:
    argil.account.voices.list_status = HTTPStatus.INTERNAL_SERVER_ERROR
    argil.account.voices.get_status = HTTPStatus.BAD_GATEWAY
    assert caller.get("/voices").status_code == 500
    assert caller.get("/voices/x").status_code == 502


def test_clone_creates_a_voice(caller: httpx.Client, argil: ArgilSimulator) -> None:
    response = caller.post("/voices", json={"name": "Ada", "audioUrl": "https://h.example/a.mp3"})
    assert response.status_code == 201
    assert caller.get("/voices").json() == [response.json()] == argil.account.voices.cloned
    (received,) = argil.account.voices.received
    assert (received.body["name"], received.status) == ("Ada", 201)


def test_clone_faults_apply_in_order(caller: httpx.Client, argil: ArgilSimulator) -> None:
    body = {"name": "Ada", "audioUrl": "https://h.example/a.mp3"}
    argil.account.voices.clone_faults.extend(
        [CreateResponse(None, creates_avatar=True), CreateResponse(HTTPStatus.BAD_GATEWAY)]
    )
    with pytest.raises(httpx.RemoteProtocolError):
        caller.post("/voices", json=body)
    assert caller.post("/voices", json=body).status_code == 502
    assert len(argil.account.voices.cloned) == 1
    assert caller.post("/voices", json=body).status_code == 201
    assert len(argil.account.voices.cloned) == 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "Ada"},
        {"name": "", "audioUrl": "https://h.example/a.mp3"},
        {"name": "Ada", "audioUrl": "http://h.example/a.mp3"},
        {"name": "Ada", "audioUrl": "https://h.example/a.mp3", "sample": 1},
        ["Ada"],
    ],
)
def test_invalid_clone_is_rejected(caller: httpx.Client, argil: ArgilSimulator, body: object) -> None:
    assert caller.post("/voices", json=body).status_code == 400
    assert argil.account.voices.cloned == []


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/x"), ("POST", "")])
def test_voice_routes_require_the_key(argil: ArgilSimulator, method: str, path: str) -> None:
    assert httpx.request(method, f"{argil.api_url}/voices{path}").status_code == 401


def test_account_derives_its_time_from_the_clock(clock: ManualClock) -> None:
    account = SimulatedAccount(clock=clock)
    before = account.now()
    clock.advance(60)
    assert (account.now() - before).total_seconds() == 60
