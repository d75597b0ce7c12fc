"""The words by which Argil says that it creates no avatars from videos, and words that only resemble them."""

from __future__ import annotations

import json

import pytest

from models.argil.response import ArgilResponse
from models.argil.response_meaning import Meaning, Operation, SentRequest, meaning_of
from models.argil.video_create import says_video_create_is_removed

REMOVED = [
    "datasetImage is required",
    "body must have required property 'datasetImage'",
    "Unrecognized key(s) in object: 'datasetVideo', 'consentVideo'; expected datasetImage",
    "type must be IMAGE",
    'type: Invalid literal value, expected "IMAGE"',
    '[{"code": "invalid_literal", "expected": "IMAGE", "path": ["type"]}]',
    "Expected IMAGE for the property type",
    "This endpoint is deprecated",
    "Deprecated",
    "Removed",
    "This has been removed.",
    "The video create has been removed",
    "Creating avatars from videos was removed in v2",
    "Video avatars have been removed, please use image avatars",
    "Video avatars are no longer supported",
    "datasetVideo is deprecated",
    "The property datasetVideo was removed from the API",
    "Invalid request. Training from a video is no longer available. See https://docs.argil.ai/removed",
]
NEAR_MISSES = [
    "",
    "name is too long",
    "datasetVideo is invalid",
    "datasetVideo.url must be a valid URL",
    "The video was removed from the host",
    "The dataset video was removed by its owner",
    "Your video has been removed",
    "datasetVideo.url: the file has been removed",
    "the file was removed from the bucket",
    "consentVideo could not be read: the object was removed",
    "the URL https://videos.example/removed.mp4 does not answer",
    "the codec of this video is deprecated",
    "the container format is deprecated, use MP4",
    "the audio track was removed",
    "this API key is deprecated for this account",
    "the content type image/png is not a video",
    "the type of the file is image/jpeg",
    "IMAGE_TYPE_UNSUPPORTED",
    "an image is not a video",
    "the picture shows no face",
    "datasetImages are not counted",
]
ERROR = {"code": 400, "message": "datasetImage is required"}
VIDEO = SentRequest(Operation.CREATE, submission_id="s-1", name="Ada", is_video=True)


def respond(status: int, body: object, content_type: str = "application/json") -> ArgilResponse:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return ArgilResponse(status, {"content-type": content_type}, raw)


@pytest.mark.parametrize("message", REMOVED)
def test_message_says_that_the_video_create_is_removed(message: str) -> None:
    assert says_video_create_is_removed(message)


@pytest.mark.parametrize("message", NEAR_MISSES)
def test_similar_message_is_about_one_request(message: str) -> None:
    assert not says_video_create_is_removed(message)


def test_name_of_the_avatar_in_a_message_is_not_a_statement() -> None:
    message = "the name 'Deprecated' contains a word that is not allowed"
    assert says_video_create_is_removed(message)
    assert not says_video_create_is_removed(message, name="Deprecated")


@pytest.mark.parametrize("status", [400, 404, 410, 422])
def test_removed_video_create_pauses_only_video_requests(status: int) -> None:
    assert meaning_of(VIDEO, respond(status, {**ERROR, "code": status})) is Meaning.VIDEO_CREATE_REMOVED
    image = SentRequest(Operation.CREATE, submission_id="s-1", name="Ada")
    assert meaning_of(image, respond(status, ERROR)) is not Meaning.VIDEO_CREATE_REMOVED


@pytest.mark.parametrize(
    ("response", "meaning"),
    [
        (respond(400, {"message": ERROR["message"]}), Meaning.UNINTELLIGIBLE),
        (respond(400, {**ERROR, "code": "400"}), Meaning.UNINTELLIGIBLE),
        (respond(400, "<html>datasetImage is required</html>", "text/html"), Meaning.UNINTELLIGIBLE),
        (respond(404, "<html>This page was removed</html>", "text/html"), Meaning.NO_SUCH_PATH),
        (respond(404, {"code": 404, "message": "Not Found"}), Meaning.NO_SUCH_PATH),
        (respond(410, {"code": 410, "message": "Gone"}), Meaning.NO_SUCH_PATH),
        (respond(405, {**ERROR, "code": 405}), Meaning.NO_SUCH_PATH),
        (respond(401, {"code": 401, "message": "this endpoint is deprecated"}), Meaning.UNAUTHORIZED),
        (respond(402, ERROR), Meaning.PAYMENT_REQUIRED),
        (respond(413, ERROR), Meaning.REJECTED),
        (respond(429, ERROR), Meaning.RATE_LIMITED),
        (respond(500, ERROR), Meaning.UNANSWERED),
        (respond(400, {"code": 400, "message": "datasetVideo could not be read"}), Meaning.REJECTED),
        (respond(200, ERROR), Meaning.REJECTED_IF_ABSENT),
        (
            respond(400, {**ERROR, "id": "a-1", "extras": {"submission_id": "s-1"}}),
            Meaning.CREATED_WITHOUT_ID,
        ),
    ],
)
def test_other_status_or_body_keeps_its_meaning(response: ArgilResponse, meaning: Meaning) -> None:
    assert meaning_of(VIDEO, response) is meaning
