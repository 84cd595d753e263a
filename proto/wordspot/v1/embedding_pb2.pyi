from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListEncodersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListEncodersResponse(_message.Message):
    __slots__ = ("encoders",)
    ENCODERS_FIELD_NUMBER: _ClassVar[int]
    encoders: _containers.RepeatedCompositeFieldContainer[Encoder]
    def __init__(self, encoders: _Optional[_Iterable[_Union[Encoder, _Mapping]]] = ...) -> None: ...

class GetEncoderRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetEncoderResponse(_message.Message):
    __slots__ = ("encoder",)
    ENCODER_FIELD_NUMBER: _ClassVar[int]
    encoder: Encoder
    def __init__(self, encoder: _Optional[_Union[Encoder, _Mapping]] = ...) -> None: ...

class Encoder(_message.Message):
    __slots__ = ("name", "hash", "dimension", "frame_dimension", "ticks_per_frame", "description", "threshold", "meaning_dimension", "query_padding", "calibration")
    NAME_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    FRAME_DIMENSION_FIELD_NUMBER: _ClassVar[int]
    TICKS_PER_FRAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    MEANING_DIMENSION_FIELD_NUMBER: _ClassVar[int]
    QUERY_PADDING_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    name: str
    hash: str
    dimension: int
    frame_dimension: int
    ticks_per_frame: int
    description: str
    threshold: float
    meaning_dimension: int
    query_padding: int
    calibration: Calibration
    def __init__(self, name: _Optional[str] = ..., hash: _Optional[str] = ..., dimension: _Optional[int] = ..., frame_dimension: _Optional[int] = ..., ticks_per_frame: _Optional[int] = ..., description: _Optional[str] = ..., threshold: _Optional[float] = ..., meaning_dimension: _Optional[int] = ..., query_padding: _Optional[int] = ..., calibration: _Optional[_Union[Calibration, _Mapping]] = ...) -> None: ...

class Calibration(_message.Message):
    __slots__ = ("signals", "means", "scales", "weights", "intercept", "fitted_on")
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    MEANS_FIELD_NUMBER: _ClassVar[int]
    SCALES_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    INTERCEPT_FIELD_NUMBER: _ClassVar[int]
    FITTED_ON_FIELD_NUMBER: _ClassVar[int]
    signals: _containers.RepeatedScalarFieldContainer[str]
    means: _containers.RepeatedScalarFieldContainer[float]
    scales: _containers.RepeatedScalarFieldContainer[float]
    weights: _containers.RepeatedScalarFieldContainer[float]
    intercept: float
    fitted_on: str
    def __init__(self, signals: _Optional[_Iterable[str]] = ..., means: _Optional[_Iterable[float]] = ..., scales: _Optional[_Iterable[float]] = ..., weights: _Optional[_Iterable[float]] = ..., intercept: _Optional[float] = ..., fitted_on: _Optional[str] = ...) -> None: ...

class EmbedRequest(_message.Message):
    __slots__ = ("config", "audio", "spans")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    SPANS_FIELD_NUMBER: _ClassVar[int]
    config: EmbedConfig
    audio: RegionAudio
    spans: SpanTable
    def __init__(self, config: _Optional[_Union[EmbedConfig, _Mapping]] = ..., audio: _Optional[_Union[RegionAudio, _Mapping]] = ..., spans: _Optional[_Union[SpanTable, _Mapping]] = ...) -> None: ...

class EmbedConfig(_message.Message):
    __slots__ = ("encoder", "hash", "frames")
    ENCODER_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    encoder: str
    hash: str
    frames: bool
    def __init__(self, encoder: _Optional[str] = ..., hash: _Optional[str] = ..., frames: _Optional[bool] = ...) -> None: ...

class RegionAudio(_message.Message):
    __slots__ = ("region", "pcm")
    REGION_FIELD_NUMBER: _ClassVar[int]
    PCM_FIELD_NUMBER: _ClassVar[int]
    region: int
    pcm: bytes
    def __init__(self, region: _Optional[int] = ..., pcm: _Optional[bytes] = ...) -> None: ...

class SpanTable(_message.Message):
    __slots__ = ("spans",)
    SPANS_FIELD_NUMBER: _ClassVar[int]
    spans: bytes
    def __init__(self, spans: _Optional[bytes] = ...) -> None: ...

class EmbedResponse(_message.Message):
    __slots__ = ("vectors", "frames", "end")
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    vectors: VectorBlock
    frames: FrameBlock
    end: SectionEnd
    def __init__(self, vectors: _Optional[_Union[VectorBlock, _Mapping]] = ..., frames: _Optional[_Union[FrameBlock, _Mapping]] = ..., end: _Optional[_Union[SectionEnd, _Mapping]] = ...) -> None: ...

class VectorBlock(_message.Message):
    __slots__ = ("dimension", "data")
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    dimension: int
    data: bytes
    def __init__(self, dimension: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class FrameBlock(_message.Message):
    __slots__ = ("region", "dimension", "data")
    REGION_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    region: int
    dimension: int
    data: bytes
    def __init__(self, region: _Optional[int] = ..., dimension: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class SectionEnd(_message.Message):
    __slots__ = ("spans",)
    SPANS_FIELD_NUMBER: _ClassVar[int]
    spans: int
    def __init__(self, spans: _Optional[int] = ...) -> None: ...
