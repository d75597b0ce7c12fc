"""Whether an error of Argil's says that it creates no avatars from videos any more.

Argil's reference announces that the video create "will be removed in a future API version".
No page says how Argil answers it then. So three kinds of words count: the property `datasetImage`, the demand for
the `type` IMAGE, and the statement that something of the API is deprecated or removed. A recording that was
removed from its host, or a codec that is deprecated, is a matter of one request.
"""

from __future__ import annotations

import re

VIDEO_CREATE_NOTICE = (
    "Argil's reference calls the video create deprecated: it will be removed in a future version of its API. "
    "The image create is the current one"
)
VIDEO_CREATE_REMEDY = (
    "request these avatars with images: the same references with `image` instead of `dataset_video` replace the "
    "waiting requests; or ask Argil's support"
)

_URL = re.compile(r"\bhttps?://\S+", re.IGNORECASE)
_IMAGE_PROPERTY = re.compile(r"\bdataset_?image\b", re.IGNORECASE)
# IMAGE in capitals is the constant; "image/png" is the type of a file.
_IMAGE_TYPE = re.compile(r"\b[Tt]ype\b[^.;]{0,60}?\bIMAGE\b|\bIMAGE\b[^.;]{0,60}?\b[Tt]ype\b", re.DOTALL)
_GONE = re.compile(
    r"\b(?:deprecated|removed|discontinued|retired|sunset|no longer (?:supported|available|accepted|offered))\b",
    re.IGNORECASE,
)
_OF_THE_API = re.compile(
    r"\b(?:endpoint|route|operation|method|api(?!\s+key)|version|schema|property|parameter|field|feature|"
    r"creat(?:e|es|ing|ion)|training from|(?:dataset|consent)_?video(?!\.url)|videos? avatars?|avatars? from)\b",
    re.IGNORECASE,
)
_OF_A_RECORDING = re.compile(
    r"\b(?:file|files|url|link|host|bucket|object|storage|owner|uploader|account|workspace|user|key|codec|container|"
    r"format|profile|resolution|track|audio|clip|recording|footage|content|media|asset|voice|subtitle|"
    r"(?:dataset|consent|training|your|the|this|a) videos?(?! avatars?| creat)|(?:dataset|consent)_?video\.url)\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[.;:!?])\s+")


def says_video_create_is_removed(message: str, *, name: str | None = None) -> bool:
    """Return whether the message of an error says that avatars are no longer created from videos.

    Args:
        message: The message of Argil's JSON error.
        name: The name of the avatar that was sent, which a message may repeat. It is not a statement of Argil's.
    """
    text = _URL.sub(" ", message)
    if name:
        text = text.replace(name, " ")
    if _IMAGE_PROPERTY.search(text) or _IMAGE_TYPE.search(text):
        return True
    return any(_says_removed(sentence) for sentence in _SENTENCE_END.split(text))


def _says_removed(sentence: str) -> bool:
    if not _GONE.search(sentence):
        return False
    return bool(_OF_THE_API.search(sentence)) or not _OF_A_RECORDING.search(sentence)
