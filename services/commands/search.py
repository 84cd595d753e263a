"""wordspot search: where does a query occur in an archive?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from wordspot.indexer.errors import InvalidInput
from wordspot.indexer.records import Mode
from wordspot.services.answers import SearchAnswer
from wordspot.services.client.archives import Client
from wordspot.services.client.matrices import MATRIX_HITS, MatrixBuilder
from wordspot.services.commands import console, filters
from wordspot.services.commands.clips import save_clips
from wordspot.services.commands.exporting import (
    FORMAT_HELP,
    ExportTarget,
    Out,
    occurrences_of,
    recording_lengths,
)
from wordspot.services.commands.languages import language_hint
from wordspot.services.commands.matrix_output import write_matrix
from wordspot.services.commands.search_options import SearchArguments, check_companions, check_options
from wordspot.services.commands.search_output import Advice, print_answer
from wordspot.services.commands.search_queries import (
    GivenQuery,
    NamedQuery,
    SynthesisOptions,
    batch_queries,
)
from wordspot.services.commands.tier_queries import MediaOptions, choose_tier, tier_queries
from wordspot.services.escapes import escaped
from wordspot.services.examples import TypedQuery
from wordspot.services.interchange.records import Occurrence
from wordspot.services.limits import DEFAULT_HITS, DEFAULT_SPEAKERS, MAX_HITS, MAX_SPEAKERS, MAX_STREAMS

Files = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[QUERY]...", help="A spoken example, or several of the same words; - is the standard input."
    ),
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
        help="Many keywords: a line is a word, a path, or label and path parted by a tab, with start and end "
        "behind it or without; or a CSV file with columns label, file, text."
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
Padding = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="Of sound before and after each hit in --save-clips. [default: 0]"),
]
Channel = Annotated[
    int, typer.Option(min=0, max=MAX_STREAMS, help="Search only this channel of recordings, from 1.")
]
QueryChannel = Annotated[
    int,
    typer.Option(min=0, max=MAX_STREAMS, help="Take the query from this channel of QUERY or --recording."),
]
TierFile = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="FILE",
        help="Search for every annotation of a tier: ELAN, TextGrid, SRT, VTT or labels of Audacity.",
    ),
]
TierName = Annotated[str | None, typer.Option(help="Which tier of --from, where it has several.")]
Media = Annotated[
    Path | None,
    typer.Option(
        help="The recording that --from annotates, where it names none; --recording ID for an indexed one."
    ),
]
Encoding = Annotated[
    str, typer.Option(help="Of the text of --from, where it is neither UTF-8 nor marked as UTF-16.")
]
Label = Annotated[
    str | None,
    typer.Option(
        "--label", metavar="LABEL", help="What is looked for: the name under which there are verdicts of it."
    ),
]
WithVerdicts = Annotated[
    bool,
    typer.Option(
        "--with-verdicts",
        help="Places with the verdict right join the examples, those with wrong are left out.",
    ),
]
Matrix = Annotated[
    Path | None,
    typer.Option(
        "--matrix",
        metavar="FILE",
        parser=console.parsed_path,
        help="Instead of hits: a CSV file of how often each keyword is detected and how often it is "
        "uncertain, in each recording.",
    ),
]
Export = Annotated[
    str | None, typer.Option("--export", metavar="FORMAT", help=f"Export the hits, too. {FORMAT_HELP}")
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
    channel: Channel = 0,
    query_channel: QueryChannel = 0,
    tier_file: TierFile = None,
    tier: TierName = None,
    media: Media = None,
    encoding: Encoding = "",
    clips: SaveClips = None,
    padding: Padding = None,
    export_format: Export = None,
    out: Out = None,
    label: Label = None,
    paths: filters.Paths = None,
    folders: filters.Folders = None,
    tags: filters.Tags = None,
    since: filters.Since = None,
    until: filters.Until = None,
    with_verdicts: WithVerdicts = False,
    matrix: Matrix = None,
    address: console.Address = None,
    as_json: console.Json = False,
) -> None:
    """Find where something occurs in an archive, by one or more spoken examples.

    The best places are listed, each with its score and P, the probability that it is right: detected ones
    first, then uncertain ones, which are marked with a question mark.
    """
    check_options(top, min_score, speed_variants, all_hits=all_hits, detected=detected)
    check_companions(text, batch, language, speakers, clips, padding)
    top = top or (MAX_HITS if all_hits else DEFAULT_HITS if matrix is None else MATRIX_HITS)
    target = _target(export_format, out, as_json=as_json)
    wanted = filters.recording_filter(paths, folders, tags, since, until)
    given = GivenQuery([*(query or ()), *(more or ())], text, recording, start, end, label, query_channel)
    source = _QuerySource(given, batch, tier_file, tier, MediaOptions(recording, media), encoding)
    prepared = source.prepared(_synthesis(text, language, speakers))
    options = SearchArguments(
        top, min_score, detected, encoder, speed_variants, mode, wanted, with_verdicts, channel
    )
    with Client(address, read_only=True) as client:
        advice = Advice(client, archive, top, min_score, detected, speed_variants, mode)
        queries = prepared(client, archive)
        answers = options.answers(client, archive, queries)
        _Answers(queries, advice, source.many, as_json, clips, padding or 0.0, target, matrix).report(answers)


@dataclass(frozen=True)
class _QuerySource:
    """Where the queries come from, as the options say."""

    given: GivenQuery
    batch: Path | None
    tier_file: Path | None
    tier: str | None
    media: MediaOptions
    encoding: str

    @property
    def many(self) -> bool:
        """Whether each query may fail for itself."""
        return self.batch is not None or self.tier_file is not None

    def prepared(self, synthesis: SynthesisOptions) -> Callable[[Client, str], Sequence[NamedQuery]]:
        """Returns a function of the client and the archive that gives the queries.

        Raises typer.BadParameter, InvalidInput for what is wrong whatever the archive holds.
        """
        given = self.given
        if self.many and given.label is not None:
            raise typer.BadParameter("--label goes with one query: others have labels of their own")
        stretch = given.start is not None or given.end is not None
        if self.tier_file is None:
            if self.tier is not None or self.media.media is not None or self.encoding:
                raise typer.BadParameter("--tier, --media and --encoding go with --from")
            if self.batch is None:
                named = [given.named(synthesis)]
            elif given.files or given.text is not None or given.recording is not None:
                raise typer.BadParameter("give QUERY or --say, --recording or both, --batch or --from alone")
            elif stretch:
                raise typer.BadParameter("--start and --end do not go with --batch: put them into its lines")
            else:
                named = batch_queries(self.batch, synthesis)
            return lambda client, archive: named
        if given.files or given.text is not None or self.batch is not None or stretch:
            raise typer.BadParameter("--from goes with --tier, --media and --recording, and no other query")
        chosen = choose_tier(self.tier_file, self.tier, self.encoding)
        return lambda client, archive: tier_queries(chosen, self.media, client, archive)


@dataclass(frozen=True)
class _Answers:
    """What is done with answers: printed, saved as clips, exported, counted."""

    queries: Sequence[NamedQuery]
    advice: Advice
    many: bool
    as_json: bool
    clips: Path | None
    padding: float
    target: ExportTarget | None
    matrix: Path | None

    def report(self, answers: Iterable[SearchAnswer]) -> None:
        """Raises InvalidInput where the only query has a problem, typer.Exit where something failed."""
        problems = lost_clips = 0
        occurrences: list[Occurrence] = []
        counted = MatrixBuilder()
        for number, (query, answer) in enumerate(zip(self.queries, answers, strict=True), 1):
            if answer.problem and not self.many:
                raise InvalidInput(answer.problem)
            problems += bool(answer.problem)
            counted.add(query.label, answer)
            prints_hits = self.matrix is None and (self.target is None or not self.target.to_output)
            if prints_hits:
                print_answer(query, answer, self.advice, as_json=self.as_json, titled=self.many)
            elif answer.problem:
                console.warn(f"wordspot: {query.name}: {answer.problem}")
            occurrences += occurrences_of(query.label, answer.hits)
            if self.clips is not None:
                folder = self.clips / f"{number:04}" if self.many else self.clips
                lost_clips += self._save_clips(query.label, answer, folder)
        if self.target is not None:
            self._export(self.target, occurrences)
        if self.matrix is not None:
            write_matrix(counted.matrix(), self.matrix, as_json=self.as_json)
        if problems:
            console.warn(f"wordspot: {problems} of {len(self.queries)} queries could not be answered")
        if lost_clips:
            console.warn(f"wordspot: {console.counted(lost_clips, 'clip')} could not be saved")
        if problems or lost_clips:
            raise typer.Exit(2)

    def _save_clips(self, label: str, answer: SearchAnswer, folder: Path) -> int:
        client, archive = self.advice.client, self.advice.archive
        return save_clips(client, archive, answer.hits, folder, query=label, padding=self.padding)

    def _export(self, target: ExportTarget, occurrences: Sequence[Occurrence]) -> None:
        told = target.write(
            occurrences, lambda: recording_lengths(self.advice.client, self.advice.archive, occurrences)
        )
        if told and not self.as_json:
            console.print_line(escaped(told))


def _synthesis(text: str | None, language: str | None, speakers: int | None) -> SynthesisOptions:
    """Returns how typed words are spoken; warns of what seems to be in another language than is assumed."""
    if text is not None and language is None and (hint := language_hint(text)):
        console.warn(f"wordspot: {hint}")
    return SynthesisOptions(TypedQuery.language if language is None else language, speakers)


def _target(export_format: str | None, out: Path | None, *, as_json: bool) -> ExportTarget | None:
    """Raises InvalidInput, typer.BadParameter."""
    if export_format is None:
        if out is not None:
            raise typer.BadParameter("--out goes with --export")
        return None
    target = ExportTarget(export_format, out)
    target.check()
    if target.to_output and as_json:
        raise typer.BadParameter("--json and --export without --out exclude each other")
    return target
