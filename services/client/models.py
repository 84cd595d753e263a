"""The model service for programs in Python: pictures, sounds, clips and codes as arrays, texts as str.

    with Models("localhost:50051") as models:  # or Models(), without a server
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
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from wordspot.indexer.errors import InvalidInput
from wordspot.models.errors import BadInput
from wordspot.services import errors, png, wav, wire
from wordspot.services.client.transport import open_model_channel
from wordspot.services.limits import MAX_MODEL_CALL_SECONDS, RETRY_TIMEOUT_S
from wordspot.v1 import models_pb2 as pb
from wordspot.v1 import models_pb2_grpc

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Ranking = list[tuple[str, float]]
Words = list[str]
Texts = list[str]
AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True)
class Sound:
    """Sampled sound.

    samples: float32 (samples,), -1 to 1, or (N, samples).
    rate: samples a second.
    """

    samples: Floats
    rate: int


class Models:
    """The model service, of a server or of this process.

    Errors of the methods: NotFound for an unknown model, InvalidInput for one that does not have the
    capability or for arguments outside their limits, Overloaded for a full queue.

    Args:
        address: host:port of `wordspot serve all` or `modelhost`, connected to at the first call; None for a
            model service in this process.
        home: of such a service, whose own models lie below home/models; None means WORDSPOT_HOME or
            ~/.wordspot.
        retry_timeout: seconds for which a call that an overloaded server turns away is repeated, after the
            delays that it asks for; 0 raises Overloaded at once.
    """

    def __init__(
        self, address: str | None = None, *, home: Path | None = None, retry_timeout: float = RETRY_TIMEOUT_S
    ) -> None:
        self._resources = ExitStack()
        opening = open_model_channel(address, home, retry_timeout)
        self.address, channel = self._resources.enter_context(opening)
        self._stub = models_pb2_grpc.ModelServiceStub(channel)

    def close(self) -> None:
        """Ends the connection, and the service where it runs in this process."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def list(self) -> list[pb.Model]:
        """Returns all models."""
        return list(self._call(self._stub.ListModels, pb.ListModelsRequest()).models)

    def card(self, name: str) -> dict[str, Any]:
        """Returns the card of a model: configuration, training data, licence, figures, hash."""
        answer = self._call(self._stub.GetModel, pb.GetModelRequest(name=name))
        return {**json.loads(answer.card), "hash": answer.model.hash}

    def load(self, name: str) -> pb.Model:
        """Loads a model, afresh if its artifact has changed, and returns it."""
        answer: pb.LoadModelResponse = self._call(self._stub.LoadModel, pb.LoadModelRequest(name=name))
        return answer.model

    def unload(self, name: str) -> pb.Model:
        """Frees the memory of a model and returns it; the next call loads it again."""
        answer: pb.UnloadModelResponse = self._call(self._stub.UnloadModel, pb.UnloadModelRequest(name=name))
        return answer.model

    def encode(self, name: str, pictures: Pixels) -> Floats:
        """Returns codes, float32 (N, D), of pictures, uint8 (N, H, W) or (N, H, W, 3)."""
        request = pb.EncodeRequest(model=name, pictures=_pictures_message(pictures))
        return _rows(self._call(self._stub.Encode, request).codes)

    def decode(self, name: str, codes: Floats) -> Pixels:
        """Returns pictures, uint8 (N, H, W) or (N, H, W, 3), of codes, float32 (N, D)."""
        vectors = [pb.Vector(values=row) for row in codes.tolist()]
        return _pixels(self._call(self._stub.Decode, pb.DecodeRequest(model=name, codes=vectors)).pictures)

    def reconstruct(self, name: str, pictures: Pixels) -> Pixels:
        """Returns pictures, encoded and decoded again; of the shape of `pictures`, uint8."""
        request = pb.ReconstructRequest(model=name, pictures=_pictures_message(pictures))
        return _pixels(self._call(self._stub.Reconstruct, request).pictures)

    def sample(
        self, name: str, count: int, seed: int, *, temperature: float | None = None, condition: str = ""
    ) -> Pixels:
        """Returns `count` pictures, uint8 (count, H, W) or (count, H, W, 3).

        Equal seeds give equal pictures. temperature, condition: options of models that have them.
        """
        return _pixels(self._sampled("pictures", name, count, seed, temperature, condition))

    def sample_sounds(
        self, name: str, count: int, seed: int, *, temperature: float | None = None, condition: str = ""
    ) -> Sound:
        """Returns `count` sounds, (count, samples). Equal seeds give equal sounds."""
        message = self._sampled("sounds", name, count, seed, temperature, condition)
        sounds, rates = zip(*map(wav.decoded, message.wav), strict=True)
        return Sound(np.stack(sounds), rates[0])

    def sample_texts(
        self, name: str, count: int, seed: int, *, temperature: float | None = None, condition: str = ""
    ) -> Texts:
        """Returns `count` texts. Equal seeds give equal texts."""
        return [*self._sampled("texts", name, count, seed, temperature, condition).texts]

    def sample_clips(
        self, name: str, count: int, seed: int, *, temperature: float | None = None, condition: str = ""
    ) -> Pixels:
        """Returns `count` clips, uint8 (count, frames, H, W) or (count, frames, H, W, 3)."""
        message = self._sampled("clips", name, count, seed, temperature, condition)
        return np.stack([_pixels(clip) for clip in message.clips])

    def classify(self, name: str, pictures: Pixels) -> Floats:
        """Returns probabilities, (N, classes + 1); the last is that of a picture of none of the classes."""
        request = pb.ClassifyRequest(model=name, pictures=_pictures_message(pictures))
        return _rows(self._call(self._stub.Classify, request).probabilities)

    def log_likelihood(self, name: str, pictures: Pixels, seed: int) -> Floats:
        """Returns (N,) nats, or a lower bound of them. pictures: uint8 (N, H, W) or (N, H, W, 3)."""
        return self._log_likelihood(
            pb.GetLogLikelihoodRequest(model=name, pictures=_pictures_message(pictures), seed=seed)
        )

    def log_likelihood_of_sounds(self, name: str, sounds: Sound, seed: int) -> Floats:
        """Returns (N,) nats, or a lower bound of them. sounds: (N, samples)."""
        files = pb.Sounds(wav=wav.to_files(sounds.samples, sounds.rate))
        return self._log_likelihood(pb.GetLogLikelihoodRequest(model=name, sounds=files, seed=seed))

    def log_likelihood_of_texts(self, name: str, texts: Sequence[str], seed: int) -> Floats:
        """Returns (N,) nats, or a lower bound of them."""
        return self._log_likelihood(
            pb.GetLogLikelihoodRequest(model=name, texts=pb.Texts(texts=texts), seed=seed)
        )

    def log_likelihood_of_clips(self, name: str, clips: Pixels, seed: int) -> Floats:
        """Returns (N,) nats, or a lower bound of them.

        clips: uint8 (N, frames, H, W) or (N, frames, H, W, 3).
        """
        return self._log_likelihood(
            pb.GetLogLikelihoodRequest(model=name, clips=_clips_message(clips), seed=seed)
        )

    def encode_words(self, name: str, words: Sequence[str]) -> tuple[Floats, Words]:
        """Returns codes, float32 (N, D), and the words unknown to the model, whose codes are zeros."""
        request = pb.EncodeRequest(model=name, words=pb.Words(words=words))
        answer = self._call(self._stub.Encode, request)
        return _rows(answer.codes), [*answer.unknown]

    def complete(
        self,
        name: str,
        pictures: Pixels,
        known_mask: NDArray[np.bool_],
        seed: int,
        *,
        temperature: float | None = None,
        condition: str = "",
    ) -> Pixels:
        """Returns pictures whose unknown pixels are filled in, of the shape of `pictures`.

        known_mask: (N, H, W), which pixels are known. temperature, condition: options of the model.
        """
        masks = pb.Pictures(
            png=[png.encoded(Image.fromarray(mask.astype(np.uint8) * 255)) for mask in known_mask]
        )
        request = pb.CompleteRequest(
            model=name,
            pictures=_pictures_message(pictures),
            known=masks,
            seed=seed,
            temperature=temperature,
            condition=condition,
        )
        return _pixels(self._call(self._stub.Complete, request).pictures)

    def complete_clips(
        self,
        name: str,
        beginnings: Sequence[Pixels],
        seed: int,
        *,
        temperature: float | None = None,
        condition: str = "",
    ) -> Pixels:
        """Returns whole clips, uint8 (N, frames, H, W) or (N, frames, H, W, 3).

        beginnings: the first frames of each, (frames, H, W) or (frames, H, W, 3), one or more.
        """
        request = pb.CompleteRequest(
            model=name,
            clips=_clips_message(beginnings),
            seed=seed,
            temperature=temperature,
            condition=condition,
        )
        return np.stack([_pixels(clip) for clip in self._call(self._stub.Complete, request).clips.clips])

    def generate(
        self, name: str, count: int, seed: int, *, temperature: float | None = None, condition: str = ""
    ) -> Iterator[Pixels]:
        """Yields each picture of a series, uint8 (H, W) or (H, W, 3), as soon as it is generated."""
        for part in self._generated("png", name, count, seed, temperature, condition):
            yield np.asarray(Image.open(io.BytesIO(part)))

    def generate_sound(
        self, name: str, count: int, seed: int, *, temperature: float | None = None, condition: str = ""
    ) -> Iterator[Sound]:
        """Yields one sound in stretches of samples, each as soon as it is generated."""
        for part in self._generated("sound", name, count, seed, temperature, condition):
            yield Sound(wire.to_samples(part.pcm, "pcm"), part.rate)

    def generate_text(
        self, name: str, count: int, seed: int, *, temperature: float | None = None, condition: str = ""
    ) -> Iterator[str]:
        """Yields the parts of one text, each as soon as it is generated."""
        yield from self._generated("text", name, count, seed, temperature, condition)

    def translate(self, name: str, pictures: Pixels, condition: str = "") -> Pixels:
        """Returns pictures in another domain, such as drawings for outlines; of the shape of `pictures`."""
        request = pb.TranslateRequest(model=name, pictures=_pictures_message(pictures), condition=condition)
        return _pixels(self._call(self._stub.Translate, request).pictures)

    def describe(
        self, name: str, picture: Pixels, seed: int = 0, *, temperature: float | None = None
    ) -> Iterator[tuple[str, Floats]]:
        """Yields the pieces of a description, each with its attention, (rows, columns), with the sum 1.

        picture: uint8 (H, W) or (H, W, 3).
        """
        request = pb.DescribeRequest(model=name, pictures=_pictures_message(picture[np.newaxis]), seed=seed)
        return self._described(request, temperature)

    def describe_clip(
        self, name: str, clip: Pixels, seed: int = 0, *, temperature: float | None = None
    ) -> Iterator[tuple[str, Floats]]:
        """Yields the pieces of a description, each with its attention, (frames,), with the sum 1.

        clip: uint8 (frames, H, W) or (frames, H, W, 3).
        """
        request = pb.DescribeRequest(model=name, clips=_clips_message([clip]), seed=seed)
        return self._described(request, temperature)

    def neighbours(self, name: str, word: str, count: int = 10) -> Ranking:
        """Returns words and the cosines of their vectors to the word's, the nearest first."""
        request = pb.ListNeighboursRequest(model=name, word=word, count=count)
        return _ranking(self._call(self._stub.ListNeighbours, request).neighbours)

    def analogy(
        self, name: str, a: str, b: str, c: str, count: int = 5, *, keep_given: bool = False
    ) -> Ranking:
        """Returns answers to a : b = c : ?, with their cosines, the best first.

        keep_given: a, b and c may be among the answers.
        """
        request = pb.SolveAnalogyRequest(model=name, a=a, b=b, c=c, count=count, keep_given=keep_given)
        return _ranking(self._call(self._stub.SolveAnalogy, request).answers)

    def _sampled(
        self, field: str, name: str, count: int, seed: int, temperature: float | None, condition: str
    ) -> Any:
        """Returns a field of the response to Sample. Raises InvalidInput where it holds another."""
        request = pb.SampleRequest(
            model=name, count=count, seed=seed, temperature=temperature, condition=condition
        )
        return _part_of(self._call(self._stub.Sample, request), "made", field, name)

    def _generated(
        self, field: str, name: str, count: int, seed: int, temperature: float | None, condition: str
    ) -> Iterator[Any]:
        """Yields a field of each response to Generate. Raises InvalidInput where it holds another."""
        request = pb.GenerateRequest(
            model=name, count=count, seed=seed, temperature=temperature, condition=condition
        )
        with errors.translated(self.address):
            for part in self._stub.Generate(request, timeout=MAX_MODEL_CALL_SECONDS):
                yield _part_of(part, "part", field, name)

    def _described(
        self, request: pb.DescribeRequest, temperature: float | None
    ) -> Iterator[tuple[str, Floats]]:
        if temperature is not None:
            request.temperature = temperature
        with errors.translated(self.address):
            for part in self._stub.Describe(request, timeout=MAX_MODEL_CALL_SECONDS):
                yield part.text, np.array(part.attention.shares, np.float32).reshape(part.attention.shape)

    def _log_likelihood(self, request: pb.GetLogLikelihoodRequest) -> Floats:
        return np.array(self._call(self._stub.GetLogLikelihood, request).nats, np.float32)

    def _call(self, method: Callable[..., AnswerT], request: Any) -> AnswerT:
        with errors.translated(self.address):
            return method(request, timeout=MAX_MODEL_CALL_SECONDS, wait_for_ready=False)


def read(paths: Iterable[Path]) -> Pixels:
    """Returns pictures of PNG, JPEG and other files, uint8 (N, H, W) or (N, H, W, 3).

    Raises BadInput where one is no picture or of another size.
    """
    pictures = []
    for path in paths:
        try:
            with Image.open(path) as image:
                pictures.append(np.asarray(image.convert("L" if image.mode in ("1", "L", "I;16") else "RGB")))
        except OSError as error:
            raise BadInput(f"{path} is not a picture that can be read ({error})") from error
        if pictures[-1].shape != pictures[0].shape:
            raise BadInput(
                f"{path} must have the shape {pictures[0].shape}, as the first has, got {pictures[-1].shape}"
            )
    return np.stack(pictures)


def read_clip(paths: Sequence[Path]) -> Pixels:
    """Returns uint8 (frames, H, W, 3) of picture files in their order, or of an animated one.

    Raises BadInput.
    """
    if len(paths) > 1:
        frames = read(paths)
        return frames if frames.ndim == 4 else np.repeat(frames[..., np.newaxis], 3, axis=-1)
    try:
        with Image.open(paths[0]) as image:
            return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)])
    except OSError as error:
        raise BadInput(f"{paths[0]} is not a picture that can be read ({error})") from error


def _part_of(message: Any, choice: str, field: str, name: str) -> Any:
    """Returns a field of a oneof of a message. Raises InvalidInput where the message holds another."""
    kind = message.WhichOneof(choice)
    if kind != field:
        raise InvalidInput(f"model {name!r} gives {kind}, not {field}")
    return getattr(message, field)


def _clips_message(clips: Iterable[Pixels]) -> pb.Clips:
    return pb.Clips(clips=[_pictures_message(clip) for clip in clips])


def _pictures_message(pictures: Pixels) -> pb.Pictures:
    return pb.Pictures(png=[png.encoded(Image.fromarray(picture)) for picture in pictures])


def _pixels(pictures: pb.Pictures) -> Pixels:
    return np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in pictures.png])


def _ranking(neighbours: Iterable[pb.Neighbour]) -> Ranking:
    return [(neighbour.word, neighbour.similarity) for neighbour in neighbours]


def _rows(vectors: Sequence[pb.Vector]) -> Floats:
    return np.array([vector.values for vector in vectors], np.float32)
