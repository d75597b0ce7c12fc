"""The template of a manifest, an empty list to fill in: the columns, one example and notes."""

from __future__ import annotations

import csv
import io
from codecs import BOM_UTF8
from typing import Literal, get_args

from models.manifest.columns import EXTRAS_PREFIX
from models.manifest.rows import MAX_ROWS
from models.manifest.workbook import write_workbook

EXAMPLE = {
    "name": "Ada Lovelace",
    "dataset_video": "https://example.com/ada/dataset.mp4",
    "image": "",
    "consent_video": "https://example.com/ada/consent.mp4",
    "reference": "creator-4712",  # not the one of the examples of `--help`, which may have been tried
    f"{EXTRAS_PREFIX}team": "berlin",
}
NOTES = (
    "One row for each avatar. Replace the example, and keep the header line.",
    "name: required, 1 to 256 characters.",
    "dataset_video: required unless the row has an image. Address of the recording to train (s3://, gs://, az:// "
    "or https://): MP4 or MOV, 1 to 5 minutes, 720p to 4K, at most 1.5 GB.",
    "image: instead of dataset_video, for an avatar from a picture. Address of a PNG, JPEG or WEBP file, "
    "exactly 16:9 or 9:16, from 1280x720 to 3840x2160, at most 10 MB. One list may have both.",
    "consent_video: required. Address of the recorded consent of the same person: MP4 or MOV, at most "
    "30 seconds and 100 MB.",
    "voice_id: optional, a column that you may add, for a row with an image. The id of a voice at Argil.",
    "voice_sample: the same. Address of a recording of the person's voice, from which Argil clones one.",
    "Write each address out; a word with a link behind it is not read.",
    "reference: optional. Your own key of the person, unique in the list and always the same. "
    "The same reference never creates a second avatar.",
    f"{EXTRAS_PREFIX}team: optional text that is stored with the avatar. The name of such a column is "
    f"{EXTRAS_PREFIX} and a key; at most 9 of them.",
    "Other columns are ignored. All cells are text: a number as a reference keeps its zeros.",
    f"At most {MAX_ROWS:,} rows. Check the list without sending anything: avatars batch FILE --dry-run",
)


TemplateFormat = Literal["csv", "xlsx"]


def template_format(file_name: str) -> TemplateFormat | None:
    """Return the format of a template by the suffix of its name, None if it has another one."""
    suffix = file_name.rpartition(".")[2].lower()
    return next((known for known in get_args(TemplateFormat) if known == suffix), None)


def render_template(form: TemplateFormat) -> bytes:
    """Return the template as a file: `xlsx`, or `csv` without notes, which a CSV file has no place for."""
    rows = [list(EXAMPLE), list(EXAMPLE.values())]
    if form == "xlsx":
        return write_workbook("creators", rows, notes=NOTES)
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(rows)
    return BOM_UTF8 + buffer.getvalue().encode()
