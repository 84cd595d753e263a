"""Subtitles, SRT and WebVTT, through pysubs2."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from wordspot.indexer.errors import InvalidInput
from wordspot.services.interchange.records import (
    MS_PER_SECOND,
    AnnotatedRecording,
    Annotation,
    Tier,
    TierFile,
    to_ms,
)
from wordspot.services.interchange.text import decoded

if TYPE_CHECKING:
    from pysubs2 import SSAEvent

SRT, VTT = "srt", "vtt"
TIER = "subtitles"
LATEST_S = 100 * 3_600  # from which on the formats have no times
_BLANK_LINES = re.compile(r"\n[ \t]*\n[ \t\n]*")
_TAGS = re.compile(r"<[^<>\n]*>|\{\\[^{}\n]*\}")
_BREAKS = re.compile(r"\\(?=[Nnh])")  # what pysubs2 takes for ends of lines and spaces
_WORD_JOINER = "\u2060"


def write(annotated: AnnotatedRecording, kind: str) -> bytes:
    """Returns subtitles in order of time. kind: SRT or VTT. Raises InvalidInput."""
    from pysubs2 import SSAEvent, SSAFile

    file = SSAFile()
    for tier in annotated.tiers:
        for each in tier.annotations:
            if each.end >= LATEST_S:
                raise InvalidInput(f"subtitles end at 99:59:59.999, got {each.end:.2f} s of {annotated.path}")
            text = _BREAKS.sub(rf"\\{_WORD_JOINER}", each.text)
            text = html.escape(text, quote=False) if kind == VTT else text
            file.append(SSAEvent(to_ms(each.start), to_ms(each.end), text))
    file.sort()
    return file.to_string(kind, keep_ssa_tags=True).encode()


def read(data: bytes, name: str, kind: str, encoding: str = "") -> TierFile:
    """Returns subtitles as one tier, without the tags of their texts. Raises InvalidInput."""
    from pysubs2 import SSAFile
    from pysubs2.exceptions import Pysubs2Error

    # Long runs of blank lines cost pysubs2 the square of their length.
    text = _BLANK_LINES.sub("\n\n", decoded(data, name, encoding))
    try:
        file = SSAFile.from_string(text, format_=kind, keep_html_tags=True)
    except (Pysubs2Error, ValueError) as error:
        raise InvalidInput(f"{name} cannot be read as {kind.upper()}: {error}") from None
    if not len(file) and text.strip().removeprefix("WEBVTT").strip():
        raise InvalidInput(f"{name} must be {kind.upper()}, got no line with two times such as 00:00:01,000")
    return TierFile([Tier(TIER, [_annotation(event, n, kind) for n, event in enumerate(file, 1)])])


def _annotation(event: SSAEvent, number: int, kind: str) -> Annotation:
    text = event.text.replace(r"\N", "\n")
    if kind == VTT:
        text = text.partition("\n\n")[0]  # the name of the next cue follows, or a note
    text = _TAGS.sub("", text)
    text = html.unescape(text) if kind == VTT else text
    text = " ".join(text.replace(_WORD_JOINER, "").split())
    return Annotation(event.start / MS_PER_SECOND, event.end / MS_PER_SECOND, text, number)
