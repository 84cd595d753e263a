"""What requests and answers hold beyond the messages of the contracts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from wordspot.services.gateway.messages import JsonMessage, enum_names, model_of
from wordspot.services.limits import (
    DEFAULT_PAGE_ITEMS,
    MAX_NAME_CHARACTERS,
    MAX_PAGE_ITEMS,
    MAX_PAGE_TOKEN_CHARACTERS,
)
from wordspot.v1 import archive_pb2, models_pb2, search_pb2

if TYPE_CHECKING:  # models made at run time are no types to a type checker
    Archive: TypeAlias = JsonMessage
    StateName: TypeAlias = str
    Filter: TypeAlias = JsonMessage
    TagPage: TypeAlias = JsonMessage
    Updates: TypeAlias = JsonMessage
    UpdateAnswers: TypeAlias = JsonMessage
    Verdicts: TypeAlias = JsonMessage
    ModelBody: TypeAlias = JsonMessage
    ModelsBody: TypeAlias = JsonMessage
    VerdictAnswers: TypeAlias = JsonMessage
    VerdictPage: TypeAlias = JsonMessage
    Recording: TypeAlias = JsonMessage
    Operation: TypeAlias = JsonMessage
    Verification: TypeAlias = JsonMessage
    Compaction: TypeAlias = JsonMessage
    SynthesisBody: TypeAlias = JsonMessage
else:
    Archive = model_of(archive_pb2.Archive)
    StateName = Literal[tuple(enum_names(archive_pb2.RecordingState.DESCRIPTOR).values())[1:]]
    Filter = model_of(archive_pb2.RecordingFilter)
    TagPage = model_of(archive_pb2.ListTagsResponse)
    Updates = model_of(archive_pb2.UpdateRecordingsRequest, without="archive")
    UpdateAnswers = model_of(archive_pb2.UpdateRecordingsResponse)
    Verdicts = model_of(archive_pb2.SetVerdictsRequest, without="archive")
    ModelBody = model_of(models_pb2.Model)
    ModelsBody = model_of(models_pb2.ListModelsResponse)
    VerdictAnswers = model_of(archive_pb2.SetVerdictsResponse)
    VerdictPage = model_of(archive_pb2.ListVerdictsResponse)
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
    languages: list[str] = Field(description="In which, as espeak-ng names them.")
    read_only: bool


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


class TagsBody(JsonMessage):
    """Tags of a recording: those that are null are removed, others set."""

    tags: dict[str, str | None]


class AddBody(JsonMessage):
    """A file that the server can read, below one of its roots."""

    path: Annotated[str, Field(min_length=1)]
    tags: dict[str, str] = Field(default_factory=dict)
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


class ListingQuery(BaseModel):
    """Which recordings to list."""

    model_config = ConfigDict(extra="forbid")

    page_size: PageSize = 0
    page_token: PageToken = ""
    path: list[str] = Field(default_factory=list, description="Globs, one of which matches the path.")
    folder: list[str] = Field(default_factory=list, description="Folders, in one of which it lies.")
    tag: list[str] = Field(default_factory=list, description="KEY=VALUE, each of which it has.")
    date_from: str = ""
    date_to: str = ""
    state: list[StateName] = Field(default_factory=list)

    @field_validator("tag")
    @classmethod
    def _check_tags(cls, tags: list[str]) -> list[str]:
        for tag in tags:
            if "=" not in tag:
                raise ValueError(f"a tag must be KEY=VALUE, got {tag!r}")
        return tags

    def filter(self) -> archive_pb2.RecordingFilter | None:
        """Returns the filter; None for all recordings."""
        if not (self.path or self.folder or self.tag or self.date_from or self.date_to):
            return None
        return archive_pb2.RecordingFilter(
            paths=self.path,
            folders=self.folder,
            tags=dict(tag.split("=", 1) for tag in self.tag),
            date_from=self.date_from,
            date_to=self.date_to,
        )


class ModelCardBody(BaseModel):
    """A model, and its artifact's card."""

    model: ModelBody
    card: dict[str, Any]


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

    drop_missing: Annotated[
        bool, Field(description="Another encoder may take the place of one whose recordings it cannot read.")
    ] = False
    encoder: Annotated[
        str, Field(max_length=MAX_NAME_CHARACTERS, description="Empty: the archive's own.")
    ] = ""
    channels: Annotated[
        str,
        Field(
            max_length=MAX_NAME_CHARACTERS,
            description="mix, each, or the number of one, from 1; empty: the archive's own.",
        ),
    ] = ""
    tracks: Annotated[
        str,
        Field(
            max_length=MAX_NAME_CHARACTERS,
            description="default, all, or the number of one, from 1; empty: the archive's own.",
        ),
    ] = ""
    request_id: Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)] = ""
