from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Model(_message.Message):
    __slots__ = ("name", "hash", "modality", "capabilities", "description", "loaded", "options")
    NAME_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    MODALITY_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    LOADED_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    hash: str
    modality: str
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    description: str
    loaded: bool
    options: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., hash: _Optional[str] = ..., modality: _Optional[str] = ..., capabilities: _Optional[_Iterable[str]] = ..., description: _Optional[str] = ..., loaded: _Optional[bool] = ..., options: _Optional[_Iterable[str]] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model", "card")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CARD_FIELD_NUMBER: _ClassVar[int]
    model: Model
    card: str
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ..., card: _Optional[str] = ...) -> None: ...

class LoadModelRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class LoadModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class UnloadModelRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class UnloadModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class Pictures(_message.Message):
    __slots__ = ("png",)
    PNG_FIELD_NUMBER: _ClassVar[int]
    png: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, png: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Vector(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, values: _Optional[_Iterable[float]] = ...) -> None: ...

class Words(_message.Message):
    __slots__ = ("words",)
    WORDS_FIELD_NUMBER: _ClassVar[int]
    words: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, words: _Optional[_Iterable[str]] = ...) -> None: ...

class Sounds(_message.Message):
    __slots__ = ("wav",)
    WAV_FIELD_NUMBER: _ClassVar[int]
    wav: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, wav: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Texts(_message.Message):
    __slots__ = ("texts",)
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    texts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, texts: _Optional[_Iterable[str]] = ...) -> None: ...

class Clips(_message.Message):
    __slots__ = ("clips",)
    CLIPS_FIELD_NUMBER: _ClassVar[int]
    clips: _containers.RepeatedCompositeFieldContainer[Pictures]
    def __init__(self, clips: _Optional[_Iterable[_Union[Pictures, _Mapping]]] = ...) -> None: ...

class EncodeRequest(_message.Message):
    __slots__ = ("model", "pictures", "words")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    model: str
    pictures: Pictures
    words: Words
    def __init__(self, model: _Optional[str] = ..., pictures: _Optional[_Union[Pictures, _Mapping]] = ..., words: _Optional[_Union[Words, _Mapping]] = ...) -> None: ...

class EncodeResponse(_message.Message):
    __slots__ = ("codes", "unknown")
    CODES_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    codes: _containers.RepeatedCompositeFieldContainer[Vector]
    unknown: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, codes: _Optional[_Iterable[_Union[Vector, _Mapping]]] = ..., unknown: _Optional[_Iterable[str]] = ...) -> None: ...

class DecodeRequest(_message.Message):
    __slots__ = ("model", "codes")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CODES_FIELD_NUMBER: _ClassVar[int]
    model: str
    codes: _containers.RepeatedCompositeFieldContainer[Vector]
    def __init__(self, model: _Optional[str] = ..., codes: _Optional[_Iterable[_Union[Vector, _Mapping]]] = ...) -> None: ...

class DecodeResponse(_message.Message):
    __slots__ = ("pictures",)
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    pictures: Pictures
    def __init__(self, pictures: _Optional[_Union[Pictures, _Mapping]] = ...) -> None: ...

class ReconstructRequest(_message.Message):
    __slots__ = ("model", "pictures")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    model: str
    pictures: Pictures
    def __init__(self, model: _Optional[str] = ..., pictures: _Optional[_Union[Pictures, _Mapping]] = ...) -> None: ...

class ReconstructResponse(_message.Message):
    __slots__ = ("pictures",)
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    pictures: Pictures
    def __init__(self, pictures: _Optional[_Union[Pictures, _Mapping]] = ...) -> None: ...

class SampleRequest(_message.Message):
    __slots__ = ("model", "count", "seed", "temperature", "condition")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    model: str
    count: int
    seed: int
    temperature: float
    condition: str
    def __init__(self, model: _Optional[str] = ..., count: _Optional[int] = ..., seed: _Optional[int] = ..., temperature: _Optional[float] = ..., condition: _Optional[str] = ...) -> None: ...

class SampleResponse(_message.Message):
    __slots__ = ("pictures", "sounds", "texts", "clips")
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    SOUNDS_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    CLIPS_FIELD_NUMBER: _ClassVar[int]
    pictures: Pictures
    sounds: Sounds
    texts: Texts
    clips: Clips
    def __init__(self, pictures: _Optional[_Union[Pictures, _Mapping]] = ..., sounds: _Optional[_Union[Sounds, _Mapping]] = ..., texts: _Optional[_Union[Texts, _Mapping]] = ..., clips: _Optional[_Union[Clips, _Mapping]] = ...) -> None: ...

class ClassifyRequest(_message.Message):
    __slots__ = ("model", "pictures")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    model: str
    pictures: Pictures
    def __init__(self, model: _Optional[str] = ..., pictures: _Optional[_Union[Pictures, _Mapping]] = ...) -> None: ...

class ClassifyResponse(_message.Message):
    __slots__ = ("probabilities",)
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    probabilities: _containers.RepeatedCompositeFieldContainer[Vector]
    def __init__(self, probabilities: _Optional[_Iterable[_Union[Vector, _Mapping]]] = ...) -> None: ...

class GetLogLikelihoodRequest(_message.Message):
    __slots__ = ("model", "pictures", "sounds", "texts", "clips", "seed")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    SOUNDS_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    CLIPS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    model: str
    pictures: Pictures
    sounds: Sounds
    texts: Texts
    clips: Clips
    seed: int
    def __init__(self, model: _Optional[str] = ..., pictures: _Optional[_Union[Pictures, _Mapping]] = ..., sounds: _Optional[_Union[Sounds, _Mapping]] = ..., texts: _Optional[_Union[Texts, _Mapping]] = ..., clips: _Optional[_Union[Clips, _Mapping]] = ..., seed: _Optional[int] = ...) -> None: ...

class GetLogLikelihoodResponse(_message.Message):
    __slots__ = ("nats",)
    NATS_FIELD_NUMBER: _ClassVar[int]
    nats: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, nats: _Optional[_Iterable[float]] = ...) -> None: ...

class CompleteRequest(_message.Message):
    __slots__ = ("model", "pictures", "clips", "known", "seed", "temperature", "condition")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    CLIPS_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    model: str
    pictures: Pictures
    clips: Clips
    known: Pictures
    seed: int
    temperature: float
    condition: str
    def __init__(self, model: _Optional[str] = ..., pictures: _Optional[_Union[Pictures, _Mapping]] = ..., clips: _Optional[_Union[Clips, _Mapping]] = ..., known: _Optional[_Union[Pictures, _Mapping]] = ..., seed: _Optional[int] = ..., temperature: _Optional[float] = ..., condition: _Optional[str] = ...) -> None: ...

class CompleteResponse(_message.Message):
    __slots__ = ("pictures", "clips")
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    CLIPS_FIELD_NUMBER: _ClassVar[int]
    pictures: Pictures
    clips: Clips
    def __init__(self, pictures: _Optional[_Union[Pictures, _Mapping]] = ..., clips: _Optional[_Union[Clips, _Mapping]] = ...) -> None: ...

class GenerateRequest(_message.Message):
    __slots__ = ("model", "count", "seed", "temperature", "condition")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    model: str
    count: int
    seed: int
    temperature: float
    condition: str
    def __init__(self, model: _Optional[str] = ..., count: _Optional[int] = ..., seed: _Optional[int] = ..., temperature: _Optional[float] = ..., condition: _Optional[str] = ...) -> None: ...

class Sound(_message.Message):
    __slots__ = ("pcm", "rate")
    PCM_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    pcm: bytes
    rate: int
    def __init__(self, pcm: _Optional[bytes] = ..., rate: _Optional[int] = ...) -> None: ...

class GenerateResponse(_message.Message):
    __slots__ = ("png", "sound", "text")
    PNG_FIELD_NUMBER: _ClassVar[int]
    SOUND_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    png: bytes
    sound: Sound
    text: str
    def __init__(self, png: _Optional[bytes] = ..., sound: _Optional[_Union[Sound, _Mapping]] = ..., text: _Optional[str] = ...) -> None: ...

class TranslateRequest(_message.Message):
    __slots__ = ("model", "pictures", "condition")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    model: str
    pictures: Pictures
    condition: str
    def __init__(self, model: _Optional[str] = ..., pictures: _Optional[_Union[Pictures, _Mapping]] = ..., condition: _Optional[str] = ...) -> None: ...

class TranslateResponse(_message.Message):
    __slots__ = ("pictures",)
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    pictures: Pictures
    def __init__(self, pictures: _Optional[_Union[Pictures, _Mapping]] = ...) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ("model", "pictures", "clips", "seed", "temperature")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    CLIPS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    model: str
    pictures: Pictures
    clips: Clips
    seed: int
    temperature: float
    def __init__(self, model: _Optional[str] = ..., pictures: _Optional[_Union[Pictures, _Mapping]] = ..., clips: _Optional[_Union[Clips, _Mapping]] = ..., seed: _Optional[int] = ..., temperature: _Optional[float] = ...) -> None: ...

class DescribeResponse(_message.Message):
    __slots__ = ("text", "attention")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ATTENTION_FIELD_NUMBER: _ClassVar[int]
    text: str
    attention: Attention
    def __init__(self, text: _Optional[str] = ..., attention: _Optional[_Union[Attention, _Mapping]] = ...) -> None: ...

class Attention(_message.Message):
    __slots__ = ("shape", "shares")
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    shape: _containers.RepeatedScalarFieldContainer[int]
    shares: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, shape: _Optional[_Iterable[int]] = ..., shares: _Optional[_Iterable[float]] = ...) -> None: ...

class Neighbour(_message.Message):
    __slots__ = ("word", "similarity")
    WORD_FIELD_NUMBER: _ClassVar[int]
    SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    word: str
    similarity: float
    def __init__(self, word: _Optional[str] = ..., similarity: _Optional[float] = ...) -> None: ...

class ListNeighboursRequest(_message.Message):
    __slots__ = ("model", "word", "count")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    WORD_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    model: str
    word: str
    count: int
    def __init__(self, model: _Optional[str] = ..., word: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class ListNeighboursResponse(_message.Message):
    __slots__ = ("neighbours",)
    NEIGHBOURS_FIELD_NUMBER: _ClassVar[int]
    neighbours: _containers.RepeatedCompositeFieldContainer[Neighbour]
    def __init__(self, neighbours: _Optional[_Iterable[_Union[Neighbour, _Mapping]]] = ...) -> None: ...

class SolveAnalogyRequest(_message.Message):
    __slots__ = ("model", "a", "b", "c", "count", "keep_given")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    A_FIELD_NUMBER: _ClassVar[int]
    B_FIELD_NUMBER: _ClassVar[int]
    C_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    KEEP_GIVEN_FIELD_NUMBER: _ClassVar[int]
    model: str
    a: str
    b: str
    c: str
    count: int
    keep_given: bool
    def __init__(self, model: _Optional[str] = ..., a: _Optional[str] = ..., b: _Optional[str] = ..., c: _Optional[str] = ..., count: _Optional[int] = ..., keep_given: _Optional[bool] = ...) -> None: ...

class SolveAnalogyResponse(_message.Message):
    __slots__ = ("answers",)
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    answers: _containers.RepeatedCompositeFieldContainer[Neighbour]
    def __init__(self, answers: _Optional[_Iterable[_Union[Neighbour, _Mapping]]] = ...) -> None: ...
