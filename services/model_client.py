"""The model service for programs in Python: pictures and codes as arrays.

    with Models.at("localhost:50051") as models:
        pictures = models.sample("digits-vae", 16, seed=7)      # uint8 (16, 28, 28)
        codes = models.encode("digits-vae", pictures)            # float32 (16, 50)
        models.analogy("words-en", "man", "king", "woman")       # [("queen", 0.68), ...]

Pictures are uint8 (N, H, W) if grey, (N, H, W, 3) if coloured. Errors are those of an archive's
client: NotFound, InvalidInput, DataLoss, and Overloaded, after which the same call may succeed.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wordspot.models.errors import BadInput
from wordspot.services import embedded, errors, png
from wordspot.services.runtime import open_channel
from wordspot.services.settings import ModelHostSettings
from wordspot.v1 import models_pb2 as pb
from wordspot.v1 import models_pb2_grpc

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Ranked = list[tuple[str, float]]
Words = list[str]
AnswerT = TypeVar("AnswerT")

TIMEOUT_S = 600.0


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
        """What the model learned from, its licence, its figures."""
        answer = self._call(self._stub.GetModel, pb.GetModelRequest(name=name))
        card: dict[str, Any] = json.loads(answer.card)
        return card

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

    def sample(self, name: str, count: int, seed: int) -> Pixels:
        """Equal seeds, equal pictures."""
        request = pb.SampleRequest(model=name, count=count, seed=seed)
        return _pixels(self._call(self._stub.Sample, request).pictures)

    def classify(self, name: str, pictures: Pixels) -> Floats:
        """Probabilities (N, classes + 1); the last is that a picture is none of them."""
        request = pb.ClassifyRequest(model=name, pictures=_files(pictures))
        return _rows(self._call(self._stub.Classify, request).probabilities)

    def log_likelihood(self, name: str, pictures: Pixels, seed: int) -> Floats:
        """(N,) nats, or a lower bound of them."""
        request = pb.GetLogLikelihoodRequest(model=name, pictures=_files(pictures), seed=seed)
        return np.array(self._call(self._stub.GetLogLikelihood, request).nats, np.float32)

    def encode_words(self, name: str, words: Sequence[str]) -> tuple[Floats, Words]:
        """(N, D), and which words the model does not know; those have zeros."""
        request = pb.EncodeRequest(model=name, words=pb.Words(words=words))
        answer = self._call(self._stub.Encode, request)
        return _rows(answer.codes), [*answer.unknown]

    def complete(self, name: str, pictures: Pixels, known: NDArray[np.bool_], seed: int) -> Pixels:
        """known: (N, H, W); what is not is filled in."""
        masks = pb.Pictures(png=[png.encoded(Image.fromarray(mask.astype(np.uint8) * 255)) for mask in known])
        request = pb.CompleteRequest(model=name, pictures=_files(pictures), known=masks, seed=seed)
        return _pixels(self._call(self._stub.Complete, request).pictures)

    def generate(self, name: str, count: int, seed: int) -> Iterator[Pixels]:
        """Each picture, (H, W) or (H, W, 3), as soon as it is made."""
        request = pb.GenerateRequest(model=name, count=count, seed=seed)
        with errors.translated(self._address):
            for part in self._stub.Generate(request, timeout=TIMEOUT_S):
                yield np.asarray(Image.open(io.BytesIO(part.png)))

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


def _files(pictures: Pixels) -> pb.Pictures:
    return pb.Pictures(png=[png.encoded(Image.fromarray(picture)) for picture in pictures])


def _pixels(given: pb.Pictures) -> Pixels:
    return np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in given.png])


def _ranked(found: Iterable[pb.Neighbour]) -> Ranked:
    return [(one.word, one.similarity) for one in found]


def _rows(vectors: Sequence[pb.Vector]) -> Floats:
    return np.array([vector.values for vector in vectors], np.float32)
