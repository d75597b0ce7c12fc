"""What a header of a table means: its key, its synonyms in several languages and their ranks; labels of totals."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from string import digits

from models.manifest.cells import RECORDING_COLUMNS
from models.manifest.rows import COLUMNS

MAX_HEADER_CHARACTERS = 1000
"""Of one cell of the header line; a longer one is perhaps an unclosed quote."""
SYNONYMS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "name": (
        ("avatar name", "creator name", "full name", "display name", "person name", "talent name", "actor name"),
        (
            *("avatar", "creator", "person", "talent", "actor"),
            *("vollständiger Name", "Vor- und Nachname", "nom", "nom complet", "nom et prénom", "prénom et nom"),
            *("nombre", "nombre completo", "nombre y apellidos", "nome", "nome completo", "nome e cognome"),
        ),
    ),
    "dataset_video": (
        ("dataset", "dataset recording", "dataset footage", "training video", "training recording"),
        (
            *("training footage", "training data", "training", "Trainingsvideo", "Trainingsaufnahme"),
            *("vidéo d'entraînement", "vídeo de entrenamiento", "vídeo de treinamento", "vídeo de treino"),
            *("video di addestramento", "video di training"),
        ),
    ),
    "consent_video": (
        ("consent", "consent recording", "consent clip", "consent footage", "video consent", "video of consent"),
        (
            *("Einwilligung", "Einwilligungsvideo", "Einverständnis", "Einverständnisvideo"),
            *("Zustimmung", "Zustimmungsvideo", "consentement", "vidéo de consentement"),
            *("consentimiento", "vídeo de consentimiento", "consentimento", "vídeo de consentimento"),
            *("consenso", "video consenso", "video di consenso"),
        ),
    ),
    "image": (
        ("avatar image", "image file", "portrait", "portrait image", "headshot", "avatar picture", "avatar photo"),
        (
            *("picture", "photo", "Bild", "Foto", "Porträt", "Avatarbild", "image de l'avatar"),
            *("imagen", "retrato", "imagem", "immagine", "ritratto"),
        ),
    ),
    "reference": (
        (
            "ref",
            "reference id",
            "external id",
            "external reference",
            "your reference",
            "creator id",
            "avatar reference",
        ),
        ("id", "key", "Referenz", "referencia", "riferimento"),
    ),
}
"""Other headers of each field in groups: a group counts only if the file has no header of an earlier one."""
NAME_PARTS = (
    *("first name", "given name", "forename", "last name", "family name", "surname"),
    *("Vorname", "Nachname", "Familienname", "prénom", "nom de famille", "apellido", "apellidos"),
    *("sobrenome", "apelido", "cognome"),
)
"""Headers of a part of a name, which is not the name that an avatar should have."""
TOTAL_LABELS = (
    *("total", "totals", "grand total", "subtotal", "sum", "count", "total general", "total geral", "totale"),
    *("Summe", "Gesamt", "Anzahl", "Ergebnis", "Gesamtergebnis", "Zwischensumme", "somme", "suma"),
)
"""Labels of the totals below a list, without the number that may follow."""
_REMARK = re.compile(r"[(\[][^()\[\]]*[)\]]")
_REMARK_RANK = 10
"""Added to the rank of a header with a remark in parentheses, such as `Consent video (at most 30 s)`."""
_LINK_SUFFIXES = ("url", "uri", "link", "file", "address")


def header_key(header: str) -> str:
    """Return what headers are compared by: their letters, digits and dots, without case, accents and variants."""
    if len(header) > MAX_HEADER_CHARACTERS:
        return ""
    folded = unicodedata.normalize("NFKD", header).casefold()
    return "".join(character for character in folded if character.isalnum() or character == ".").rstrip(".")


def _synonym_ranks() -> dict[str, tuple[str, int]]:
    ranks = {header_key(field): (field, 0) for field in COLUMNS}
    for field, groups in SYNONYMS.items():
        for rank, group in enumerate(groups, 1):
            ranks |= {header_key(synonym): (field, rank) for synonym in group}
    for field in RECORDING_COLUMNS:
        for key, (meant, rank) in list(ranks.items()):
            if meant == field:
                ranks |= {f"{key}{suffix}": (field, max(rank, 1)) for suffix in _LINK_SUFFIXES}
    return ranks


RANKS: Mapping[str, tuple[str, int]] = _synonym_ranks()
"""The field that a header means and its rank, by the key of the header. The own name of a field has rank 0."""
NAME_PART_KEYS = frozenset(map(header_key, NAME_PARTS))
_TOTAL_KEYS = frozenset(map(header_key, TOTAL_LABELS))


def meaning_of(header: str) -> tuple[str, int] | None:
    """Return the field that a header means, and its rank; None if it means none."""
    if (known := RANKS.get(header_key(header))) is not None:
        return known
    field, rank = RANKS.get(header_key(_REMARK.sub("", header)), ("", 0))
    return (field, rank + _REMARK_RANK) if field else None


def is_known_header(header: str) -> bool:
    """Return whether a header names a field of a manifest."""
    return meaning_of(header) is not None


def is_total_label(text: str) -> bool:
    """Return whether a cell is a label of totals, such as `Total: 30`."""
    return header_key(text).rstrip(digits) in _TOTAL_KEYS
