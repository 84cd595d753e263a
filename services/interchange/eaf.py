"""ELAN annotation files (EAF 3.0), written through pympi.

They are read from the tree itself: pympi reads no hostile XML safely, and takes annotations that refer to
others for granted to end in a tier without parent.
"""

from __future__ import annotations

import mimetypes
import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.paths import readable
from wordspot.services.interchange.records import (
    MS_PER_SECOND,
    AnnotatedRecording,
    Annotation,
    MediaLink,
    Tier,
    TierFile,
    to_ms,
)
from wordspot.services.interchange.text import one_line

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from pympi.Elan import Eaf

VERSION = "3.0"
SCHEMA = f"http://www.mpi.nl/tools/elan/EAFv{VERSION}.xsd"
TIER_TYPE = "default-lt"
ANNOTATOR = "wordspot"
RECORDING_PROPERTY, NAME_PROPERTY = "wordspot.recording", "wordspot.name"
MAX_REFERENCES = 100  # from annotation to annotation
_WAV = "audio/x-wav"  # as ELAN writes it; Python's word for it changes

_Times = tuple[float, float]


def write(annotated: AnnotatedRecording, created: datetime) -> bytes:
    """Returns an EAF file with a link to the recording.

    Args:
        annotated: the recording and its tiers.
        created: date of the file, with its time zone.
    """
    from pympi.Elan import Eaf, to_string

    eaf = Eaf(author=ANNOTATOR)
    eaf.remove_tier("default")
    eaf.adocument.update(
        {
            "DATE": created.isoformat(timespec="seconds"),
            "FORMAT": VERSION,
            "VERSION": VERSION,
            "xsi:noNamespaceSchemaLocation": SCHEMA,
        }
    )
    eaf.header.update({"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    url, relative, mime = _media(annotated)
    eaf.add_linked_file(url, relative, mime)
    for tier in annotated.tiers:
        eaf.add_tier(tier.name, ling=TIER_TYPE)
        for annotation in tier.annotations:
            eaf.add_annotation(tier.name, to_ms(annotation.start), to_ms(annotation.end), annotation.text)
    _order_time_slots(eaf)
    eaf.properties[:] = [
        ("lastUsedAnnotationId", eaf.maxaid),
        (RECORDING_PROPERTY, annotated.recording),
        (NAME_PROPERTY, one_line(annotated.path)),
    ]
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{to_string(eaf).strip()}\n'.encode()


def _order_time_slots(eaf: Eaf) -> None:
    """Numbers the time slots in order of time, as ELAN has them."""
    in_order = sorted(eaf.timeslots, key=lambda name: eaf.timeslots[name])
    names = {old: f"ts{number}" for number, old in enumerate(in_order, 1)}
    eaf.timeslots = {names[old]: eaf.timeslots[old] for old in in_order}
    for aligned, *_ in eaf.tiers.values():
        for key, (start, end, text, svg) in aligned.items():
            aligned[key] = (names[start], names[end], text, svg)


def _media(annotated: AnnotatedRecording) -> tuple[str, str, str]:
    """Returns URL, URL relative to the file, and media type of the recording."""
    path = annotated.path
    relative = posixpath.basename(path)
    if annotated.folder is not None and posixpath.isabs(path):
        relative = posixpath.relpath(path, annotated.folder)
    relative = quote(os.fsencode(relative if relative.startswith("../") else f"./{relative}"))
    url = f"file://{quote(os.fsencode(path))}" if posixpath.isabs(path) else relative
    kind = mimetypes.guess_type(readable(posixpath.basename(path)), strict=False)[0]
    if PurePosixPath(path).suffix.lower() in (".wav", ".wave"):
        kind = _WAV
    return url, relative, kind if kind and kind.startswith(("audio/", "video/")) else "audio/*"


def read(data: bytes, name: str) -> TierFile:
    """Returns the tiers of an EAF file; times that ELAN leaves open are spread evenly, as it shows them.

    Raises InvalidInput.
    """
    root = _parsed(data, name)
    try:
        slots = {
            slot.attrib["TIME_SLOT_ID"]: _seconds(slot.get("TIME_VALUE"))
            for slot in root.iterfind("TIME_ORDER/TIME_SLOT")
        }
        media = [_link(each) for each in root.iterfind("HEADER/MEDIA_DESCRIPTOR")]
        tiers = _tiers(root, slots)
    except KeyError as error:
        raise InvalidInput(f"{name} lacks {error.args[0]}, which an EAF file must have") from None
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"{name} cannot be read as EAF: {error}") from None
    return TierFile(tiers, media)


def _parsed(data: bytes, name: str) -> Element:
    """Raises InvalidInput."""
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root: Element = fromstring(data, forbid_dtd=True)
    except DefusedXmlException:
        raise InvalidInput(f"{name} has a document type, which an EAF file must not have") from None
    except (ParseError, ValueError, LookupError) as error:
        raise InvalidInput(f"{name} is not well-formed XML: {error}") from None
    if root.tag != "ANNOTATION_DOCUMENT":
        raise InvalidInput(f"the root of {name} must be ANNOTATION_DOCUMENT, as of EAF, got {root.tag[:80]}")
    return root


def _seconds(milliseconds: str | None) -> float | None:
    """Raises ValueError, OverflowError."""
    return None if milliseconds is None else int(milliseconds) / MS_PER_SECOND


def _link(element: Element) -> MediaLink:
    origin = _seconds(element.get("TIME_ORIGIN") or "0") or 0.0
    return MediaLink(element.attrib["MEDIA_URL"], element.get("RELATIVE_MEDIA_URL", ""), origin)


def _tiers(root: Element, slots: Mapping[str, float | None]) -> list[Tier]:
    """Raises KeyError, ValueError."""
    elements = {tier.attrib["TIER_ID"]: list(tier.iterfind("ANNOTATION/*")) for tier in root.iterfind("TIER")}
    places = _Places(elements.values(), slots)
    return [
        Tier(
            name,
            [
                Annotation(
                    *places.of(each.attrib["ANNOTATION_ID"]),
                    (each.findtext("ANNOTATION_VALUE") or "").strip(),
                    number,
                )
                for number, each in enumerate(members, 1)
            ],
        )
        for name, members in elements.items()
    ]


@dataclass(frozen=True)
class _Reference:
    """An annotation without times of its own. rank, count: among those of its tier with the same parent."""

    parent: str
    rank: int
    count: int


class _Places:
    """Where annotations lie. Raises KeyError and ValueError where that cannot be told."""

    def __init__(self, tiers: Iterable[Sequence[Element]], slots: Mapping[str, float | None]) -> None:
        self._aligned: dict[str, _Times] = {}
        self._references: dict[str, _Reference] = {}
        for members in tiers:
            self._aligned.update(_aligned_times(members, slots))
            self._references.update(_references(members))

    def of(self, name: str) -> _Times:
        """Returns start and end of an annotation."""
        parts: list[_Reference] = []
        while name not in self._aligned:
            parts.append(self._references[name])
            name = parts[-1].parent
            if len(parts) > MAX_REFERENCES:
                raise ValueError(f"annotation {name} refers to more than {MAX_REFERENCES} others in a row")
        start, end = self._aligned[name]
        for part in reversed(parts):
            step = (end - start) / part.count
            start, end = start + part.rank * step, start + (part.rank + 1) * step
        return start, end


def _references(members: Iterable[Element]) -> Iterator[tuple[str, _Reference]]:
    """Yields the annotations of a tier that refer to others. Raises KeyError."""
    children: dict[str, list[str]] = {}
    for each in members:
        if each.tag == "REF_ANNOTATION":
            children.setdefault(each.attrib["ANNOTATION_REF"], []).append(each.attrib["ANNOTATION_ID"])
    for parent, names in children.items():
        for rank, name in enumerate(names):
            yield name, _Reference(parent, rank, len(names))


def _aligned_times(
    members: Iterable[Element], slots: Mapping[str, float | None]
) -> Iterator[tuple[str, _Times]]:
    """Yields annotations with times of their own; runs whose inner times are open are spread evenly.

    Raises KeyError, ValueError.
    """
    run: list[str] = []
    start: float | None = None
    for each in members:
        if each.tag != "ALIGNABLE_ANNOTATION":
            continue
        first, last = slots[each.attrib["TIME_SLOT_REF1"]], slots[each.attrib["TIME_SLOT_REF2"]]
        if first is not None:
            run, start = [], first
        run.append(each.attrib["ANNOTATION_ID"])
        if last is None:
            continue
        if start is None:
            raise ValueError(f"annotation {run[0]} has no time to begin")
        step = (last - start) / len(run)
        for number, name in enumerate(run):
            yield name, (start + number * step, start + (number + 1) * step)
        run, start = [], last
    if run:
        raise ValueError(f"annotation {run[-1]} has no time to end")
