"""Label tracks of Audacity: lines of start, end and text, parted by tabs."""

from __future__ import annotations

from wordspot.indexer.errors import InvalidInput
from wordspot.services.interchange.records import AnnotatedRecording, Annotation, Tier, TierFile
from wordspot.services.interchange.text import decoded

TIER = "labels"
FREQUENCIES = "\\\t"  # begins a line with the range of frequencies of the label above


def write(annotated: AnnotatedRecording) -> bytes:
    """Returns a label track in order of time."""
    annotations = [annotation for tier in annotated.tiers for annotation in tier.annotations]
    annotations.sort(key=lambda each: (each.start, each.end, each.text))
    return "".join(f"{each.start:.6f}\t{each.end:.6f}\t{each.text}\n" for each in annotations).encode()


def read(data: bytes, name: str, encoding: str = "") -> TierFile:
    """Returns the labels as one tier. Raises InvalidInput."""
    annotations: list[Annotation] = []
    for number, line in enumerate(decoded(data, name, encoding).split("\n"), 1):
        if not line.strip() or line.startswith(FREQUENCIES):
            continue
        start, *rest = line.split("\t", 2)
        try:
            # Some versions write the decimal comma of the user's language.
            times = float(start.replace(",", ".")), float(rest[0].replace(",", "."))
        except (ValueError, IndexError):
            raise InvalidInput(
                f"{name}, line {number} must be start, end and text, parted by tabs, got {line[:80]!r}"
            ) from None
        text = rest[1].strip() if len(rest) > 1 else ""
        annotations.append(Annotation(*times, text, len(annotations) + 1))
    return TierFile([Tier(TIER, annotations)])
