"""The formats: what may be exported and imported, and under which names."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath

from wordspot.indexer.errors import InvalidInput
from wordspot.services.interchange import audacity, eaf, subtitles, tables, textgrid
from wordspot.services.interchange.layout import grouped_by_recording, tiers_of
from wordspot.services.interchange.names import FileNames, safe_stem
from wordspot.services.interchange.records import AnnotatedRecording, Occurrence, TierFile
from wordspot.services.limits import MAX_TIER_FILE_BYTES

TABLE_STEM = "hits"
ZIP_TYPE = "application/zip"


@dataclass(frozen=True)
class ExportOptions:
    """How occurrences are exported.

    Attributes:
        seconds: how long recordings are, by id, as far as it is known: TextGrids end there.
        folder: where the files will lie, absolute: links to recordings are relative to it.
        with_scores: whether texts of annotations end with the score.
        bom: whether tables begin with a byte order mark.
        per_recording: whether tables, too, are a file a recording.
        created: when, with its time zone.
    """

    seconds: Mapping[str, float] = field(default_factory=dict)
    folder: str | None = None
    with_scores: bool = False
    bom: bool = False
    per_recording: bool = False
    created: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True)
class ExportedFile:
    """A file to be written. name: without folder, safe on every file system, unique in an export."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Format:
    """A format of files.

    Attributes:
        name: as users state it.
        suffix: of files.
        media_type: of files.
        annotate: writes the annotations of one recording; None for tables.
        tabulate: writes all occurrences; None for formats of annotations.
        read: tiers from bytes, the file's name and its encoding; None where nothing is read.
    """

    name: str
    suffix: str
    media_type: str
    annotate: Callable[[AnnotatedRecording, ExportOptions], bytes] | None = None
    tabulate: Callable[[Iterable[Occurrence], ExportOptions], bytes] | None = None
    read: Callable[[bytes, str, str], TierFile] | None = None


def _table(delimiter: str) -> Callable[[Iterable[Occurrence], ExportOptions], bytes]:
    return lambda occurrences, options: tables.write(occurrences, delimiter, bom=options.bom)


FORMATS: Mapping[str, Format] = {
    each.name: each
    for each in (
        Format(
            "eaf",
            ".eaf",
            "text/x-eaf+xml",
            annotate=lambda annotated, options: eaf.write(annotated, options.created),
            read=lambda data, name, encoding: eaf.read(data, name),
        ),
        Format(
            "textgrid",
            ".TextGrid",
            "text/praat-textgrid",
            annotate=lambda annotated, options: textgrid.write(annotated),
            read=textgrid.read,
        ),
        Format(
            "srt",
            ".srt",
            "application/x-subrip",
            annotate=lambda annotated, options: subtitles.write(annotated, subtitles.SRT),
            read=lambda data, name, encoding: subtitles.read(data, name, subtitles.SRT, encoding),
        ),
        Format(
            "vtt",
            ".vtt",
            "text/vtt",
            annotate=lambda annotated, options: subtitles.write(annotated, subtitles.VTT),
            read=lambda data, name, encoding: subtitles.read(data, name, subtitles.VTT, encoding),
        ),
        Format(
            "audacity",
            ".txt",
            "text/plain",
            annotate=lambda annotated, options: audacity.write(annotated),
            read=audacity.read,
        ),
        Format("csv", ".csv", "text/csv", tabulate=_table(tables.CSV)),
        Format("tsv", ".tsv", "text/tab-separated-values", tabulate=_table(tables.TSV)),
        Format(
            "jsonl",
            ".jsonl",
            "application/jsonl",
            tabulate=lambda occurrences, options: tables.write_lines(occurrences),
        ),
    )
}
READABLE = tuple(name for name, each in FORMATS.items() if each.read is not None)


def format_named(name: str) -> Format:
    """Returns a format. Raises InvalidInput."""
    found = FORMATS.get(name.lower())
    if found is None:
        raise InvalidInput(f"the format must be one of {', '.join(FORMATS)}, got {name!r}")
    return found


def export(
    occurrences: Iterable[Occurrence], name: str, options: ExportOptions | None = None
) -> list[ExportedFile]:
    """Returns the files of an export: one a recording, one for everything where the format is a table.

    Args:
        occurrences: hits or verdicts, in the order that tables have.
        name: of the format.
        options: how.

    Raises:
        InvalidInput: there is no such format, or it cannot hold a time.
    """
    format_, options = format_named(name), options or ExportOptions()
    listed = list(occurrences)
    if format_.tabulate is not None and not options.per_recording:
        return [ExportedFile(TABLE_STEM + format_.suffix, format_.tabulate(listed, options))]
    names = FileNames()
    return [
        ExportedFile(names.take(safe_stem(group[0].path), format_.suffix), _content(format_, group, options))
        for group in grouped_by_recording(listed)
    ]


def _content(format_: Format, group: Sequence[Occurrence], options: ExportOptions) -> bytes:
    """Returns the file of one recording."""
    if format_.tabulate is not None:
        return format_.tabulate(group, options)
    assert format_.annotate is not None
    annotated = AnnotatedRecording(
        recording=group[0].recording,
        path=group[0].path,
        tiers=tiers_of(group, with_scores=options.with_scores),
        seconds=options.seconds.get(group[0].recording),
        folder=options.folder,
    )
    return format_.annotate(annotated, options)


def zipped(files: Iterable[ExportedFile]) -> bytes:
    """Returns the files as a zip archive; the same files give the same bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for each in files:
            archive.writestr(zipfile.ZipInfo(each.name), each.data, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def read_tiers(data: bytes, name: str, format_name: str = "", encoding: str = "") -> TierFile:
    """Returns the tiers of an annotation file.

    Args:
        data: its bytes.
        name: of the file, for messages; its ending tells the format.
        format_name: one of READABLE, where the ending does not tell it.
        encoding: of its text, where it is neither UTF-8 nor told by a byte order mark.

    Raises:
        InvalidInput: it cannot be read; the message is one line and says where.
    """
    if len(data) > MAX_TIER_FILE_BYTES:
        raise InvalidInput(
            f"an annotation file must have at most {MAX_TIER_FILE_BYTES:,} bytes, got {name} of {len(data):,}"
        )
    if not data:
        raise InvalidInput(f"{name} is empty, 0 bytes")
    format_ = format_named(format_name) if format_name else _format_of(name)
    if format_.read is None:
        raise InvalidInput(f"tiers are read from {', '.join(READABLE)}, not from {format_.name}")
    return format_.read(data, name, encoding)


def _format_of(name: str) -> Format:
    """Raises InvalidInput."""
    suffix = PurePosixPath(name).suffix.lower()
    for format_ in FORMATS.values():
        if format_.read is not None and format_.suffix.lower() == suffix:
            return format_
    endings = ", ".join(FORMATS[each].suffix for each in READABLE)
    raise InvalidInput(f"the name of an annotation file must end in {endings}, got {name}")
