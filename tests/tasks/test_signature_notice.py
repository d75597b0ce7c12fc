"""A request whose URL carries a signature is accepted with a notice; one with URIs has none."""

from __future__ import annotations

import logging

import pytest

from models.provisioning import Status
from models.recordings.presigned_urls import SIGNATURE_NOTICE
from tasks.get_or_create_provisioning import get_or_create_provisioning
from tests.provisioning_harness import ProvisioningHarness

URI = "s3://recordings/ada.mp4"
SIGNED = "https://host.example/ada.mp4?X-Amz-Signature=canary&X-Amz-Date=1"


@pytest.mark.parametrize(
    ("dataset", "consent", "count"),
    [(URI, URI, 0), ("https://host.example/a.mp4?id=1", URI, 0), (URI, SIGNED, 1), (SIGNED, SIGNED, 1)],
)
async def test_notice_is_logged_once_per_request(
    harness: ProvisioningHarness, dataset: str, consent: str, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    request = harness.request.model_copy(update={"dataset_video": dataset, "consent_video": consent})
    with caplog.at_level(logging.INFO):
        provisioning = await get_or_create_provisioning.fn(request, "ada-1", harness.owner)
    assert provisioning.status is Status.ACCEPTED
    assert [record.getMessage() for record in caplog.records].count(SIGNATURE_NOTICE) == count
    assert "canary" not in caplog.text
