"""The ledger: the source of truth for every provisioning.

Each write is one transaction: a compare-and-set on `version`, the change, and the event that records it. A
writer that has read an older version changes nothing.

One module per job: ledger_reader (queries), requests and their replacement, transitions, submissions, recoveries
(submissions that the ledger lost), adoptions (avatars made elsewhere), reopenings, voices, and absences (avatars
that are not found).
"""

from __future__ import annotations

from store.absences import AbsenceWriter
from store.adoptions import AdoptionWriter
from store.recoveries import RecoveryWriter
from store.reopenings import ReopeningWriter
from store.requests import RequestWriter
from store.submissions import SubmissionWriter
from store.voice_clones import VoiceCloneWriter
from store.voices import VoiceWriter


class Ledger(
    RequestWriter,
    SubmissionWriter,
    RecoveryWriter,
    AdoptionWriter,
    ReopeningWriter,
    AbsenceWriter,
    VoiceWriter,
    VoiceCloneWriter,
):
    """Reads and writes provisionings. Every method raises DatabaseError if the database fails."""
