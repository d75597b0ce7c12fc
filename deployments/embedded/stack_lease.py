"""Lets only one embedded stack work with a Prefect API, whatever machine or home folder a second one has.

A second stack would take the live runs of the first for orphaned ones, and provision in another ledger. The lease
is a variable at the Prefect API, which the runner of the stack renews. Only changes of its value count, so that no
clocks are compared.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Literal
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import VariableCreate
from prefect.client.schemas.objects import Variable
from prefect.exceptions import ObjectAlreadyExists, PrefectHTTPStatusError
from pydantic import ValidationError

from models.clock import Clock
from models.errors import PrefectError
from services.runs.run_listing import is_unreadable

VARIABLE_NAME = "avatars_embedded_stack"
RENEWAL_INTERVAL_SECONDS = 5.0
EXPIRES_AFTER_SECONDS = 20.0
"""A lease that is not renewed for this long belongs to a stack that was killed."""
WATCH_INTERVAL_SECONDS = 1.0
MAX_OWNER_CHARACTERS = 100
MAX_ATTEMPTS = 3
"""How often to watch a lease that another stack has replaced in the meantime."""


class StackLease:
    """The exclusive right of one stack to execute the runs of a Prefect API.

    Every method raises httpx.HTTPError if the Prefect API does not respond.
    """

    def __init__(self, client: PrefectClient, stack_id: str, clock: Clock) -> None:
        self._client = client
        self._stack_id = stack_id
        self._clock = clock
        self._renewals = 0

    async def acquire(self) -> None:
        """Acquire the lease; wait until that of a stack that was killed has expired.

        Raises:
            PrefectError: Another stack renews its lease, or the variable cannot be read.
        """
        for _ in range(MAX_ATTEMPTS):
            try:
                await self._client.create_variable(VariableCreate(name=VARIABLE_NAME, value=self._value()))
            except ObjectAlreadyExists:
                other = await self._read_other()
            else:
                return
            if other is not None and await self._has_expired(other):
                await self._request("DELETE", other.id)  # by id: fails if another stack was faster
        raise _in_use(other)

    async def hold(self) -> None:
        """Renew the lease until another stack has taken it, for example because this machine was in standby.

        Raises:
            PrefectError: The lease is lost.
        """
        while True:
            await self._clock.sleep(RENEWAL_INTERVAL_SECONDS)
            # While the API restarts, the lease is not renewed. A stack that takes it then is seen afterwards.
            with contextlib.suppress(httpx.HTTPError):
                await self._renew()

    async def _renew(self) -> None:
        self._renewals += 1
        lease = await self._client.read_variable_by_name(VARIABLE_NAME)
        if lease is None:  # deleted by a person
            with contextlib.suppress(ObjectAlreadyExists):
                await self._client.create_variable(VariableCreate(name=VARIABLE_NAME, value=self._value()))
        elif self._is_own(lease):
            await self._request("PATCH", lease.id, {"value": self._value()})
        else:
            raise _in_use(lease)

    async def is_held(self) -> bool:
        """Return whether this stack has the lease."""
        return self._is_own(await self._client.read_variable_by_name(VARIABLE_NAME))

    async def release(self) -> None:
        """Release the lease if this stack has it."""
        lease = await self._client.read_variable_by_name(VARIABLE_NAME)
        if lease is not None and self._is_own(lease):
            await self._request("DELETE", lease.id)

    async def _read_other(self) -> Variable | None:
        try:
            return await self._client.read_variable_by_name(VARIABLE_NAME)
        except (PrefectHTTPStatusError, ValidationError) as error:
            if not is_unreadable(error):
                raise
            raise PrefectError(
                f"the Prefect API cannot return the variable {VARIABLE_NAME!r}, the lease of a stack",
                # `prefect variable delete` answers 500 too: the server puts the value into an event.
                hint="if no other `avatars up` uses this API, delete this row of the table `variable` in the "
                "database of the Prefect server",
            ) from None

    async def _has_expired(self, lease: Variable) -> bool:
        """Watch the lease of another stack.

        Returns:
            True if it did not change for EXPIRES_AFTER_SECONDS, False if another stack has replaced it.

        Raises:
            PrefectError: The other stack has renewed it.
        """
        deadline = self._clock.monotonic() + EXPIRES_AFTER_SECONDS
        while self._clock.monotonic() < deadline:
            await self._clock.sleep(WATCH_INTERVAL_SECONDS)
            current = await self._read_other()
            if current is None or current.id != lease.id:
                return False
            if current.value != lease.value:
                raise _in_use(current)
        return True

    def _is_own(self, lease: Variable | None) -> bool:
        return lease is not None and isinstance(lease.value, dict) and lease.value.get("stack") == self._stack_id

    async def _request(
        self, method: Literal["PATCH", "DELETE"], lease_id: UUID, body: dict[str, object] | None = None
    ) -> None:
        """Change the lease with this id; do nothing if another stack has replaced it."""
        try:
            await self._client.request(method, "/variables/{id}", path_params={"id": lease_id}, json=body)
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.NOT_FOUND:
                raise

    def _value(self) -> dict[str, object]:
        return {
            "stack": self._stack_id,
            "host": socket.gethostname(),
            "process": os.getppid(),
            "renewals": self._renewals,
        }


def _in_use(lease: Variable | None) -> PrefectError:
    owner = lease.value if lease is not None and isinstance(lease.value, dict) else {}
    host, process = (str(owner.get(name, "unknown"))[:MAX_OWNER_CHARACTERS] for name in ("host", "process"))
    return PrefectError(
        f"another `avatars up` uses this Prefect API (host {host!r}, process {process!r})",
        hint="stop it, or set another PREFECT_API_URL; to use more machines, run `avatars deploy --pool NAME` and "
        "start workers",
    )
