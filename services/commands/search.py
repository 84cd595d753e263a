"""wordspot search: where was this said?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.records import VOICES, Hit, Mode
from wordspot.services.client import (
    Answer,
    Client,
    Example,
    FileQuery,
    Query,
    StoredQuery,
    Synthesis,
    TypedQuery,
)
from wordspot.services.commands import console
from wordspot.services.runtime import MAX_SPEAKERS

MAX_TOP = 10_000


def search(
    query: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[QUERY]...", help="A spoken example, or several of the same words."),
    ] = None,
    more: Annotated[
        list[Path] | None, typer.Option("--query", metavar="QUERY", help="The same, as an option.")
    ] = None,
    archive: console.Archive = "default",
    top: Annotated[int, typer.Option(help=f"Hits at most, up to {MAX_TOP}.")] = 10,
    min_score: Annotated[float | None, typer.Option(help="Only hits with at least this score.")] = None,
    all_hits: Annotated[bool, typer.Option("--all-hits", help="Also hits below the threshold.")] = False,
    recording: Annotated[
        str | None, typer.Option(help="Take the query, or one more example, from this recording, by id.")
    ] = None,
    start: Annotated[
        float | None, typer.Option(help="Where it begins in the recording or in QUERY, in seconds.")
    ] = None,
    end: Annotated[float | None, typer.Option(help="Where it ends, in seconds.")] = None,
    text: Annotated[
        str | None,
        typer.Option(
            "--say", metavar="TEXT", help="Let a synthesiser say the query, for want of a recording."
        ),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="Of what is typed, as espeak-ng names it. [default: en]"),
    ] = None,
    speakers: Annotated[
        int | None, typer.Option(help=f"Voices that say it, 1 to {MAX_SPEAKERS}. [default: 4]")
    ] = None,
    batch: Annotated[
        Path | None,
        typer.Option(
            help="Many queries: a line is a path, or path, start and end, or `say` and words, parted by tabs."
        ),
    ] = None,
    encoder: Annotated[str | None, typer.Option(help="Refuse an archive with another encoder.")] = None,
    mode: Annotated[
        Mode,
        typer.Option(help="What is to be like the query: how it sounds, what it means, or both."),
    ] = Mode.SOUND,
    voices: Annotated[
        int,
        typer.Option(
            help="Ask as if so many voices spoke: 3, 5, 7 or 9 find more of other speakers, in as many times "
            "the time."
        ),
    ] = 1,
    save_clips: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write each hit's sound there as WAV.")
    ] = None,
    address: console.Address = None,
    as_json: console.Json = False,
) -> None:
    """Find where something occurs in an archive, by one or more spoken examples."""
    if not 1 <= top <= MAX_TOP:
        raise InvalidInput(f"--top is {top}; 1 to {MAX_TOP} is allowed")
    if voices not in VOICES:
        raise InvalidInput(f"--voices is {voices}; {', '.join(map(str, VOICES))} are allowed")
    if text is None and batch is None and (language, speakers) != (None, None):
        raise typer.BadParameter("--language and --speakers go with --say")
    said = _Said(
        TypedQuery.language if language is None else language,
        TypedQuery.speakers if speakers is None else speakers,
    )
    queries = _queries([*(query or ()), *(more or ())], text, said, recording, start, end, batch)
    several = batch is not None
    problems = 0
    with Client(address) as client:
        answers = client.search_batch(
            [question for _, question in queries],
            archive,
            top=top,
            min_score=min_score,
            all_hits=all_hits or several,
            encoder=encoder,
            voices=voices,
            mode=mode,
        )
        for number, ((name, _), answer) in enumerate(zip(queries, answers, strict=True)):
            if answer.problem and not several:
                raise InvalidInput(answer.problem)
            problems += bool(answer.problem)
            _show(name, answer, as_json=as_json, titled=several)
            if save_clips is not None:
                folder = save_clips / f"{number + 1:04}" if several else save_clips
                _save_clips(client, archive, answer.hits, folder)
    if problems:
        console.warn(f"wordspot: {problems} of {len(queries)} queries could not be answered")
        raise typer.Exit(2)


@dataclasses.dataclass(frozen=True)
class _Said:
    """How what is typed is to be said."""

    language: str
    speakers: int

    def query(self, text: str) -> TypedQuery:
        return TypedQuery(text, self.language, self.speakers)


def _queries(
    files: Sequence[Path],
    text: str | None,
    said: _Said,
    recording: str | None,
    start: float | None,
    end: float | None,
    batch: Path | None,
) -> list[tuple[str, Query]]:
    """Queries with their names. Raises typer.BadParameter, InvalidInput."""
    given = bool(files) or text is not None or recording is not None
    if given == (batch is not None) or (files and text is not None):
        raise typer.BadParameter("give QUERY or --say, --recording or both, or --batch alone")
    if batch is not None:
        if start is not None or end is not None:
            raise typer.BadParameter("--start and --end do not go with --batch: put them into its lines")
        return list(_lines(batch, said))
    if (start is None) != (end is None):
        raise typer.BadParameter("--start and --end go together")
    examples: list[tuple[str, Example]] = [] if text is None else [(text, said.query(text))]
    if recording is None:
        if start is not None and len(files) != 1:
            raise typer.BadParameter("--start and --end go with one QUERY, or with --recording")
        examples += [(str(file), FileQuery(file, start, end)) for file in files]
    elif start is None or end is None:
        raise typer.BadParameter("--recording needs --start and --end")
    else:
        examples += [(str(file), FileQuery(file)) for file in files]
        examples.append((f"{recording} {start:g}-{end:g}", StoredQuery(recording, start, end)))
    return [(", ".join(name for name, _ in examples), [example for _, example in examples])]


def _lines(batch: Path, said: _Said) -> Iterator[tuple[str, Query]]:
    try:
        lines = batch.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot read {batch}: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        path, *times = line.split("\t")
        if path == "say" and len(times) == 1:
            yield line, said.query(times[0])
            continue
        try:
            bounds = [float(time) for time in times]
        except ValueError:
            bounds = []
        if len(times) not in (0, 2) or len(bounds) != len(times):
            raise InvalidInput(
                f"{batch}, line {number}: {line!r}; a path, path<TAB>start<TAB>end or say<TAB>text is allowed"
            )
        yield line, FileQuery(Path(path), *bounds)


def _show(name: str, answer: Answer, *, as_json: bool, titled: bool) -> None:
    if as_json:
        told: dict[str, Any] = {"query": name, "hits": [dataclasses.asdict(hit) for hit in answer.hits]}
        if answer.synthesis is not None:
            told["synthesis"] = dataclasses.asdict(answer.synthesis)
        console.say_json(told | ({"problem": answer.problem} if answer.problem else {}))
        return
    if titled:
        console.say(name.replace("\t", " "))
    if answer.synthesis is not None:
        console.say(_by_whom(answer.synthesis))
    if answer.problem:
        console.say(answer.problem)
    elif not answer.hits:
        console.say(f"not found: nothing reaches a score of {answer.threshold:g}")
    else:
        rows = [
            (f"{hit.start:.2f} - {hit.end:.2f}", f"{hit.score:.2f}", "" if hit.detected else "?", hit.path)
            for hit in answer.hits
        ]
        console.say_table(("seconds", "score", "", "recording"), rows, right=(0, 1))


def _by_whom(synthesis: Synthesis) -> str:
    count = len(synthesis.speakers)
    voices = "1 voice" if count == 1 else f"{count} voices"
    return f"spoken by {synthesis.synthesiser} in {voices} ({synthesis.language}); not a recording"


def _save_clips(client: Client, archive: str, hits: Iterable[Hit], folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for rank, hit in enumerate(hits, 1):
            name = f"{rank:03}_{Path(hit.path).stem}_{hit.start:.2f}-{hit.end:.2f}.wav"
            (folder / name).write_bytes(client.clip(hit.recording, hit.start, hit.end, archive))
    except OSError as error:
        raise InvalidInput(f"cannot write clips to {folder}: {error.strerror}") from error
