from wordspot.v1 import audio_pb2 as _audio_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Detector(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DETECTOR_UNSPECIFIED: _ClassVar[Detector]
    DETECTOR_SILERO: _ClassVar[Detector]
    DETECTOR_ENERGY: _ClassVar[Detector]
    DETECTOR_NONE: _ClassVar[Detector]
DETECTOR_UNSPECIFIED: Detector
DETECTOR_SILERO: Detector
DETECTOR_ENERGY: Detector
DETECTOR_NONE: Detector

class SegmentRequest(_message.Message):
    __slots__ = ("config", "pcm")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    PCM_FIELD_NUMBER: _ClassVar[int]
    config: SegmentConfig
    pcm: bytes
    def __init__(self, config: _Optional[_Union[SegmentConfig, _Mapping]] = ..., pcm: _Optional[bytes] = ...) -> None: ...

class SegmentConfig(_message.Message):
    __slots__ = ("detector", "regions_only")
    DETECTOR_FIELD_NUMBER: _ClassVar[int]
    REGIONS_ONLY_FIELD_NUMBER: _ClassVar[int]
    detector: Detector
    regions_only: bool
    def __init__(self, detector: _Optional[_Union[Detector, str]] = ..., regions_only: _Optional[bool] = ...) -> None: ...

class SegmentResponse(_message.Message):
    __slots__ = ("section", "summary")
    SECTION_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    section: Section
    summary: SegmentSummary
    def __init__(self, section: _Optional[_Union[Section, _Mapping]] = ..., summary: _Optional[_Union[SegmentSummary, _Mapping]] = ...) -> None: ...

class Section(_message.Message):
    __slots__ = ("regions", "spans", "end_tick")
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    SPANS_FIELD_NUMBER: _ClassVar[int]
    END_TICK_FIELD_NUMBER: _ClassVar[int]
    regions: _containers.RepeatedCompositeFieldContainer[_audio_pb2.Region]
    spans: bytes
    end_tick: int
    def __init__(self, regions: _Optional[_Iterable[_Union[_audio_pb2.Region, _Mapping]]] = ..., spans: _Optional[bytes] = ..., end_tick: _Optional[int] = ...) -> None: ...

class SegmentSummary(_message.Message):
    __slots__ = ("audio_seconds", "speech_seconds", "regions", "spans", "spans_per_hour")
    AUDIO_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SPEECH_SECONDS_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    SPANS_FIELD_NUMBER: _ClassVar[int]
    SPANS_PER_HOUR_FIELD_NUMBER: _ClassVar[int]
    audio_seconds: float
    speech_seconds: float
    regions: int
    spans: int
    spans_per_hour: float
    def __init__(self, audio_seconds: _Optional[float] = ..., speech_seconds: _Optional[float] = ..., regions: _Optional[int] = ..., spans: _Optional[int] = ..., spans_per_hour: _Optional[float] = ...) -> None: ...
