from wordspot.v1 import archive_pb2 as _archive_pb2
from wordspot.v1 import audio_pb2 as _audio_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SearchMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEARCH_MODE_UNSPECIFIED: _ClassVar[SearchMode]
    SEARCH_MODE_SOUND: _ClassVar[SearchMode]
    SEARCH_MODE_MEANING: _ClassVar[SearchMode]
    SEARCH_MODE_BOTH: _ClassVar[SearchMode]
SEARCH_MODE_UNSPECIFIED: SearchMode
SEARCH_MODE_SOUND: SearchMode
SEARCH_MODE_MEANING: SearchMode
SEARCH_MODE_BOTH: SearchMode

class SearchOptions(_message.Message):
    __slots__ = ("archive", "top_k", "min_score", "include_undetected", "recordings", "encoder", "excluded_recordings", "voices", "mode", "filter", "channel", "with_verdicts")
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    MIN_SCORE_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_UNDETECTED_FIELD_NUMBER: _ClassVar[int]
    RECORDINGS_FIELD_NUMBER: _ClassVar[int]
    ENCODER_FIELD_NUMBER: _ClassVar[int]
    EXCLUDED_RECORDINGS_FIELD_NUMBER: _ClassVar[int]
    VOICES_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    WITH_VERDICTS_FIELD_NUMBER: _ClassVar[int]
    archive: str
    top_k: int
    min_score: float
    include_undetected: bool
    recordings: _containers.RepeatedScalarFieldContainer[str]
    encoder: str
    excluded_recordings: _containers.RepeatedScalarFieldContainer[str]
    voices: int
    mode: SearchMode
    filter: _archive_pb2.RecordingFilter
    channel: int
    with_verdicts: bool
    def __init__(self, archive: _Optional[str] = ..., top_k: _Optional[int] = ..., min_score: _Optional[float] = ..., include_undetected: _Optional[bool] = ..., recordings: _Optional[_Iterable[str]] = ..., encoder: _Optional[str] = ..., excluded_recordings: _Optional[_Iterable[str]] = ..., voices: _Optional[int] = ..., mode: _Optional[_Union[SearchMode, str]] = ..., filter: _Optional[_Union[_archive_pb2.RecordingFilter, _Mapping]] = ..., channel: _Optional[int] = ..., with_verdicts: _Optional[bool] = ...) -> None: ...

class SearchRequest(_message.Message):
    __slots__ = ("options", "query", "chunk", "stored", "example", "typed")
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    STORED_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_FIELD_NUMBER: _ClassVar[int]
    TYPED_FIELD_NUMBER: _ClassVar[int]
    options: SearchOptions
    query: QueryHeader
    chunk: bytes
    stored: StoredQuery
    example: QueryHeader
    typed: TypedQuery
    def __init__(self, options: _Optional[_Union[SearchOptions, _Mapping]] = ..., query: _Optional[_Union[QueryHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ..., stored: _Optional[_Union[StoredQuery, _Mapping]] = ..., example: _Optional[_Union[QueryHeader, _Mapping]] = ..., typed: _Optional[_Union[TypedQuery, _Mapping]] = ...) -> None: ...

class QueryHeader(_message.Message):
    __slots__ = ("label", "interval", "examples", "channel")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    label: str
    interval: _audio_pb2.Interval
    examples: _containers.RepeatedCompositeFieldContainer[Stretch]
    channel: int
    def __init__(self, label: _Optional[str] = ..., interval: _Optional[_Union[_audio_pb2.Interval, _Mapping]] = ..., examples: _Optional[_Iterable[_Union[Stretch, _Mapping]]] = ..., channel: _Optional[int] = ...) -> None: ...

class StoredQuery(_message.Message):
    __slots__ = ("label", "recording", "interval", "examples", "channel", "track")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    RECORDING_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    TRACK_FIELD_NUMBER: _ClassVar[int]
    label: str
    recording: str
    interval: _audio_pb2.Interval
    examples: _containers.RepeatedCompositeFieldContainer[Stretch]
    channel: int
    track: int
    def __init__(self, label: _Optional[str] = ..., recording: _Optional[str] = ..., interval: _Optional[_Union[_audio_pb2.Interval, _Mapping]] = ..., examples: _Optional[_Iterable[_Union[Stretch, _Mapping]]] = ..., channel: _Optional[int] = ..., track: _Optional[int] = ...) -> None: ...

class TypedQuery(_message.Message):
    __slots__ = ("label", "text", "language", "speakers", "examples")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    SPEAKERS_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    label: str
    text: str
    language: str
    speakers: int
    examples: _containers.RepeatedCompositeFieldContainer[Stretch]
    def __init__(self, label: _Optional[str] = ..., text: _Optional[str] = ..., language: _Optional[str] = ..., speakers: _Optional[int] = ..., examples: _Optional[_Iterable[_Union[Stretch, _Mapping]]] = ...) -> None: ...

class Stretch(_message.Message):
    __slots__ = ("recording", "interval", "channel", "track")
    RECORDING_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    TRACK_FIELD_NUMBER: _ClassVar[int]
    recording: str
    interval: _audio_pb2.Interval
    channel: int
    track: int
    def __init__(self, recording: _Optional[str] = ..., interval: _Optional[_Union[_audio_pb2.Interval, _Mapping]] = ..., channel: _Optional[int] = ..., track: _Optional[int] = ...) -> None: ...

class SearchStoredRequest(_message.Message):
    __slots__ = ("options", "queries")
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    QUERIES_FIELD_NUMBER: _ClassVar[int]
    options: SearchOptions
    queries: _containers.RepeatedCompositeFieldContainer[StoredQuery]
    def __init__(self, options: _Optional[_Union[SearchOptions, _Mapping]] = ..., queries: _Optional[_Iterable[_Union[StoredQuery, _Mapping]]] = ...) -> None: ...

class SearchStoredResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[SearchResult]
    def __init__(self, results: _Optional[_Iterable[_Union[SearchResult, _Mapping]]] = ...) -> None: ...

class SearchResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: SearchResult
    def __init__(self, result: _Optional[_Union[SearchResult, _Mapping]] = ...) -> None: ...

class SearchResult(_message.Message):
    __slots__ = ("label", "hits", "compared", "seconds", "threshold", "synthesis", "p_threshold", "warnings", "confirmed_examples", "rejected_places")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    HITS_FIELD_NUMBER: _ClassVar[int]
    COMPARED_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    SYNTHESIS_FIELD_NUMBER: _ClassVar[int]
    P_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    REJECTED_PLACES_FIELD_NUMBER: _ClassVar[int]
    label: str
    hits: _containers.RepeatedCompositeFieldContainer[Hit]
    compared: _audio_pb2.Interval
    seconds: float
    threshold: float
    synthesis: Synthesis
    p_threshold: float
    warnings: _containers.RepeatedScalarFieldContainer[str]
    confirmed_examples: int
    rejected_places: int
    def __init__(self, label: _Optional[str] = ..., hits: _Optional[_Iterable[_Union[Hit, _Mapping]]] = ..., compared: _Optional[_Union[_audio_pb2.Interval, _Mapping]] = ..., seconds: _Optional[float] = ..., threshold: _Optional[float] = ..., synthesis: _Optional[_Union[Synthesis, _Mapping]] = ..., p_threshold: _Optional[float] = ..., warnings: _Optional[_Iterable[str]] = ..., confirmed_examples: _Optional[int] = ..., rejected_places: _Optional[int] = ...) -> None: ...

class Synthesis(_message.Message):
    __slots__ = ("synthesiser", "language", "speakers")
    SYNTHESISER_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    SPEAKERS_FIELD_NUMBER: _ClassVar[int]
    synthesiser: str
    language: str
    speakers: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, synthesiser: _Optional[str] = ..., language: _Optional[str] = ..., speakers: _Optional[_Iterable[str]] = ...) -> None: ...

class Hit(_message.Message):
    __slots__ = ("recording", "path", "start_seconds", "end_seconds", "score", "detected", "p_correct", "missing", "channel", "track")
    RECORDING_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    START_SECONDS_FIELD_NUMBER: _ClassVar[int]
    END_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    DETECTED_FIELD_NUMBER: _ClassVar[int]
    P_CORRECT_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    TRACK_FIELD_NUMBER: _ClassVar[int]
    recording: str
    path: str
    start_seconds: float
    end_seconds: float
    score: float
    detected: bool
    p_correct: float
    missing: bool
    channel: int
    track: int
    def __init__(self, recording: _Optional[str] = ..., path: _Optional[str] = ..., start_seconds: _Optional[float] = ..., end_seconds: _Optional[float] = ..., score: _Optional[float] = ..., detected: _Optional[bool] = ..., p_correct: _Optional[float] = ..., missing: _Optional[bool] = ..., channel: _Optional[int] = ..., track: _Optional[int] = ...) -> None: ...
