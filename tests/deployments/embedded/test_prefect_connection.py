"""Passwords for the API of a Prefect server."""

from __future__ import annotations

import pytest

from models.errors import SettingsError


@pytest.mark.parametrize("name", ["PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"])
@pytest.mark.parametrize(
    "text",
    [
        "canary-é:password",
        "reader:canary-é",
        "reader:canary-密码",
        "canary-without-a-colon",
        ":canary-password",
        "canary-reader:",
        ":",
        "reader:canary\n",
        "reader:can\tary",
        "reader:canary\x7f",
        "reader:canary\x00",
        " reader:canary",
        "reader:canary ",
        "reader: canary",
        "reader:canary\u00a0",
        "reader:canary\udce9",
    ],
    ids=ascii,
)
def test_unusable_password_is_a_settings_error(name: str, text: str) -> None:
    from deployments.embedded.prefect_connection import check_auth_string

    with pytest.raises(SettingsError, match=f"{name} must be user:password in printable ASCII") as error:
        check_auth_string(name, text)
    assert "canary" not in error.value.message + error.value.hint
    assert name in error.value.hint


@pytest.mark.parametrize(
    "text", ["", "a:b", "reader:pass word", "re ader:p:a:s:s", "r:!#$%&'()*+,-./<=>?@[]^_`{|}~"]
)
def test_usable_password_is_accepted(text: str) -> None:
    from deployments.embedded.prefect_connection import check_auth_string

    check_auth_string("PREFECT_API_AUTH_STRING", text)
