"""What searches, matrices and exports take and answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from wordspot.services.gateway.messages import JsonMessage
from wordspot.services.gateway.schemas import Filter, Name, Seconds, SynthesisBody
from wordspot.services.limits import (
    DEFAULT_HITS,
    DEFAULT_SPEAKERS,
    MAX_EXAMPLES,
    MAX_HITS,
    MAX_LANGUAGE_CHARACTERS,
    MAX_MOMENT_SECONDS,
    MAX_NAME_CHARACTERS,
    MAX_QUERIES_PER_REQUEST,
    MAX_QUERY_TEXT_CHARACTERS,
    MAX_RECORDINGS_PER_CALL,
    MAX_SPEAKERS,
    MAX_STORED_HITS,
    MAX_STREAMS,
    MAX_TEXT_CHARACTERS,
)

Moment = Annotated[float, Field(ge=0, le=MAX_MOMENT_SECONDS, allow_inf_nan=False)]


class StoredExample(JsonMessage):
    """A stretch of a recording in the archive."""

    recording: Name
    start: Seconds
    end: Seconds
    channel: Annotated[int, Field(ge=0, le=MAX_STREAMS, description="That of a hit; 0: the mix.")] = 0
    track: Annotated[int, Field(ge=0, le=MAX_STREAMS, description="That of a hit; 0: the default.")] = 0


class AudioExample(JsonMessage):
    """The bytes of a sound file; with start and end, the rest serves as context."""

    audio: Annotated[str, Field(min_length=1, description="Base64.", json_schema_extra={"format": "byte"})]
    filename: Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)] = ""
    start: Seconds | None = None
    end: Seconds | None = None
    channel: Annotated[int, Field(ge=0, le=MAX_STREAMS, description="Of the sound; 0: the mix.")] = 0

    @model_validator(mode="after")
    def _check_stretch(self) -> AudioExample:
        if (self.start is None) != (self.end is None):
            raise ValueError("start and end go together")
        return self


class QueryBody(JsonMessage):
    """What is looked for: one or more examples of the same words, or a text that a synthesiser says."""

    label: Annotated[str, Field(max_length=MAX_QUERY_TEXT_CHARACTERS)] = ""
    examples: Annotated[
        list[StoredExample | AudioExample], Field(max_length=MAX_EXAMPLES, default_factory=list)
    ]
    text: Annotated[str, Field(max_length=MAX_TEXT_CHARACTERS)] = ""
    language: Annotated[str, Field(max_length=MAX_LANGUAGE_CHARACTERS)] = "en"
    speakers: Annotated[int, Field(ge=1, le=MAX_SPEAKERS)] = DEFAULT_SPEAKERS

    @model_validator(mode="after")
    def _check_examples(self) -> QueryBody:
        if not self.text and not self.examples:
            raise ValueError("a query needs examples or a text, got neither")
        return self


class SearchSettings(JsonMessage):
    """How to search."""

    top: Annotated[int, Field(ge=1, le=MAX_HITS, description="Hits a query at most.")] = DEFAULT_HITS
    all_hits: Annotated[
        bool, Field(description="The whole ranking up to top; false: only what is detected.")
    ] = True
    min_score: Seconds | None = None
    speed_variants: Annotated[
        Literal[1, 3, 5, 7, 9],
        Field(description="Speeds at which each example is searched for, in so many times the time."),
    ] = 1
    mode: Annotated[Literal["sound", "meaning", "both"], Field(description="What is to be alike.")] = "sound"
    recordings: list[Name] = Field(
        default_factory=list,
        max_length=MAX_RECORDINGS_PER_CALL,
        description="Only these, by id; empty: all.",
    )
    filter: Filter | None = Field(default=None, description="Only recordings that match.")
    channel: Annotated[
        int, Field(ge=0, le=MAX_STREAMS, description="Only this channel of recordings, from 1; 0: all.")
    ] = 0
    with_verdicts: Annotated[
        bool,
        Field(
            description="Confirmed places of the query's label join its examples, rejected ones are left out."
        ),
    ] = False


class SearchBody(SearchSettings):
    """Queries and how to search for them."""

    queries: Annotated[list[QueryBody], Field(min_length=1, max_length=MAX_QUERIES_PER_REQUEST)]


class SearchForm(SearchSettings):
    """How to search for the examples that the files of a form are."""

    label: Annotated[str, Field(max_length=MAX_QUERY_TEXT_CHARACTERS)] = ""
    start: Seconds | None = None
    end: Seconds | None = None


class StretchBody(BaseModel):
    """A stretch of sound, in seconds."""

    start: float
    end: float


class VerdictOfHit(BaseModel):
    """What somebody said of a hit."""

    id: str
    correct: bool
    author: str


class HitBody(BaseModel):
    """A place where a query may be said, times in seconds."""

    recording: str
    path: str
    start: float
    end: float
    score: float
    p_correct: float
    detected: bool
    channel: int = Field(default=0, description="From 1; 0 for the mix, and where there is only one.")
    track: int = Field(default=0, description="Of audio, from 1; 0 for the one a player would choose.")
    missing: bool = Field(default=False, description="The file is not there any more: there is no clip.")
    verdict: VerdictOfHit | None = Field(default=None, description="What somebody said of it.")


class ResultBody(BaseModel):
    """What was found for one query."""

    label: str
    hits: list[HitBody]
    compared: StretchBody
    threshold: float
    p_threshold: float | None
    seconds: float
    synthesis: SynthesisBody | None
    warnings: list[str]
    confirmed_examples: int = Field(default=0, description="Places that have joined the examples.")
    rejected_places: int = Field(default=0, description="Places that were left out.")
    advice: list[str] = Field(description="What to try where nothing is certain.")
    problem: dict[str, Any] | None = Field(
        default=None, description="Why this query of several could not be answered; a problem of RFC 9457."
    )


class SearchAnswerBody(BaseModel):
    """Results in the order of the queries."""

    results: list[ResultBody]


class MatrixBody(SearchBody):
    """Keywords, and how to search for them."""

    top: Annotated[int, Field(ge=1, le=MAX_HITS, description="Hits a keyword at most.")] = 1_000
    min_p: Annotated[
        float, Field(ge=0, le=1, description="An undetected hit counts as uncertain from this p_correct.")
    ] = 0.1


class KeywordBody(BaseModel):
    """A row of a matrix."""

    label: str
    problem: dict[str, Any] | None = Field(default=None, description="Why it could not be answered.")


class ColumnBody(BaseModel):
    """A column of a matrix: a recording in which something was found."""

    id: str
    path: str


class MatrixAnswerBody(BaseModel):
    """How often each keyword was found in each recording: detected, and uncertain."""

    keywords: list[KeywordBody]
    recordings: list[ColumnBody]
    counts: list[list[tuple[int, int]]]


class OccurrenceBody(JsonMessage):
    """A place to export."""

    query: Annotated[str, Field(max_length=MAX_QUERY_TEXT_CHARACTERS)] = ""
    recording: Name
    path: str = ""
    start: Moment
    end: Moment
    score: Seconds | None = None
    p_correct: Seconds | None = None
    detected: bool = True
    channel: Annotated[int, Field(ge=0, le=(1 << 31) - 1)] = 0
    correct: bool | None = None
    author: str = ""


class VerdictSelection(JsonMessage):
    """Verdicts of an archive, those that match each that is set."""

    query: str = ""
    recording: str = ""
    author: str = ""
    correct: bool | None = None


class ExportBody(JsonMessage):
    """What to export, and how."""

    format: Literal["eaf", "textgrid", "srt", "vtt", "audacity", "csv", "tsv", "jsonl"]
    hits: list[OccurrenceBody] | None = Field(default=None, max_length=MAX_STORED_HITS)
    verdicts: VerdictSelection | None = None
    with_scores: bool = False
    bom: Annotated[bool, Field(description="Tables begin with a byte order mark.")] = False
    per_recording: Annotated[bool, Field(description="Tables, too, are a file a recording.")] = False

    @model_validator(mode="after")
    def _check_source(self) -> ExportBody:
        if (self.hits is None) == (self.verdicts is None):
            raise ValueError("give either hits or verdicts")
        return self


class AnnotationBody(BaseModel):
    """A stretch with a text, in seconds."""

    start: float
    end: float
    text: str


class TierBody(BaseModel):
    """Annotations of one kind."""

    name: str
    annotations: list[AnnotationBody]


class TiersBody(BaseModel):
    """What an annotation file holds. recording: the one of the archive that it names, where there is one."""

    tiers: list[TierBody]
    media: list[str]
    recording: str | None
