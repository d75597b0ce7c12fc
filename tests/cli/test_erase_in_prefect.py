"""`avatars erase --in-prefect` with a Prefect server of its own; then all files and the whole API are searched.

The names of tests and files must not contain the word that the scanner finds.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import tags
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_URL, temporary_settings

from cli.main import run
from deployments.embedded.prefect_connection import embedded_database_settings
from deployments.embedded.prefect_server import prefect_server
from deployments.embedded.prefect_session import flush_telemetry
from flows.fleet_report import fleet_report
from flows.provision_avatar import provision_avatar
from flows.provision_batch import provision_batch
from flows.resume_provisioning import resume_provisioning
from simulator.media_host import MediaHost
from simulator.server import ArgilSimulator
from tests.secret_scanner import NEEDLE, columns_with_secret, contains_secret, files_with_secret
from tests.stack import PrefectApi, wait_for

pytestmark = [pytest.mark.prefect, pytest.mark.system, pytest.mark.timeout(600)]

WORD = NEEDLE.decode()
EVENT_COLUMNS = {
    *("events.resource", "events.related", "events.payload", "event_resources.resource"),
    *("events.related_resource_ids", "event_resources.resource_id"),  # a tag is a resource, too
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The data folder: the ledger, and the embedded Prefect server's files in `prefect`."""
    return tmp_path


@pytest.fixture
def api(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PrefectApi]:
    prefect_home = home / "prefect"
    monkeypatch.setenv("PREFECT_HOME", str(prefect_home))
    flush_telemetry()  # ends the worker of an earlier test, which would send the events to its own server
    with (
        prefect_server(prefect_home, database=embedded_database_settings(prefect_home)) as server,
        temporary_settings({PREFECT_API_URL: server.url}),
    ):
        monkeypatch.setenv("PREFECT_API_URL", server.url)
        api = PrefectApi(server.url)
        yield api
        flush_telemetry()
        api.close()


@pytest.fixture
def ada(videos: MediaHost, sample_folder: Path) -> dict[str, Any]:
    """A request whose name, URLs and extras contain the word."""
    urls = {}
    for role in ("dataset", "consent"):
        shutil.copyfile(sample_folder / f"{role}.mp4", sample_folder / f"{role}-{WORD}.mp4")
        urls[f"{role}_video"] = f"{videos.url(f'{role}-{WORD}.mp4')}?X-Amz-Signature={WORD}"
    return {"name": f"Ada {WORD.title()}", **urls, "extras": {"city": WORD}, "reference": "creator@1"}


@pytest.fixture
def bob(videos: MediaHost) -> dict[str, Any]:
    urls = {f"{role}_video": videos.url(f"{role}.mp4") for role in ("dataset", "consent")}
    return {"name": "Bob", **urls, "reference": "creator-2"}


async def run_everything(ada: dict[str, Any], bob: dict[str, Any]) -> dict[str, str]:
    """Run the same request in each way and return the name of each run's final state."""
    without_reference = {key: value for key, value in ada.items() if key != "reference"}
    # Fails its validation, so that the ledger has no provisioning of it.
    invalid = {**without_reference, "nmae": WORD}
    states: dict[str, State] = {
        "dry run": await provision_batch(rows=[bob, ada], dry_run=True, return_state=True),
        "dry run alone": await provision_batch(rows=[without_reference], dry_run=True, return_state=True),
        "first": await provision_avatar(request=ada, wait="block", return_state=True),
        "attach": await provision_avatar(request=ada, wait="block", return_state=True),
        "conflict": await provision_avatar(request={**ada, "name": f"Eve {WORD}"}, wait="block", return_state=True),
        "invalid": await provision_avatar(request=invalid, wait="block", return_state=True),
        "batch": await tagged_batch(bob, ada),
        "resume": await resume_provisioning("creator@1", wait="block", return_state=True),
        # Its state names the URL, and the run has a row of another person.
        "sharing": await provision_batch(
            rows=[bob, {**ada, "reference": "creator-1b"}, {**ada, "reference": "creator-1c"}], return_state=True
        ),
        "report": await fleet_report(return_state=True),
    }
    return {name: state.name or "" for name, state in states.items()}


async def tagged_batch(bob: dict[str, Any], ada: dict[str, Any]) -> State:
    with tags(ada["name"]):
        return await provision_batch(rows=[bob, ada], return_state=True)


async def run_again(request: dict[str, Any]) -> None:
    await provision_avatar(request=request, wait="block", return_state=True)


def erase(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["erase", "creator@1", "--json", *options]) == 0
    out = capsys.readouterr().out
    assert not contains_secret(out.encode())
    document: dict[str, Any] = json.loads(out)
    return document


def test_erasure_leaves_only_the_places_that_it_lists(
    simulated: ArgilSimulator,
    api: PrefectApi,
    home: Path,
    ada: dict[str, Any],
    bob: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert asyncio.run(run_everything(ada, bob)) == {
        "dry run": "Checked",
        "dry run alone": "Checked",
        "first": "Ready",
        "attach": "Ready",
        "conflict": "ReferenceConflict",
        "invalid": "Failed",
        "batch": "Ready",
        "resume": "Ready",
        "sharing": "SharedRecordings",
        "report": "Completed",
    }
    flush_telemetry()
    # Without the option: the runs are named, and the ledger no longer has the name when they are deleted later.
    found = erase(capsys)["prefect_found"]
    relations = Counter((run["flow"], run["relation"]) for run in found["runs"])
    assert relations == {
        ("provision-avatar", "own"): 4,
        ("resume-provisioning", "own"): 1,
        ("provision-batch", "own"): 1,
        ("provision-batch", "shared"): 3,
    }
    assert columns_with_secret(home / "ledger.db") == set()
    # The server records task runs from their events, late if it is busy, and in one statement with others: those of
    # deleted runs would fail it.
    before = wait_for(lambda: found if "task_runs" in (found := places(api)) else None, "the task run with the tag")
    assert {"flow_runs", "artifacts", "artifacts/latest", "event"} <= before.keys()

    document = erase(capsys, "--in-prefect")

    listed = document["prefect_remaining"]["logs_of_runs"]
    assert len(listed) == 2  # the state of one and a tag of the other
    assert any({*listed} <= {*re.split("[ ,]+", step)} and "delete" in step for step in document["remaining_steps"])
    assert {run["relation"] for run in document["prefect_remaining"]["runs"]} == {"shared"}
    assert places(api).keys() == {"flow_runs", "task_runs", "event", "logs"}
    api.delete_runs(listed)
    last = erase(capsys, "--in-prefect")
    # Before `places`, which stores an event: pages of other events change with it, and go to the WAL.
    assert last["prefect_files"] == []
    assert files_with_secret(home) == {"prefect.db"}
    assert (last["prefect_remaining"]["runs"], last["prefect_remaining"]["logs_of_runs"]) == ([], [])
    assert any("events about it remain" in step and "UTC" in step for step in last["remaining_steps"])

    after = places(api)
    assert after.keys() == {"event"}
    # The server emits the key of a deleted artifact, which has the name; its data was removed before.
    holders = [event for event in api.iter_events() if contains_secret(str(event).encode())]
    deletions = [event for event in holders if event["event"].endswith("deleted")]
    assert {event["event"] for event in deletions} <= {"prefect.artifact-collection.deleted"}
    assert len(after["event"]) <= document["prefect_found"]["event_count"] + len(deletions)
    assert [run["name"] for run in api.runs_of("provision-batch")] != []
    bobs = [run["parameters"]["rows"][0] for run in api.runs_of("provision-batch")]
    assert bobs == [bob]
    assert columns_with_secret(home / "prefect/prefect.db") <= EVENT_COLUMNS

    # Another provisioning with the same name and recordings, which was not erased.
    other = {**ada, "reference": "creator-9"}
    asyncio.run(run_again(other))
    before = places(api)
    before.pop("event")  # the server stores events in the background
    [run_of_other] = erase(capsys, "--in-prefect")["prefect_remaining"]["runs"]
    assert (run_of_other["relation"], run_of_other["references"]) == ("other provisioning", ["creator-9"])
    unchanged = places(api)
    unchanged.pop("event")
    assert unchanged == before


def places(api: PrefectApi) -> dict[str, set[str]]:
    """Return the ids of the objects of the API that contain the word, by their kind; stores all events first."""
    flush_telemetry()
    api.wait_for_stored_events()
    found: dict[str, set[str]] = defaultdict(set)
    for place, text in api.read_everything().items():
        if contains_secret(text.encode()):
            kind, _, object_id = place.rpartition(" ")
            found[kind].add(object_id)
    return found
