"""An object at AVATARS_S3_ENDPOINT has three addresses: each keeps its fingerprint, all are the same request."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from models.image_request import ImageRequest
from models.manifest.manifest import parse_rows
from models.manifest.shared_recordings import find_shared_recordings
from models.manifest.validation import derived_reference, possible_derived_references
from models.recordings.canonical_form import canonical_form, equivalent_forms
from models.recordings.endpoint_uris import configure_s3_endpoint
from models.recordings.identity import RecordingIdentity, identity_digest
from models.request import ProvisioningRequest

ENDPOINT = "https://Store.example:9000"
URI = "s3://people/Ada%20L/a+b.mp4"
IN_PATH = "https://store.example:9000/people/Ada%20L/a+b.mp4"
IN_HOST = "https://people.store.example:9000/Ada%20L/a+b.mp4"
SIGNED = "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=1&versionId=2"


@pytest.fixture(autouse=True)
def endpoint() -> Iterator[None]:
    configure_s3_endpoint(ENDPOINT)
    yield
    configure_s3_endpoint(None)


def request(dataset: str, consent: str = "https://h.example/c.mp4") -> ProvisioningRequest:
    return ProvisioningRequest(name="Ada", dataset_video=dataset, consent_video=consent)


@pytest.mark.parametrize(
    "address",
    [
        URI,
        "s3://people/%41da%20L/a%2Bb.mp4",
        IN_PATH,
        IN_PATH + SIGNED,
        "HTTPS://STORE.example.:9000/x/../people/Ada%20L/a%2bb.mp4".replace("HTTPS", "https"),
        IN_HOST,
        IN_HOST + SIGNED,
    ],
)
def test_addresses_of_one_object_have_the_same_forms(address: str) -> None:
    assert equivalent_forms(address) == {URI, IN_PATH, IN_HOST}
    assert request(URI).fingerprint in request(address).fingerprints
    assert request(address).fingerprint in request(URI).fingerprints


@pytest.mark.parametrize(
    "address",
    [
        "https://people.s3.amazonaws.com/Ada%20L/a+b.mp4",
        "https://store.example/people/Ada%20L/a+b.mp4",  # another port
        "https://evilstore.example:9000/people/Ada%20L/a+b.mp4",
        "https://store.example:9000/people/Ada%20L/a+b.mp4?part=2",
        "https://store.example:9000/people-2/Ada%20L/a+b.mp4",
        "https://people.store.example:9000/people/Ada%20L/a+b.mp4",
        "https://store.example:9000/people",
        "gs://people/Ada%20L/a+b.mp4",
        "no address",
    ],
)
def test_other_addresses_are_other_objects(address: str) -> None:
    assert equivalent_forms(address).isdisjoint({URI, IN_PATH, IN_HOST})


def test_bucket_that_no_host_name_can_have_is_in_the_path_only() -> None:
    assert equivalent_forms("s3://My_Bucket/a.mp4") == {
        "s3://My_Bucket/a.mp4",
        "https://store.example:9000/My_Bucket/a.mp4",
    }


def test_endpoint_changes_no_fingerprint_on_record() -> None:
    with_endpoint = [request(address).fingerprint for address in (URI, IN_PATH, IN_HOST)]
    references = [derived_reference(request(address)) for address in (URI, IN_PATH, IN_HOST)]
    configure_s3_endpoint(None)
    assert [request(address).fingerprint for address in (URI, IN_PATH, IN_HOST)] == with_endpoint
    assert [derived_reference(request(address)) for address in (URI, IN_PATH, IN_HOST)] == references
    assert len(set(with_endpoint)) == 3
    for address in (URI, IN_PATH, IN_HOST):
        assert equivalent_forms(address) == {canonical_form(address)}
        assert request(address).fingerprints == {request(address).fingerprint}


def test_every_recording_of_a_request_may_have_another_address() -> None:
    mixed = request(IN_PATH, IN_HOST)
    assert len(mixed.fingerprints) == 9
    assert request(URI, URI).fingerprint in mixed.fingerprints
    assert possible_derived_references(mixed)[0] == derived_reference(mixed)
    assert derived_reference(request(URI, URI)) in possible_derived_references(mixed)
    image, same = (ImageRequest(name="Ada", image=address, consent_video=address) for address in (URI, IN_PATH))
    assert image.fingerprint in same.fingerprints
    assert ImageRequest(name="Ada", image=URI).fingerprint not in same.fingerprints


def test_endpoint_of_a_provider_that_has_one_form_for_both_hosts() -> None:
    configure_s3_endpoint("https://s3.eu-central-1.wasabisys.com")
    for address in (
        "s3://people/a.mp4",
        "https://s3.eu-central-1.wasabisys.com/people/a.mp4",
        "https://people.s3.eu-central-1.wasabisys.com/a.mp4",
    ):
        assert equivalent_forms(address) == {
            "s3://people/a.mp4",
            "https://s3.eu-central-1.wasabisys.com/people/a.mp4",
        }
    configure_s3_endpoint("https://s3.eu-west-1.amazonaws.com")
    assert equivalent_forms("https://people.s3.amazonaws.com/a.mp4") == {"s3://people/a.mp4"}


@pytest.mark.parametrize("url", ["https://[::1]:9000", "https://127.0.0.1:9000", "https://store.example:443"])
def test_endpoint_may_be_an_address_or_have_the_default_port(url: str) -> None:
    configure_s3_endpoint(url)
    assert "s3://people/a.mp4" in equivalent_forms(f"{url}/people/a.mp4")
    assert canonical_form(f"{url}/people/a.mp4") in equivalent_forms("s3://people/a.mp4")


def test_rows_that_share_an_object_by_other_addresses_are_found() -> None:
    rows = parse_rows(
        {"name": f"Ada {number}", "dataset_video": address, "consent_video": f"https://h.example/{number}.mp4"}
        for number, address in enumerate((URI, IN_PATH + SIGNED, IN_HOST))
    )
    [group] = find_shared_recordings(rows)
    assert group.lines == (1, 2, 3)
    assert len(group.recordings) == 1


def test_identity_in_the_quarantine_has_the_digests_of_the_other_addresses() -> None:
    identity = RecordingIdentity.from_facts(URI)
    assert identity.digest == identity_digest(URI)
    assert identity.other_digests == {identity_digest(IN_PATH), identity_digest(IN_HOST)}
