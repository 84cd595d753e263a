"""The model service for programs in Python: pictures, sounds, clips and codes as arrays, texts as str.

    with Models.at("localhost:50051") as models:
        pictures = models.sample("digits-vae", 16, seed=7)      # uint8 (16, 28, 28)
        codes = models.encode("digits-vae", pictures)            # float32 (16, 50)
        models.analogy("words-en", "man", "king", "woman")       # [("queen", 0.68), ...]
        models.sample_texts("poem", 10, seed=7, condition="5x4")  # ["...", ...]

Pictures are uint8 (N, H, W) if grey, (N, H, W, 3) if coloured; clips have an axis of frames after the first.
A model of another modality than a method's is InvalidInput. Models that have the option take a `temperature`,
0.001 to 1,000, None for their own, and a `condition`, empty for none. Errors are those of an archive's
client: NotFound, InvalidInput, DataLoss, and Overloaded, after which the same call may succeed.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from wordspot.indexer.errors import InvalidInput
from wordspot.models.errors import BadInput
from wordspot.services import embedded, errors, png, wav, wire
from wordspot.services.runtime import open_channel
from wordspot.services.settings import ModelHostSettings
from wordspot.v1 import models_pb2 as pb
from wordspot.v1 import models_pb2_grpc

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Ranked = list[tuple[str, float]]
Words = list[str]
Texts = list[str]
AnswerT = TypeVar("AnswerT")

TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Sound:
    """samples: float32 (samples,), -1 to 1, or (N, samples). rate: of them a second."""

    samples: Floats
    rate: int


class Models:
    """A context manager."""

    def __init__(self, address: str, leaving: ExitStack) -> None:
        """leaving: what ends with this."""
        self._address, self._leaving = address, leaving
        channel = leaving.enter_context(open_channel(address))
        self._stub = models_pb2_grpc.ModelServiceStub(channel)

    @classmethod
    def at(cls, address: str) -> Models:
        """address: HOST:PORT of a `wordspot serve all` or `modelhost`. Connects at the first call."""
        return cls(address, ExitStack())

    @classmethod
    def within(cls, settings: ModelHostSettings) -> Models:
        """A service of one's own in this process."""
        leaving = ExitStack()
        return cls(leaving.enter_context(embedded.serving_models(settings)), leaving)

    def __enter__(self) -> Models:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.close()

    def list(self) -> list[pb.Model]:
        return list(self._call(self._stub.ListModels, pb.ListModelsRequest()).models)

    def card(self, name: str) -> dict[str, Any]:
        """What the model is, what it learned from, its licence, its figures, its hash."""
        answer = self._call(self._stub.GetModel, pb.GetModelRequest(name=name))
        return {**json.loads(answer.card), "hash": answer.model.hash}

    def load(self, name: str) -> pb.Model:
        answer: pb.LoadModelResponse = self._call(self._stub.LoadModel, pb.LoadModelRequest(name=name))
        return answer.model

    def unload(self, name: str) -> pb.Model:
        answer: pb.UnloadModelResponse = self._call(self._stub.UnloadModel, pb.UnloadModelRequest(name=name))
        return answer.model

    def encode(self, name: str, pictures: Pixels) -> Floats:
        """(N, D)."""
        request = pb.EncodeRequest(model=name, pictures=_files(pictures))
        return _rows(self._call(self._stub.Encode, request).codes)

    def decode(self, name: str, codes: Floats) -> Pixels:
        """codes: (N, D)."""
        vectors = [pb.Vector(values=row) for row in codes.tolist()]
        return _pixels(self._call(self._stub.Decode, pb.DecodeRequest(model=name, codes=vectors)).pictures)

    def reconstruct(self, name: str, pictures: Pixels) -> Pixels:
        request = pb.ReconstructRequest(model=name, pictures=_files(pictures))
        return _pixels(self._call(self._stub.Reconstruct, request).pictures)

    def sample(
        self, name: str, count: int, seed: int, *, temperature: float | None = None, condition: str = ""
    ) -> Pixels:
        """Equal seeds, equal pictures."""
        return _pixels(self._sampled("pictures", name, count, seed, temperature, condition))

    def sample_sounds(
        self, name: str, count: int, seed: int, *, temperature: float | None = None, condition: str = ""
    ) -> Sound:
        made = self._sampled("sounds", name, count, seed, temperature, condition)
        sounds, rates = zip(*map(wav.decoded, made.wav), strict=True)
        return Sound(np.stack(sounds), rates[0])

    def sample_texts(
        self, name: str, count: int, seed: int, *, temperature: float | None = None, condition: str = ""
    ) -> Texts:
        return [*self._sampled("texts", name, count, seed, temperature, condition).texts]

    def sample_clips(
        self, name: str, count: int, seed: int, *, temperature: float | None = None, condition: str = ""
    ) -> Pixels:
        made = self._sampled("clips", name, count, seed, temperature, condition)
        return np.stack([_pixels(clip) for clip in made.clips])

    def classify(self, name: str, pictures: Pixels) -> Floats:
        """Probabilities (N, classes + 1); the last is that a picture is none of them."""
        request = pb.ClassifyRequest(model=name, pictures=_files(pictures))
        return _rows(self._call(self._stub.Classify, request).probabilities)

    def log_likelihood(self, name: str, pictures: Pixels, seed: int) -> Floats:
        """(N,) nats, or a lower bound of them."""
        return self._likely(pb.GetLogLikelihoodRequest(model=name, pictures=_files(pictures), seed=seed))

    def log_likelihood_of_sounds(self, name: str, sounds: Sound, seed: int) -> Floats:
        """sounds: (N, samples)."""
        files = pb.Sounds(wav=wav.to_files(sounds.samples, sounds.rate))
        return self._likely(pb.GetLogLikelihoodRequest(model=name, sounds=files, seed=seed))

    def log_likelihood_of_texts(self, name: str, texts: Sequence[str], seed: int) -> Floats:
        return self._likely(pb.GetLogLikelihoodRequest(model=name, texts=pb.Texts(texts=texts), seed=seed))

    def log_likelihood_of_clips(self, name: str, clips: Pixels, seed: int) -> Floats:
        return self._likely(pb.GetLogLikelihoodRequest(model=name, clips=_clips(clips), seed=seed))

    def encode_words(self, name: str, words: Sequence[str]) -> tuple[Floats, Words]:
        """(N, D), and which words the model does not know; those have zeros."""
        request = pb.EncodeRequest(model=name, words=pb.Words(words=words))
        answer = self._call(self._stub.Encode, request)
        return _rows(answer.codes), [*answer.unknown]

    def complete(
        self,
        name: str,
        pictures: Pixels,
        known: NDArray[np.bool_],
        seed: int,
        *,
        temperature: float | None = None,
        condition: str = "",
    ) -> Pixels:
        """known: (N, H, W); what is not is filled in."""
        masks = pb.Pictures(png=[png.encoded(Image.fromarray(mask.astype(np.uint8) * 255)) for mask in known])
        request = pb.CompleteRequest(
            model=name,
            pictures=_files(pictures),
            known=masks,
            seed=seed,
            temperature=temperature,
            condition=condition,
        )
        return _pixels(self._call(self._stub.Complete, request).pictures)

    def complete_clips(
        self,
        name: str,
        seen: Sequence[Pixels],
        seed: int,
        *,
        temperature: float | None = None,
        condition: str = "",
    ) -> Pixels:
        """Whole clips. seen: the first frames of each, (frames, H, W) or (frames, H, W, 3), one or more."""
        request = pb.CompleteRequest(
            model=name, clips=_clips(seen), seed=seed, temperature=temperature, condition=condition
        )
        return np.stack([_pixels(clip) for clip in self._call(self._stub.Complete, request).clips.clips])

    def generate(
        self, name: str, count: int, seed: int, *, temperature: float | None = None, condition: str = ""
    ) -> Iterator[Pixels]:
        """Each picture, (H, W) or (H, W, 3), as soon as it is made."""
        for part in self._generated("png", name, count, seed, temperature, condition):
            yield np.asarray(Image.open(io.BytesIO(part)))

    def generate_sound(
        self, name: str, count: int, seed: int, *, temperature: float | None = None, condition: str = ""
    ) -> Iterator[Sound]:
        """One sound in stretches of samples, each as soon as it is made."""
        for part in self._generated("sound", name, count, seed, temperature, condition):
            yield Sound(wire.to_samples(part.pcm, "pcm"), part.rate)

    def generate_text(
        self, name: str, count: int, seed: int, *, temperature: float | None = None, condition: str = ""
    ) -> Iterator[str]:
        """Parts of one text, each as soon as it is made."""
        yield from self._generated("text", name, count, seed, temperature, condition)

    def translate(self, name: str, pictures: Pixels, condition: str = "") -> Pixels:
        """In another manner."""
        request = pb.TranslateRequest(model=name, pictures=_files(pictures), condition=condition)
        return _pixels(self._call(self._stub.Translate, request).pictures)

    def describe(
        self, name: str, picture: Pixels, seed: int = 0, *, temperature: float | None = None
    ) -> Iterator[tuple[str, Floats]]:
        """What a picture shows, (H, W) or (H, W, 3): pieces of a text, which one after another are the whole,
        and for each where the model looked, (rows, columns), with the sum 1."""
        request = pb.DescribeRequest(model=name, pictures=_files(picture[np.newaxis]), seed=seed)
        return self._described(request, temperature)

    def describe_clip(
        self, name: str, clip: Pixels, seed: int = 0, *, temperature: float | None = None
    ) -> Iterator[tuple[str, Floats]]:
        """As `describe`, of a clip, (frames, H, W) or (frames, H, W, 3); it looks at frames, (frames,)."""
        request = pb.DescribeRequest(model=name, clips=_clips([clip]), seed=seed)
        return self._described(request, temperature)

    def neighbours(self, name: str, word: str, count: int = 10) -> Ranked:
        """Words and their cosines, the nearest first."""
        request = pb.ListNeighboursRequest(model=name, word=word, count=count)
        return _ranked(self._call(self._stub.ListNeighbours, request).neighbours)

    def analogy(
        self, name: str, a: str, b: str, c: str, count: int = 5, *, keep_given: bool = False
    ) -> Ranked:
        """a : b = c : what? The best first."""
        request = pb.SolveAnalogyRequest(model=name, a=a, b=b, c=c, count=count, keep_given=keep_given)
        return _ranked(self._call(self._stub.SolveAnalogy, request).answers)

    def _sampled(
        self, field: str, name: str, count: int, seed: int, temperature: float | None, condition: str
    ) -> Any:
        """What the answer holds in that field. Raises InvalidInput where it holds another."""
        request = pb.SampleRequest(
            model=name, count=count, seed=seed, temperature=temperature, condition=condition
        )
        return _held(self._call(self._stub.Sample, request), "made", field, name)

    def _generated(
        self, field: str, name: str, count: int, seed: int, temperature: float | None, condition: str
    ) -> Iterator[Any]:
        """As `_sampled`, of each part."""
        request = pb.GenerateRequest(
            model=name, count=count, seed=seed, temperature=temperature, condition=condition
        )
        with errors.translated(self._address):
            for part in self._stub.Generate(request, timeout=TIMEOUT_S):
                yield _held(part, "part", field, name)

    def _described(
        self, request: pb.DescribeRequest, temperature: float | None
    ) -> Iterator[tuple[str, Floats]]:
        if temperature is not None:
            request.temperature = temperature
        with errors.translated(self._address):
            for part in self._stub.Describe(request, timeout=TIMEOUT_S):
                yield part.text, np.array(part.attention.shares, np.float32).reshape(part.attention.shape)

    def _likely(self, request: pb.GetLogLikelihoodRequest) -> Floats:
        return np.array(self._call(self._stub.GetLogLikelihood, request).nats, np.float32)

    def _call(self, method: Callable[..., AnswerT], request: Any) -> AnswerT:
        with errors.translated(self._address):
            return method(request, timeout=TIMEOUT_S, wait_for_ready=False)


def read(paths: Iterable[Path]) -> Pixels:
    """PNG, JPEG and other files as they are. Raises BadInput where one is no picture or of another size."""
    found = []
    for path in paths:
        try:
            with Image.open(path) as image:
                found.append(np.asarray(image.convert("L" if image.mode in ("1", "L", "I;16") else "RGB")))
        except OSError as error:
            raise BadInput(f"{path} is not a picture that can be read ({error})") from error
        if found[-1].shape != found[0].shape:
            raise BadInput(
                f"{path} has the shape {found[-1].shape}; {found[0].shape}, as the first has, is allowed"
            )
    return np.stack(found)


def read_clip(paths: Sequence[Path]) -> Pixels:
    """(frames, H, W, 3) out of picture files in their order, or of one that is animated. Raises BadInput."""
    if len(paths) > 1:
        frames = read(paths)
        return frames if frames.ndim == 4 else np.repeat(frames[..., np.newaxis], 3, axis=-1)
    try:
        with Image.open(paths[0]) as image:
            return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)])
    except OSError as error:
        raise BadInput(f"{paths[0]} is not a picture that can be read ({error})") from error


def _held(message: Any, choice: str, field: str, name: str) -> Any:
    """Raises InvalidInput."""
    found = message.WhichOneof(choice)
    if found != field:
        raise InvalidInput(f"{field} of {name!r} were asked for; {found} is what it makes")
    return getattr(message, field)


def _clips(clips: Iterable[Pixels]) -> pb.Clips:
    return pb.Clips(clips=[_files(clip) for clip in clips])


def _files(pictures: Pixels) -> pb.Pictures:
    return pb.Pictures(png=[png.encoded(Image.fromarray(picture)) for picture in pictures])


def _pixels(given: pb.Pictures) -> Pixels:
    return np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in given.png])


def _ranked(found: Iterable[pb.Neighbour]) -> Ranked:
    return [(one.word, one.similarity) for one in found]


def _rows(vectors: Sequence[pb.Vector]) -> Floats:
    return np.array([vector.values for vector in vectors], np.float32)
