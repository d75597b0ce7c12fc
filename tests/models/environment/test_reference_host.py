from __future__ import annotations

import pytest

from models.environment.reference_host import ARGIL_API_HOST, reference_host
from models.settings import Settings


@pytest.mark.parametrize(
    ("api_url", "expected"),
    [
        ("https://api.argil.ai/v1", "api.argil.ai"),
        ("https://argil.proxy.example:8443/v1", "argil.proxy.example"),
        ("http://localhost:4700/v1", "localhost"),
        ("http://127.0.0.1:4700/v1", ARGIL_API_HOST),
        ("http://[::1]:4700/v1", ARGIL_API_HOST),
    ],
)
def test_reference_host_is_a_name(api_url: str, expected: str) -> None:
    assert reference_host(api_url) == expected


def test_reference_host_of_the_default_api_url() -> None:
    default = Settings.model_fields["argil_api_url"].default
    assert reference_host(default) == ARGIL_API_HOST
