"""Exports to files: what `wordspot export` and `wordspot search --export` share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from wordspot.indexer.errors import ArchiveError, InvalidInput
from wordspot.indexer.records import Hit
from wordspot.services.client.archives import Client
from wordspot.services.commands import console
from wordspot.services.interchange.formats import (
    FORMATS,
    ExportedFile,
    ExportOptions,
    Format,
    export,
    format_named,
    zipped,
)
from wordspot.services.interchange.records import Occurrence

STANDARD_OUTPUT = Path("-")
ZIP = ".zip"
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="PATH",
        parser=console.parsed_path,
        help="Where to export: a folder, a file, a zip file. [default: standard output, for tables]",
    ),
]
FORMAT_HELP = f"One of {', '.join(FORMATS)}."


@dataclass(frozen=True)
class ExportTarget:
    """Where an export goes and how.

    format_name: of the files.
    out: a file, a folder, or - for standard output; None for standard output.
    zip_: whether all files go into one zip archive.
    with_scores, bom, per_recording: as ExportOptions has them.
    """

    format_name: str
    out: Path | None = None
    zip_: bool = False
    with_scores: bool = False
    bom: bool = False
    per_recording: bool = False

    @property
    def format(self) -> Format:
        """The format. Raises InvalidInput."""
        return format_named(self.format_name)

    @property
    def to_output(self) -> bool:
        """Whether standard output takes the export."""
        return self.out in (None, STANDARD_OUTPUT)

    @property
    def in_zip(self) -> bool:
        """Whether a zip archive is written."""
        return self.zip_ or (self.out is not None and self.out.suffix.lower() == ZIP)

    def check(self) -> None:
        """Raises InvalidInput, typer.BadParameter for what cannot be done, before any work."""
        format_ = self.format
        if self.bom and format_.suffix not in (".csv", ".tsv"):
            raise typer.BadParameter("--bom goes with csv and tsv")
        if self.to_output:
            if (format_.tabulate is None or self.per_recording) and not self.in_zip:
                raise typer.BadParameter(
                    f"--out must name a folder, or a zip file: {format_.name} has a file a recording"
                )
            if self.in_zip and sys.stdout.isatty():
                raise typer.BadParameter("--out must name a zip file, for standard output is a terminal")
        elif self.out is not None:
            if self.in_zip and self.out.is_dir():
                raise InvalidInput(f"--out must name a zip file, got the folder {self.out}")
            folder = self.out.parent if self.in_zip or self._names_a_file else self.out
            there = next((each for each in (folder, *folder.parents) if each.exists()), folder)
            if not there.is_dir():
                raise InvalidInput(f"cannot write to {self.out}: {there} is no folder")
            if folder != there and folder != self.out:
                raise InvalidInput(f"cannot write {self.out}: there is no folder {folder}")

    def write(self, occurrences: Iterable[Occurrence], lengths: Callable[[], Mapping[str, float]]) -> str:
        """Writes the files and returns what to say of it; "" where standard output took them.

        lengths: gives how long recordings are, by id, where the format has use for it. Raises InvalidInput.
        """
        listed = list(occurrences)
        options = ExportOptions(
            seconds=lengths() if self.format_name.lower() == "textgrid" else {},
            folder=self._folder(),
            with_scores=self.with_scores,
            bom=self.bom,
            per_recording=self.per_recording,
        )
        files = export(listed, self.format_name, options)
        if self.in_zip:
            return self._written([ExportedFile("", zipped(files))], len(listed), len(files))
        return self._written(files, len(listed), len(files))

    def _folder(self) -> str | None:
        """Returns the folder to which links in the files are relative."""
        if self.to_output or self.in_zip or self.out is None:
            return None
        return str(Path(self.out.parent if self._names_a_file else self.out).absolute())

    @property
    def _names_a_file(self) -> bool:
        """Whether `out` names a file, by its ending, and no folder of that name is there."""
        assert self.out is not None
        return self.out.suffix.lower() == self.format.suffix.lower() and not self.out.is_dir()

    def _written(self, files: Sequence[ExportedFile], count: int, total: int) -> str:
        """Raises InvalidInput."""
        if self.to_output or self.out is None:
            for file in files:
                sys.stdout.buffer.write(file.data)
            sys.stdout.buffer.flush()
            return ""
        what = f"{console.counted(count, 'place')} in {console.counted(total, 'file')}"
        if self.in_zip or (self._names_a_file and len(files) == 1):
            _write(self.out, files[0].data)
            return f"exported {what} to {self.out}"
        if self._names_a_file:
            raise InvalidInput(
                f"--out must name a folder or zip file for files of {total} recordings, got {self.out}"
            )
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInput(f"cannot write to {self.out}: {error.strerror}") from error
        for file in files:
            _write(self.out / file.name, file.data)
        return f"exported {what} to {self.out}"


def occurrences_of(label: str, hits: Iterable[Hit]) -> list[Occurrence]:
    """Returns the hits of a query as they are exported."""
    return [
        Occurrence(
            query=label,
            recording=hit.recording,
            path=hit.path,
            start=hit.start,
            end=hit.end,
            score=hit.score,
            p_correct=hit.p_correct,
            detected=hit.detected,
            channel=hit.channel,
        )
        for hit in hits
    ]


def recording_lengths(client: Client, archive: str, occurrences: Iterable[Occurrence]) -> Mapping[str, float]:
    """Returns how many seconds the recordings last, by id, as far as the archive knows them."""
    wanted = {occurrence.recording for occurrence in occurrences}
    seconds: dict[str, float] = {}
    try:
        for recording in client.recordings(archive):
            if recording.id in wanted and recording.duration_seconds > 0:
                seconds[recording.id] = recording.duration_seconds
            if len(seconds) == len(wanted):
                break
    except ArchiveError as error:
        console.warn(f"wordspot: TextGrids end with their last place, not with the recording: {error}")
    return seconds


def _write(path: Path, data: bytes) -> None:
    """Raises InvalidInput."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise InvalidInput(f"cannot write {path}: {error.strerror}") from error
