"""What requests and answers hold beyond the messages of the contracts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, Field, StringConstraints, model_validator

from wordspot.services.gateway.messages import JsonMessage, model_of
from wordspot.services.limits import (
    DEFAULT_HITS,
    DEFAULT_PAGE_ITEMS,
    DEFAULT_SPEAKERS,
    MAX_EXAMPLES,
    MAX_HITS,
    MAX_LANGUAGE_CHARACTERS,
    MAX_NAME_CHARACTERS,
    MAX_PAGE_ITEMS,
    MAX_PAGE_TOKEN_CHARACTERS,
    MAX_QUERIES_PER_REQUEST,
    MAX_QUERY_TEXT_CHARACTERS,
    MAX_RECORDINGS_PER_CALL,
    MAX_SPEAKERS,
    MAX_TEXT_CHARACTERS,
)
from wordspot.v1 import archive_pb2, search_pb2

if TYPE_CHECKING:  # models made at run time are no types to a type checker
    Archive: TypeAlias = JsonMessage
    Recording: TypeAlias = JsonMessage
    Operation: TypeAlias = JsonMessage
    Verification: TypeAlias = JsonMessage
    Compaction: TypeAlias = JsonMessage
    SynthesisBody: TypeAlias = JsonMessage
else:
    Archive = model_of(archive_pb2.Archive)
    Recording = model_of(archive_pb2.Recording)
    Operation = model_of(archive_pb2.Operation)
    Verification = model_of(archive_pb2.VerifyArchiveResponse)
    Compaction = model_of(archive_pb2.CompactArchiveResponse)
    SynthesisBody = model_of(search_pb2.Synthesis)

Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_CHARACTERS)]
PageSize = Annotated[int, Field(ge=0, le=MAX_PAGE_ITEMS, description=f"0 means {DEFAULT_PAGE_ITEMS}.")]
PageToken = Annotated[
    str, Field(max_length=MAX_PAGE_TOKEN_CHARACTERS, description="The next_page_token of the page before.")
]
Seconds = Annotated[float, Field(allow_inf_nan=False)]


class Health(BaseModel):
    """Whether requests are answered."""

    status: Literal["ok", "unavailable"]
    problems: dict[str, str] = Field(
        default_factory=dict, description="Why a service cannot be used, by address."
    )


class Info(BaseModel):
    """What the server can do."""

    version: str
    encoders: list[str]
    default_encoder: str
    limits: dict[str, int]
    synthesis: bool = Field(description="Whether queries can be typed.")
    read_only: bool


class StoredExample(JsonMessage):
    """A stretch of a recording in the archive."""

    recording: Name
    start: Seconds
    end: Seconds


class AudioExample(JsonMessage):
    """The bytes of a sound file; with start and end, the rest serves as context."""

    audio: Annotated[str, Field(min_length=1, description="Base64.", json_schema_extra={"format": "byte"})]
    filename: Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)] = ""
    start: Seconds | None = None
    end: Seconds | None = None

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


class HitBody(BaseModel):
    """A place where a query may be said, times in seconds."""

    recording: str
    path: str
    start: float
    end: float
    score: float
    p_correct: float
    detected: bool


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
    advice: list[str] = Field(description="What to try where nothing is certain.")
    problem: dict[str, Any] | None = Field(
        default=None, description="Why this query of several could not be answered; a problem of RFC 9457."
    )


class SearchAnswerBody(BaseModel):
    """Results in the order of the queries."""

    results: list[ResultBody]


class ArchivePage(BaseModel):
    """Archives in the order of their names."""

    archives: list[Archive]
    next_page_token: str


class RecordingPage(BaseModel):
    """Recordings in the order of adding."""

    recordings: list[Recording]
    next_page_token: str
    total: int


class OperationPage(BaseModel):
    """Operations in the order of starting."""

    operations: list[Operation]
    next_page_token: str


class AddBody(JsonMessage):
    """A file that the server can read, below one of its roots."""

    path: Annotated[str, Field(min_length=1)]
    request_id: Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)] = ""


class AddedBody(BaseModel):
    """A recording, and whether the archive held its content already."""

    recording: Recording
    already_present: bool


class PeaksBody(BaseModel):
    """A waveform: least and greatest sample of equal parts, -127 to 127 of full scale, times in seconds."""

    start: float
    end: float
    buckets: int
    min: list[int]
    max: list[int]


class UploadBody(BaseModel):
    """How far an upload has come, in bytes, and what became of it."""

    id: str
    filename: str
    offset: int
    length: int
    recording: Recording | None
    already_present: bool


class IndexBody(JsonMessage):
    """How to index."""

    encoder: Annotated[
        str, Field(max_length=MAX_NAME_CHARACTERS, description="Empty: the archive's own.")
    ] = ""
    request_id: Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)] = ""
