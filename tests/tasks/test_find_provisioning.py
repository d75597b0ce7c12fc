"""Finding a provisioning by its id or reference."""

from __future__ import annotations

import pytest

from models.errors import UnknownProvisioning
from tasks.find_provisioning import find_provisioning
from tests.provisioning_harness import ProvisioningHarness


async def test_provisioning_is_found_by_id_and_by_reference(harness: ProvisioningHarness) -> None:
    accepted = await harness.accepted(reference="ada-7")
    assert await find_provisioning.fn(accepted.id) == await find_provisioning.fn("ada-7") == accepted


async def test_unknown_key_raises_unknown_provisioning(harness: ProvisioningHarness) -> None:
    await harness.accepted()
    with pytest.raises(UnknownProvisioning, match="unknown-key") as caught:
        await find_provisioning.fn("unknown-key")
    assert "avatars list" in caught.value.hint
