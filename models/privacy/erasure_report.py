"""The result of an erasure: what was erased, and the steps that remain, as JSON and as text."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ConfigDict

from models.privacy.prefect_traces import PrefectTraces, Relation
from models.text.plural import counted

MAX_LISTED_IDS = 20
"""Ids that one step lists as text; the JSON output lists all of them."""

_UNCHANGED_RUNS = {
    Relation.ACTIVE: "runs hold it and have not ended: wait for them or cancel them, then run `{again}`",
    Relation.OTHER_FLOW: "runs of other projects' flows hold it: review each, then `prefect flow-run delete ID`",
    Relation.SAME_NAME: "runs have an equal name and may be about another person, so they are unchanged",
}


class ErasureReport(BaseModel):
    """What an erasure did, and what remains elsewhere.

    Attributes:
        avatar_ids: The avatars at Argil.
        voice_ids: Their voices at Argil. The ledger does not have them any more.
        voice_clone_ids: The intents to clone a voice whose outcome is unknown.
        flow_run_ids: The Prefect runs that the ledger records.
        archives: The ledger's messages about archives that still hold messages of its events.
        erased_archives: The archive files that were erased.
        former_contents: Places in the ledger's own files that may still hold former contents.
        uploads: The uploads of its recordings that remain in the object store.
        deleted_uploads: Those that were deleted.
        was_erased: Whether an earlier run erased the ledger, which then no longer has all that this report names.
        other_references: The references of other provisionings with the same recording or name, not erased.
        in_prefect: Whether the data in Prefect was to be removed, too.
        prefect_found: What Prefect held before; None if it was not searched.
        prefect_remaining: What Prefect holds now; None if it was not searched.
        prefect_problem: Why Prefect was not searched; empty if it was.
        prefect_files: Files of the embedded Prefect server that may still hold it.
    """

    model_config = ConfigDict(frozen=True)

    avatar_ids: list[str]
    voice_ids: list[str] = []
    voice_clone_ids: list[str] = []
    flow_run_ids: list[str]
    archives: list[str] = []
    erased_archives: list[str] = []
    former_contents: list[str] = []
    uploads: list[str] = []
    deleted_uploads: list[str] = []
    was_erased: bool = False
    other_references: list[str] = []
    in_prefect: bool = False
    prefect_found: PrefectTraces | None = None
    prefect_remaining: PrefectTraces | None = None
    prefect_problem: str = ""
    prefect_files: list[str] = []

    def remaining_steps(self, key: str) -> list[str]:
        """Return the steps that an operator must take, as text.

        Args:
            key: The id of the provisioning, for the commands in the text.
        """
        steps = []
        if self.avatar_ids:
            steps.append(
                "at Argil: name, recordings, extras and the trained avatar remain; its API cannot delete "
                f"them. Delete them in Argil's app, or ask its support to delete: {_listed(self.avatar_ids)}"
            )
        if self.uploads:
            steps.append(
                "in the object store: uploads of its recordings remain. Set AVATARS_UPLOAD_DELETE=true and run "
                f"`avatars erase {key}` again. One that another avatar needs stays: {_listed(self.uploads)}"
            )
        if self.voice_ids:
            steps.append(
                "at Argil: the voice remains; note its id, which the ledger no longer has. Delete the voice in "
                "Argil's app, or ask its support to delete: "
                f"{_listed(self.voice_ids)}"
            )
        if self.voice_clone_ids:
            steps.append(
                "at Argil: a voice whose name ends in one of these ids may exist. Delete it in Argil's app: "
                f"{_listed(self.voice_clone_ids)}"
            )
        if self.was_erased:
            steps.append(
                "an earlier run erased the ledger. What it listed still applies, and is not listed again: voices "
                "at Argil, and other provisionings of the person"
            )
        if self.other_references:
            steps.append(
                "other provisionings have the same recording or name: if they are of the same person, erase them, "
                "too, with `avatars erase REFERENCE --in-prefect`: "
                f"{_listed([*map(shlex.quote, self.other_references)])}"
            )
        steps += [f"in the ledger's database: {place}" for place in self.former_contents]
        steps += [f"in Prefect: {step}" for step in self._prefect_steps(f"avatars erase {key} --in-prefect")]
        steps += [f"in Prefect's database: {place}" for place in self.prefect_files]
        if self.archives:
            steps.append(
                "in archives: its archived events keep their messages. "
                f"Run `avatars erase {key} --archive FILE` for: {'; '.join(self.archives)}"
            )
        steps.append(
            "elsewhere: your recordings, manifests, result files, logs and backups are unchanged, and so are "
            "notifications that were sent"
        )
        return steps

    def _prefect_steps(self, command: str) -> Iterator[str]:
        if self.prefect_remaining is not None:
            yield from _traces_steps(self.prefect_remaining, command)
        elif self.prefect_problem:
            known = f" The ledger names these runs: {_listed(self.flow_run_ids)}" if self.flow_run_ids else ""
            yield f"it was not searched: {self.prefect_problem}. Run `{command}` once it responds.{known}"


def _traces_steps(traces: PrefectTraces, command: str) -> Iterator[str]:
    if traces.can_be_removed:
        runs = traces.run_ids(Relation.OWN, Relation.SHARED)
        artifacts = counted(len(traces.own_artifacts) + len(traces.shared_artifacts), "artifact")
        listed = f": {_listed(runs)}" if runs else ""
        yield f"in {counted(len(runs), 'run')} and {artifacts}; `{command}` removes it{listed}"
    for relation, text in _UNCHANGED_RUNS.items():
        if ids := traces.run_ids(relation):
            yield f"{len(ids)} {text.format(again=command)}: {_listed(ids)}"
    if traces.logs_of_runs:
        yield (
            "the logs, states, names or tags of these runs mention it and stay; note their ids, because they "
            "were found by the name, which the ledger no longer has. `prefect flow-run delete ID` "
            f"deletes them with the history of everyone in the run: {_listed(traces.logs_of_runs)}"
        )
    if traces.others:
        yield f"edit or delete these objects, which mention it: {_listed(traces.others)}"
    if traces.event_count:
        until = "after its retention period (PREFECT_SERVER_EVENTS_RETENTION_PERIOD)"
        if traces.events_until:
            until = f"by {traces.events_until:%Y-%m-%d %H:%M} UTC"
        yield (
            f"{traces.event_count} events about it remain in the API and in the server's database, and no call "
            f"deletes them. The server does so {until}; then run `{command}` again, which compacts its database"
        )


def _listed(ids: Sequence[str]) -> str:
    more = len(ids) - MAX_LISTED_IDS
    return ", ".join(ids[:MAX_LISTED_IDS]) + (f" and {more} more (--json lists all)" if more > 0 else "")
