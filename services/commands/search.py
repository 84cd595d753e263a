"""wordspot search: where does a query occur in an archive?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.records import SPEED_VARIANTS, Mode
from wordspot.services.client.archives import Client
from wordspot.services.commands import console
from wordspot.services.commands.batch import numbered_lines
from wordspot.services.commands.clips import save_clips
from wordspot.services.commands.languages import language_hint
from wordspot.services.commands.search_output import Advice, print_answer
from wordspot.services.examples import FileQuery, Query, QueryExample, StoredQuery, TypedQuery
from wordspot.services.limits import DEFAULT_HITS, DEFAULT_SPEAKERS, MAX_HITS, MAX_SPEAKERS

Files = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[QUERY]...", help="A spoken example, or several of the same words."),
]
MoreFiles = Annotated[
    list[Path] | None, typer.Option("--query", metavar="QUERY", help="The same, as an option.")
]
Top = Annotated[int | None, typer.Option(help=f"Places at most, up to {MAX_HITS}. [default: {DEFAULT_HITS}]")]
MinScore = Annotated[
    float | None, typer.Option(help="Only places with at least this score, detected or not.")
]
AllHits = Annotated[
    bool, typer.Option("--all-hits", help=f"Every candidate, not only the first {DEFAULT_HITS}.")
]
Detected = Annotated[bool, typer.Option("--detected", help="Only what is detected.")]
Recording = Annotated[
    str | None, typer.Option(help="Take the query, or one more example, from this recording, by id.")
]
Start = Annotated[
    float | None, typer.Option(help="Where it begins in the recording or in QUERY, in seconds.")
]
End = Annotated[float | None, typer.Option(help="Where it ends, in seconds.")]
Text = Annotated[
    str | None,
    typer.Option("--say", metavar="TEXT", help="Let a synthesiser speak the query, for want of a recording."),
]
Language = Annotated[
    str | None,
    typer.Option(metavar="CODE", help="Of what is typed, as espeak-ng names it. [default: en]"),
]
Speakers = Annotated[
    int | None,
    typer.Option(
        help=f"Voices of the synthesiser that speak it, 1 to {MAX_SPEAKERS}. [default: {DEFAULT_SPEAKERS}]"
    ),
]
Batch = Annotated[
    Path | None,
    typer.Option(
        help="Many queries: a line is a path, or path, start and end, or `say` and words, parted by tabs."
    ),
]
Encoder = Annotated[str | None, typer.Option(help="Refuse an archive with another encoder.")]
SearchMode = Annotated[
    Mode, typer.Option(help="What is to be like the query: how it sounds, what it means, or both.")
]
SpeedVariants = Annotated[
    int,
    typer.Option(
        "--speed-variants",
        "--voices",
        help="Search for the query at so many speeds: 3, 5, 7 or 9 find more of other speakers, in as many "
        "times the time. --voices is deprecated.",
    ),
]
SaveClips = Annotated[
    Path | None,
    typer.Option(
        "--save-clips", metavar="DIR", parser=console.parsed_path, help="Write each hit's sound there as WAV."
    ),
]


def search(
    query: Files = None,
    more: MoreFiles = None,
    archive: console.Archive = "default",
    top: Top = None,
    min_score: MinScore = None,
    all_hits: AllHits = False,
    detected: Detected = False,
    recording: Recording = None,
    start: Start = None,
    end: End = None,
    text: Text = None,
    language: Language = None,
    speakers: Speakers = None,
    batch: Batch = None,
    encoder: Encoder = None,
    mode: SearchMode = Mode.SOUND,
    speed_variants: SpeedVariants = 1,
    clips: SaveClips = None,
    address: console.Address = None,
    as_json: console.Json = False,
) -> None:
    """Find where something occurs in an archive, by one or more spoken examples.

    The best places are listed, each with its score and P, the probability that it is right: detected ones
    first, then uncertain ones, which are marked with a question mark.
    """
    _check_options(top, min_score, speed_variants, all_hits=all_hits, detected=detected)
    if text is None and batch is None and (language, speakers) != (None, None):
        raise typer.BadParameter("--language and --speakers go with --say")
    top = top or (MAX_HITS if all_hits else DEFAULT_HITS)
    if text is not None and language is None and (hint := language_hint(text)):
        console.warn(f"wordspot: {hint}")
    synthesis = _SynthesisOptions(TypedQuery.language if language is None else language, speakers)
    queries = _queries([*(query or ()), *(more or ())], text, synthesis, recording, start, end, batch)
    problems = lost_clips = 0
    with Client(address, read_only=True) as client:
        advice = Advice(client, archive, top, min_score, detected, speed_variants, mode)
        answers = client.search_batch(
            [query for _, query in queries],
            archive,
            top=top,
            min_score=min_score,
            all_hits=not detected,
            encoder=encoder,
            speed_variants=speed_variants,
            mode=mode,
        )
        for number, ((name, _), answer) in enumerate(zip(queries, answers, strict=True), 1):
            if answer.problem and batch is None:
                raise InvalidInput(answer.problem)
            problems += bool(answer.problem)
            print_answer(name, answer, advice, as_json=as_json, titled=batch is not None)
            if clips is not None:
                folder = clips if batch is None else clips / f"{number:04}"
                lost_clips += save_clips(client, archive, answer.hits, folder)
    if problems:
        console.warn(f"wordspot: {problems} of {len(queries)} queries could not be answered")
    if lost_clips:
        console.warn(f"wordspot: {console.counted(lost_clips, 'clip')} could not be saved")
    if problems or lost_clips:
        raise typer.Exit(2)


def _check_options(
    top: int | None, min_score: float | None, speed_variants: int, *, all_hits: bool, detected: bool
) -> None:
    """Raises InvalidInput, typer.BadParameter."""
    if top is not None and not 1 <= top <= MAX_HITS:
        raise InvalidInput(f"--top must be between 1 and {MAX_HITS:,}, got {top}")
    if min_score is not None and not math.isfinite(min_score):
        raise InvalidInput(f"--min-score must be a finite number, got {min_score}")
    if detected and all_hits:
        raise typer.BadParameter("--detected and --all-hits exclude each other")
    if speed_variants not in SPEED_VARIANTS:
        allowed = ", ".join(map(str, SPEED_VARIANTS))
        raise InvalidInput(f"--speed-variants must be one of {allowed}, got {speed_variants}")


@dataclass(frozen=True)
class _SynthesisOptions:
    """How typed queries are spoken.

    language: a code of espeak-ng.
    speakers: how many voices speak them; None for the usual number.
    """

    language: str
    speakers: int | None

    def query(self, text: str) -> TypedQuery:
        speakers = DEFAULT_SPEAKERS if self.speakers is None else self.speakers
        return TypedQuery(text, self.language, speakers)


def _queries(
    files: Sequence[Path],
    text: str | None,
    synthesis: _SynthesisOptions,
    recording: str | None,
    start: float | None,
    end: float | None,
    batch: Path | None,
) -> list[tuple[str, Query]]:
    """Returns queries with their names. Raises typer.BadParameter, InvalidInput."""
    has_query = bool(files) or text is not None or recording is not None
    if has_query == (batch is not None) or (files and text is not None):
        raise typer.BadParameter("give QUERY or --say, --recording or both, or --batch alone")
    if batch is not None:
        if start is not None or end is not None:
            raise typer.BadParameter("--start and --end do not go with --batch: put them into its lines")
        if not (queries := list(_lines(batch, synthesis))):
            raise InvalidInput(f"{batch} holds no query")
        return queries
    if (start is None) != (end is None):
        raise typer.BadParameter("--start and --end go together")
    examples: list[tuple[str, QueryExample]] = [] if text is None else [(text, synthesis.query(text))]
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


def _lines(batch: Path, synthesis: _SynthesisOptions) -> Iterator[tuple[str, Query]]:
    """Yields each query of a file with its line. Raises InvalidInput."""
    for number, line in numbered_lines(batch):
        path, *times = line.split("\t")
        if path == "say" and len(times) == 1:
            yield line, synthesis.query(times[0])
            continue
        try:
            bounds = [float(time) for time in times]
        except ValueError:
            bounds = []
        if len(times) not in (0, 2) or len(bounds) != len(times):
            raise InvalidInput(
                f"{batch}, line {number} must be a path, path<TAB>start<TAB>end or say<TAB>text, got {line!r}"
            )
        yield line, FileQuery(Path(path), *bounds)
