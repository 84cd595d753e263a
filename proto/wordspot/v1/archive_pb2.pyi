import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from wordspot.v1 import audio_pb2 as _audio_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RecordingState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RECORDING_STATE_UNSPECIFIED: _ClassVar[RecordingState]
    RECORDING_STATE_ADDED: _ClassVar[RecordingState]
    RECORDING_STATE_INDEXED: _ClassVar[RecordingState]
    RECORDING_STATE_FAILED: _ClassVar[RecordingState]
    RECORDING_STATE_MISSING: _ClassVar[RecordingState]

class StoredKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STORED_KIND_UNSPECIFIED: _ClassVar[StoredKind]
    STORED_KIND_SEGMENT: _ClassVar[StoredKind]
    STORED_KIND_UPLOAD: _ClassVar[StoredKind]
    STORED_KIND_CATALOGUE: _ClassVar[StoredKind]

class FileStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FILE_STATUS_UNSPECIFIED: _ClassVar[FileStatus]
    FILE_STATUS_ADDED: _ClassVar[FileStatus]
    FILE_STATUS_PRESENT: _ClassVar[FileStatus]
    FILE_STATUS_CHANGED: _ClassVar[FileStatus]
    FILE_STATUS_RENAMED: _ClassVar[FileStatus]
    FILE_STATUS_MISSING: _ClassVar[FileStatus]
    FILE_STATUS_FOUND: _ClassVar[FileStatus]
    FILE_STATUS_UNSEEN: _ClassVar[FileStatus]

class OperationState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OPERATION_STATE_UNSPECIFIED: _ClassVar[OperationState]
    OPERATION_STATE_RUNNING: _ClassVar[OperationState]
    OPERATION_STATE_SUCCEEDED: _ClassVar[OperationState]
    OPERATION_STATE_FAILED: _ClassVar[OperationState]
    OPERATION_STATE_CANCELLED: _ClassVar[OperationState]
    OPERATION_STATE_INTERRUPTED: _ClassVar[OperationState]
RECORDING_STATE_UNSPECIFIED: RecordingState
RECORDING_STATE_ADDED: RecordingState
RECORDING_STATE_INDEXED: RecordingState
RECORDING_STATE_FAILED: RecordingState
RECORDING_STATE_MISSING: RecordingState
STORED_KIND_UNSPECIFIED: StoredKind
STORED_KIND_SEGMENT: StoredKind
STORED_KIND_UPLOAD: StoredKind
STORED_KIND_CATALOGUE: StoredKind
FILE_STATUS_UNSPECIFIED: FileStatus
FILE_STATUS_ADDED: FileStatus
FILE_STATUS_PRESENT: FileStatus
FILE_STATUS_CHANGED: FileStatus
FILE_STATUS_RENAMED: FileStatus
FILE_STATUS_MISSING: FileStatus
FILE_STATUS_FOUND: FileStatus
FILE_STATUS_UNSEEN: FileStatus
OPERATION_STATE_UNSPECIFIED: OperationState
OPERATION_STATE_RUNNING: OperationState
OPERATION_STATE_SUCCEEDED: OperationState
OPERATION_STATE_FAILED: OperationState
OPERATION_STATE_CANCELLED: OperationState
OPERATION_STATE_INTERRUPTED: OperationState

class Archive(_message.Message):
    __slots__ = ("name", "encoder", "encoder_hash", "recordings", "indexed_recordings", "audio_seconds", "spans", "segments", "bytes_on_disk", "create_time", "quarantined", "channels", "tracks")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ENCODER_FIELD_NUMBER: _ClassVar[int]
    ENCODER_HASH_FIELD_NUMBER: _ClassVar[int]
    RECORDINGS_FIELD_NUMBER: _ClassVar[int]
    INDEXED_RECORDINGS_FIELD_NUMBER: _ClassVar[int]
    AUDIO_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SPANS_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    BYTES_ON_DISK_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    TRACKS_FIELD_NUMBER: _ClassVar[int]
    name: str
    encoder: str
    encoder_hash: str
    recordings: int
    indexed_recordings: int
    audio_seconds: float
    spans: int
    segments: int
    bytes_on_disk: int
    create_time: _timestamp_pb2.Timestamp
    quarantined: _containers.RepeatedCompositeFieldContainer[QuarantinedSegment]
    channels: str
    tracks: str
    def __init__(self, name: _Optional[str] = ..., encoder: _Optional[str] = ..., encoder_hash: _Optional[str] = ..., recordings: _Optional[int] = ..., indexed_recordings: _Optional[int] = ..., audio_seconds: _Optional[float] = ..., spans: _Optional[int] = ..., segments: _Optional[int] = ..., bytes_on_disk: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., quarantined: _Optional[_Iterable[_Union[QuarantinedSegment, _Mapping]]] = ..., channels: _Optional[str] = ..., tracks: _Optional[str] = ...) -> None: ...

class QuarantinedSegment(_message.Message):
    __slots__ = ("name", "problem", "recordings")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    RECORDINGS_FIELD_NUMBER: _ClassVar[int]
    name: str
    problem: str
    recordings: int
    def __init__(self, name: _Optional[str] = ..., problem: _Optional[str] = ..., recordings: _Optional[int] = ...) -> None: ...

class Recording(_message.Message):
    __slots__ = ("id", "archive", "path", "sha256", "duration_seconds", "sample_rate", "channels", "format", "state", "problem", "create_time", "warnings", "tags", "streams")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    DURATION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_RATE_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    id: str
    archive: str
    path: str
    sha256: str
    duration_seconds: float
    sample_rate: int
    channels: int
    format: str
    state: RecordingState
    problem: str
    create_time: _timestamp_pb2.Timestamp
    warnings: _containers.RepeatedScalarFieldContainer[str]
    tags: _containers.ScalarMap[str, str]
    streams: _containers.RepeatedCompositeFieldContainer[Stream]
    def __init__(self, id: _Optional[str] = ..., archive: _Optional[str] = ..., path: _Optional[str] = ..., sha256: _Optional[str] = ..., duration_seconds: _Optional[float] = ..., sample_rate: _Optional[int] = ..., channels: _Optional[int] = ..., format: _Optional[str] = ..., state: _Optional[_Union[RecordingState, str]] = ..., problem: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ..., tags: _Optional[_Mapping[str, str]] = ..., streams: _Optional[_Iterable[_Union[Stream, _Mapping]]] = ...) -> None: ...

class Stream(_message.Message):
    __slots__ = ("track", "channel", "channels")
    TRACK_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    track: int
    channel: int
    channels: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, track: _Optional[int] = ..., channel: _Optional[int] = ..., channels: _Optional[_Iterable[int]] = ...) -> None: ...

class RecordingFilter(_message.Message):
    __slots__ = ("paths", "folders", "tags", "date_from", "date_to", "any_tags")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PATHS_FIELD_NUMBER: _ClassVar[int]
    FOLDERS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    DATE_FROM_FIELD_NUMBER: _ClassVar[int]
    DATE_TO_FIELD_NUMBER: _ClassVar[int]
    ANY_TAGS_FIELD_NUMBER: _ClassVar[int]
    paths: _containers.RepeatedScalarFieldContainer[str]
    folders: _containers.RepeatedScalarFieldContainer[str]
    tags: _containers.ScalarMap[str, str]
    date_from: str
    date_to: str
    any_tags: _containers.RepeatedCompositeFieldContainer[Tag]
    def __init__(self, paths: _Optional[_Iterable[str]] = ..., folders: _Optional[_Iterable[str]] = ..., tags: _Optional[_Mapping[str, str]] = ..., date_from: _Optional[str] = ..., date_to: _Optional[str] = ..., any_tags: _Optional[_Iterable[_Union[Tag, _Mapping]]] = ...) -> None: ...

class Tag(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: str
    def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class GetServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetServerInfoResponse(_message.Message):
    __slots__ = ("version", "default_encoder", "read_only", "synthesis_languages")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_ENCODER_FIELD_NUMBER: _ClassVar[int]
    READ_ONLY_FIELD_NUMBER: _ClassVar[int]
    SYNTHESIS_LANGUAGES_FIELD_NUMBER: _ClassVar[int]
    version: str
    default_encoder: str
    read_only: bool
    synthesis_languages: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[str] = ..., default_encoder: _Optional[str] = ..., read_only: _Optional[bool] = ..., synthesis_languages: _Optional[_Iterable[str]] = ...) -> None: ...

class CreateArchiveRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class CreateArchiveResponse(_message.Message):
    __slots__ = ("archive",)
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    archive: Archive
    def __init__(self, archive: _Optional[_Union[Archive, _Mapping]] = ...) -> None: ...

class GetArchiveRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetArchiveResponse(_message.Message):
    __slots__ = ("archive",)
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    archive: Archive
    def __init__(self, archive: _Optional[_Union[Archive, _Mapping]] = ...) -> None: ...

class ListArchivesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListArchivesResponse(_message.Message):
    __slots__ = ("archives", "next_page_token")
    ARCHIVES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    archives: _containers.RepeatedCompositeFieldContainer[Archive]
    next_page_token: str
    def __init__(self, archives: _Optional[_Iterable[_Union[Archive, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteArchiveRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteArchiveResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CompactArchiveRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class CompactArchiveResponse(_message.Message):
    __slots__ = ("segments_before", "segments_after", "bytes_freed")
    SEGMENTS_BEFORE_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_AFTER_FIELD_NUMBER: _ClassVar[int]
    BYTES_FREED_FIELD_NUMBER: _ClassVar[int]
    segments_before: int
    segments_after: int
    bytes_freed: int
    def __init__(self, segments_before: _Optional[int] = ..., segments_after: _Optional[int] = ..., bytes_freed: _Optional[int] = ...) -> None: ...

class VerifyArchiveRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class VerifyArchiveResponse(_message.Message):
    __slots__ = ("kind", "name", "size_bytes", "recordings", "problem")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    RECORDINGS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    kind: StoredKind
    name: str
    size_bytes: int
    recordings: int
    problem: str
    def __init__(self, kind: _Optional[_Union[StoredKind, str]] = ..., name: _Optional[str] = ..., size_bytes: _Optional[int] = ..., recordings: _Optional[int] = ..., problem: _Optional[str] = ...) -> None: ...

class RepairArchiveRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class RepairArchiveResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: Operation
    def __init__(self, operation: _Optional[_Union[Operation, _Mapping]] = ...) -> None: ...

class RefreshArchiveRequest(_message.Message):
    __slots__ = ("name", "folders")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FOLDERS_FIELD_NUMBER: _ClassVar[int]
    name: str
    folders: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., folders: _Optional[_Iterable[str]] = ...) -> None: ...

class RefreshArchiveResponse(_message.Message):
    __slots__ = ("changes", "files_done", "files_total")
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    FILES_DONE_FIELD_NUMBER: _ClassVar[int]
    FILES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[FileChange]
    files_done: int
    files_total: int
    def __init__(self, changes: _Optional[_Iterable[_Union[FileChange, _Mapping]]] = ..., files_done: _Optional[int] = ..., files_total: _Optional[int] = ...) -> None: ...

class FileChange(_message.Message):
    __slots__ = ("recording", "status", "previous_path", "problem")
    RECORDING_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_PATH_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    recording: Recording
    status: FileStatus
    previous_path: str
    problem: str
    def __init__(self, recording: _Optional[_Union[Recording, _Mapping]] = ..., status: _Optional[_Union[FileStatus, str]] = ..., previous_path: _Optional[str] = ..., problem: _Optional[str] = ...) -> None: ...

class PruneArchiveRequest(_message.Message):
    __slots__ = ("name", "folders")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FOLDERS_FIELD_NUMBER: _ClassVar[int]
    name: str
    folders: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., folders: _Optional[_Iterable[str]] = ...) -> None: ...

class PruneArchiveResponse(_message.Message):
    __slots__ = ("recordings",)
    RECORDINGS_FIELD_NUMBER: _ClassVar[int]
    recordings: _containers.RepeatedCompositeFieldContainer[Recording]
    def __init__(self, recordings: _Optional[_Iterable[_Union[Recording, _Mapping]]] = ...) -> None: ...

class UploadRecordingRequest(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: UploadHeader
    chunk: bytes
    def __init__(self, header: _Optional[_Union[UploadHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class UploadHeader(_message.Message):
    __slots__ = ("archive", "filename", "sha256", "size_bytes", "request_id", "tags")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    FILENAME_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    archive: str
    filename: str
    sha256: str
    size_bytes: int
    request_id: str
    tags: _containers.ScalarMap[str, str]
    def __init__(self, archive: _Optional[str] = ..., filename: _Optional[str] = ..., sha256: _Optional[str] = ..., size_bytes: _Optional[int] = ..., request_id: _Optional[str] = ..., tags: _Optional[_Mapping[str, str]] = ...) -> None: ...

class UploadRecordingResponse(_message.Message):
    __slots__ = ("recording", "already_present")
    RECORDING_FIELD_NUMBER: _ClassVar[int]
    ALREADY_PRESENT_FIELD_NUMBER: _ClassVar[int]
    recording: Recording
    already_present: bool
    def __init__(self, recording: _Optional[_Union[Recording, _Mapping]] = ..., already_present: _Optional[bool] = ...) -> None: ...

class AddRecordingRequest(_message.Message):
    __slots__ = ("archive", "path", "request_id", "tags")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    archive: str
    path: str
    request_id: str
    tags: _containers.ScalarMap[str, str]
    def __init__(self, archive: _Optional[str] = ..., path: _Optional[str] = ..., request_id: _Optional[str] = ..., tags: _Optional[_Mapping[str, str]] = ...) -> None: ...

class AddRecordingResponse(_message.Message):
    __slots__ = ("recording", "already_present", "status", "previous_path")
    RECORDING_FIELD_NUMBER: _ClassVar[int]
    ALREADY_PRESENT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_PATH_FIELD_NUMBER: _ClassVar[int]
    recording: Recording
    already_present: bool
    status: FileStatus
    previous_path: str
    def __init__(self, recording: _Optional[_Union[Recording, _Mapping]] = ..., already_present: _Optional[bool] = ..., status: _Optional[_Union[FileStatus, str]] = ..., previous_path: _Optional[str] = ...) -> None: ...

class AddRecordingsRequest(_message.Message):
    __slots__ = ("archive", "files")
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    archive: str
    files: _containers.RepeatedCompositeFieldContainer[FileToAdd]
    def __init__(self, archive: _Optional[str] = ..., files: _Optional[_Iterable[_Union[FileToAdd, _Mapping]]] = ...) -> None: ...

class FileToAdd(_message.Message):
    __slots__ = ("path", "request_id", "tags", "sha256")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PATH_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    path: str
    request_id: str
    tags: _containers.ScalarMap[str, str]
    sha256: str
    def __init__(self, path: _Optional[str] = ..., request_id: _Optional[str] = ..., tags: _Optional[_Mapping[str, str]] = ..., sha256: _Optional[str] = ...) -> None: ...

class AddRecordingsResponse(_message.Message):
    __slots__ = ("files",)
    FILES_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[AddedFile]
    def __init__(self, files: _Optional[_Iterable[_Union[AddedFile, _Mapping]]] = ...) -> None: ...

class AddedFile(_message.Message):
    __slots__ = ("recording", "already_present", "problem", "status", "previous_path")
    RECORDING_FIELD_NUMBER: _ClassVar[int]
    ALREADY_PRESENT_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_PATH_FIELD_NUMBER: _ClassVar[int]
    recording: Recording
    already_present: bool
    problem: str
    status: FileStatus
    previous_path: str
    def __init__(self, recording: _Optional[_Union[Recording, _Mapping]] = ..., already_present: _Optional[bool] = ..., problem: _Optional[str] = ..., status: _Optional[_Union[FileStatus, str]] = ..., previous_path: _Optional[str] = ...) -> None: ...

class GetRecordingRequest(_message.Message):
    __slots__ = ("archive", "recording")
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    RECORDING_FIELD_NUMBER: _ClassVar[int]
    archive: str
    recording: str
    def __init__(self, archive: _Optional[str] = ..., recording: _Optional[str] = ...) -> None: ...

class GetRecordingResponse(_message.Message):
    __slots__ = ("recording",)
    RECORDING_FIELD_NUMBER: _ClassVar[int]
    recording: Recording
    def __init__(self, recording: _Optional[_Union[Recording, _Mapping]] = ...) -> None: ...

class ListRecordingsRequest(_message.Message):
    __slots__ = ("archive", "page_size", "page_token", "filter", "states")
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    archive: str
    page_size: int
    page_token: str
    filter: RecordingFilter
    states: _containers.RepeatedScalarFieldContainer[RecordingState]
    def __init__(self, archive: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., filter: _Optional[_Union[RecordingFilter, _Mapping]] = ..., states: _Optional[_Iterable[_Union[RecordingState, str]]] = ...) -> None: ...

class ListRecordingsResponse(_message.Message):
    __slots__ = ("recordings", "next_page_token", "total_size")
    RECORDINGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    recordings: _containers.RepeatedCompositeFieldContainer[Recording]
    next_page_token: str
    total_size: int
    def __init__(self, recordings: _Optional[_Iterable[_Union[Recording, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total_size: _Optional[int] = ...) -> None: ...

class UpdateRecordingsRequest(_message.Message):
    __slots__ = ("archive", "updates")
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    UPDATES_FIELD_NUMBER: _ClassVar[int]
    archive: str
    updates: _containers.RepeatedCompositeFieldContainer[RecordingUpdate]
    def __init__(self, archive: _Optional[str] = ..., updates: _Optional[_Iterable[_Union[RecordingUpdate, _Mapping]]] = ...) -> None: ...

class RecordingUpdate(_message.Message):
    __slots__ = ("recording", "path", "tags", "removed_tags", "replace_tags")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    RECORDING_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    REMOVED_TAGS_FIELD_NUMBER: _ClassVar[int]
    REPLACE_TAGS_FIELD_NUMBER: _ClassVar[int]
    recording: str
    path: str
    tags: _containers.ScalarMap[str, str]
    removed_tags: _containers.RepeatedScalarFieldContainer[str]
    replace_tags: bool
    def __init__(self, recording: _Optional[str] = ..., path: _Optional[str] = ..., tags: _Optional[_Mapping[str, str]] = ..., removed_tags: _Optional[_Iterable[str]] = ..., replace_tags: _Optional[bool] = ...) -> None: ...

class UpdateRecordingsResponse(_message.Message):
    __slots__ = ("updates",)
    UPDATES_FIELD_NUMBER: _ClassVar[int]
    updates: _containers.RepeatedCompositeFieldContainer[UpdatedRecording]
    def __init__(self, updates: _Optional[_Iterable[_Union[UpdatedRecording, _Mapping]]] = ...) -> None: ...

class UpdatedRecording(_message.Message):
    __slots__ = ("recording", "problem")
    RECORDING_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    recording: Recording
    problem: str
    def __init__(self, recording: _Optional[_Union[Recording, _Mapping]] = ..., problem: _Optional[str] = ...) -> None: ...

class ListTagsRequest(_message.Message):
    __slots__ = ("archive", "page_size", "page_token")
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    archive: str
    page_size: int
    page_token: str
    def __init__(self, archive: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTagsResponse(_message.Message):
    __slots__ = ("tags", "next_page_token")
    TAGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tags: _containers.RepeatedCompositeFieldContainer[TagCount]
    next_page_token: str
    def __init__(self, tags: _Optional[_Iterable[_Union[TagCount, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class TagCount(_message.Message):
    __slots__ = ("key", "value", "recordings")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    RECORDINGS_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: str
    recordings: int
    def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ..., recordings: _Optional[int] = ...) -> None: ...

class DeleteRecordingRequest(_message.Message):
    __slots__ = ("archive", "recording")
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    RECORDING_FIELD_NUMBER: _ClassVar[int]
    archive: str
    recording: str
    def __init__(self, archive: _Optional[str] = ..., recording: _Optional[str] = ...) -> None: ...

class DeleteRecordingResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetClipRequest(_message.Message):
    __slots__ = ("archive", "recording", "interval", "original_rate", "channel", "track")
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    RECORDING_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_RATE_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    TRACK_FIELD_NUMBER: _ClassVar[int]
    archive: str
    recording: str
    interval: _audio_pb2.Interval
    original_rate: bool
    channel: int
    track: int
    def __init__(self, archive: _Optional[str] = ..., recording: _Optional[str] = ..., interval: _Optional[_Union[_audio_pb2.Interval, _Mapping]] = ..., original_rate: _Optional[bool] = ..., channel: _Optional[int] = ..., track: _Optional[int] = ...) -> None: ...

class GetClipResponse(_message.Message):
    __slots__ = ("chunk",)
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    chunk: bytes
    def __init__(self, chunk: _Optional[bytes] = ...) -> None: ...

class ReadRecordingRequest(_message.Message):
    __slots__ = ("archive", "recording", "offset", "length")
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    RECORDING_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    archive: str
    recording: str
    offset: int
    length: int
    def __init__(self, archive: _Optional[str] = ..., recording: _Optional[str] = ..., offset: _Optional[int] = ..., length: _Optional[int] = ...) -> None: ...

class ReadRecordingResponse(_message.Message):
    __slots__ = ("chunk", "size_bytes")
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    chunk: bytes
    size_bytes: int
    def __init__(self, chunk: _Optional[bytes] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class Verdict(_message.Message):
    __slots__ = ("id", "recording", "interval", "query", "correct", "author", "create_time", "score", "p_correct", "channel", "path")
    ID_FIELD_NUMBER: _ClassVar[int]
    RECORDING_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    CORRECT_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    P_CORRECT_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    id: str
    recording: str
    interval: _audio_pb2.Interval
    query: str
    correct: bool
    author: str
    create_time: _timestamp_pb2.Timestamp
    score: float
    p_correct: float
    channel: int
    path: str
    def __init__(self, id: _Optional[str] = ..., recording: _Optional[str] = ..., interval: _Optional[_Union[_audio_pb2.Interval, _Mapping]] = ..., query: _Optional[str] = ..., correct: _Optional[bool] = ..., author: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., score: _Optional[float] = ..., p_correct: _Optional[float] = ..., channel: _Optional[int] = ..., path: _Optional[str] = ...) -> None: ...

class SetVerdictsRequest(_message.Message):
    __slots__ = ("archive", "verdicts")
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    archive: str
    verdicts: _containers.RepeatedCompositeFieldContainer[Verdict]
    def __init__(self, archive: _Optional[str] = ..., verdicts: _Optional[_Iterable[_Union[Verdict, _Mapping]]] = ...) -> None: ...

class SetVerdictsResponse(_message.Message):
    __slots__ = ("verdicts",)
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    verdicts: _containers.RepeatedCompositeFieldContainer[Verdict]
    def __init__(self, verdicts: _Optional[_Iterable[_Union[Verdict, _Mapping]]] = ...) -> None: ...

class ListVerdictsRequest(_message.Message):
    __slots__ = ("archive", "page_size", "page_token", "query", "recording", "correct", "author")
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    RECORDING_FIELD_NUMBER: _ClassVar[int]
    CORRECT_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    archive: str
    page_size: int
    page_token: str
    query: str
    recording: str
    correct: bool
    author: str
    def __init__(self, archive: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., query: _Optional[str] = ..., recording: _Optional[str] = ..., correct: _Optional[bool] = ..., author: _Optional[str] = ...) -> None: ...

class ListVerdictsResponse(_message.Message):
    __slots__ = ("verdicts", "next_page_token", "total_size")
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    verdicts: _containers.RepeatedCompositeFieldContainer[Verdict]
    next_page_token: str
    total_size: int
    def __init__(self, verdicts: _Optional[_Iterable[_Union[Verdict, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total_size: _Optional[int] = ...) -> None: ...

class DeleteVerdictsRequest(_message.Message):
    __slots__ = ("archive", "ids")
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    archive: str
    ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, archive: _Optional[str] = ..., ids: _Optional[_Iterable[str]] = ...) -> None: ...

class DeleteVerdictsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetPeaksRequest(_message.Message):
    __slots__ = ("archive", "recording", "interval", "buckets")
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    RECORDING_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    BUCKETS_FIELD_NUMBER: _ClassVar[int]
    archive: str
    recording: str
    interval: _audio_pb2.Interval
    buckets: int
    def __init__(self, archive: _Optional[str] = ..., recording: _Optional[str] = ..., interval: _Optional[_Union[_audio_pb2.Interval, _Mapping]] = ..., buckets: _Optional[int] = ...) -> None: ...

class GetPeaksResponse(_message.Message):
    __slots__ = ("interval", "buckets", "peaks")
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    BUCKETS_FIELD_NUMBER: _ClassVar[int]
    PEAKS_FIELD_NUMBER: _ClassVar[int]
    interval: _audio_pb2.Interval
    buckets: int
    peaks: bytes
    def __init__(self, interval: _Optional[_Union[_audio_pb2.Interval, _Mapping]] = ..., buckets: _Optional[int] = ..., peaks: _Optional[bytes] = ...) -> None: ...

class IndexArchiveRequest(_message.Message):
    __slots__ = ("archive", "encoder", "request_id", "drop_missing", "channels", "tracks")
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    ENCODER_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    DROP_MISSING_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    TRACKS_FIELD_NUMBER: _ClassVar[int]
    archive: str
    encoder: str
    request_id: str
    drop_missing: bool
    channels: str
    tracks: str
    def __init__(self, archive: _Optional[str] = ..., encoder: _Optional[str] = ..., request_id: _Optional[str] = ..., drop_missing: _Optional[bool] = ..., channels: _Optional[str] = ..., tracks: _Optional[str] = ...) -> None: ...

class IndexArchiveResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: Operation
    def __init__(self, operation: _Optional[_Union[Operation, _Mapping]] = ...) -> None: ...

class Operation(_message.Message):
    __slots__ = ("id", "archive", "encoder", "state", "recordings_total", "recordings_done", "recordings_failed", "audio_seconds_done", "spans_done", "problem", "create_time", "update_time")
    ID_FIELD_NUMBER: _ClassVar[int]
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    ENCODER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RECORDINGS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    RECORDINGS_DONE_FIELD_NUMBER: _ClassVar[int]
    RECORDINGS_FAILED_FIELD_NUMBER: _ClassVar[int]
    AUDIO_SECONDS_DONE_FIELD_NUMBER: _ClassVar[int]
    SPANS_DONE_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    archive: str
    encoder: str
    state: OperationState
    recordings_total: int
    recordings_done: int
    recordings_failed: int
    audio_seconds_done: float
    spans_done: int
    problem: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., archive: _Optional[str] = ..., encoder: _Optional[str] = ..., state: _Optional[_Union[OperationState, str]] = ..., recordings_total: _Optional[int] = ..., recordings_done: _Optional[int] = ..., recordings_failed: _Optional[int] = ..., audio_seconds_done: _Optional[float] = ..., spans_done: _Optional[int] = ..., problem: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetOperationRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetOperationResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: Operation
    def __init__(self, operation: _Optional[_Union[Operation, _Mapping]] = ...) -> None: ...

class ListOperationsRequest(_message.Message):
    __slots__ = ("archive", "page_size", "page_token")
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    archive: str
    page_size: int
    page_token: str
    def __init__(self, archive: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListOperationsResponse(_message.Message):
    __slots__ = ("operations", "next_page_token")
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    operations: _containers.RepeatedCompositeFieldContainer[Operation]
    next_page_token: str
    def __init__(self, operations: _Optional[_Iterable[_Union[Operation, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchOperationRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class WatchOperationResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: Operation
    def __init__(self, operation: _Optional[_Union[Operation, _Mapping]] = ...) -> None: ...

class CancelOperationRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class CancelOperationResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: Operation
    def __init__(self, operation: _Optional[_Union[Operation, _Mapping]] = ...) -> None: ...

class ResumeOperationRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ResumeOperationResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: Operation
    def __init__(self, operation: _Optional[_Union[Operation, _Mapping]] = ...) -> None: ...
