"""The callback URL of a submission: it authenticates a wake-up of one avatar, and nothing else."""

from __future__ import annotations

import pytest

from models.argil.webhook import callback_path, mask_token, parse_callback_path, receiver_url

TOKEN = "canary-token-0123456789"
SUBMISSION = "3f2b8c1e-5d47-4a90-9b6e-0c1d2e3f4a5b"


def test_callback_path_names_its_submission() -> None:
    path = callback_path(TOKEN, SUBMISSION)
    assert parse_callback_path(TOKEN, path) == SUBMISSION
    assert TOKEN not in path


def test_each_submission_has_its_own_path() -> None:
    assert callback_path(TOKEN, SUBMISSION).rpartition(".")[2] != callback_path(TOKEN, "s-2").rpartition(".")[2]


@pytest.mark.parametrize(
    "path",
    [
        "",
        TOKEN,
        SUBMISSION,
        f"{SUBMISSION}.",
        f"{SUBMISSION}.{'0' * 32}",
        callback_path("another-token-0123", SUBMISSION),
        callback_path(TOKEN, SUBMISSION)[:-1],
        callback_path(TOKEN, SUBMISSION).replace(SUBMISSION, "s-2"),
        callback_path(TOKEN, SUBMISSION) + "é",
    ],
)
def test_other_path_is_not_authentic(path: str) -> None:
    assert parse_callback_path(TOKEN, path) is None


def test_shown_url_has_no_signature() -> None:
    url = receiver_url("https://avatars.example.com") + callback_path(TOKEN, SUBMISSION)
    assert mask_token(url) == "https://avatars.example.com/webhooks/argil/…"
