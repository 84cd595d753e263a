"""A model of each modality, with nothing to learn, and what puts it on the disk as an artifact."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor, nn

from wordspot.models import artifact
from wordspot.models.artifact import TrainingRecord
from wordspot.models.errors import BadInput
from wordspot.models.model import Model
from wordspot.models.registry import register

PITCHES = {"low": 0.25, "high": 0.75}


def pitch(condition: str) -> float:
    if condition not in PITCHES:
        raise BadInput(f"the condition {condition!r}; {' or '.join(PITCHES)} is allowed")
    return PITCHES[condition]


@dataclass(frozen=True)
class SoundConfig:
    rate: int = 8_000
    samples: int = 400


@register("small_sound")
class SmallSound(Model[SoundConfig]):
    """calls: of any method. gate: what must be acquired for a part to be made, where there is one."""

    Config = SoundConfig
    modality = "sound"
    options = frozenset({"temperature", "condition"})
    calls: ClassVar[list[str]] = []
    gate: ClassVar[threading.Semaphore | None] = None

    def __init__(self, config: SoundConfig) -> None:
        super().__init__(config)
        self.level = nn.Parameter(torch.tensor(0.1))

    def sample(
        self, count: int, rng: Generator, *, temperature: float = 1.0, condition: str = "low"
    ) -> Tensor:
        self.calls.append("sample")
        noise = torch.rand((count, self.config.samples), generator=rng)
        return pitch(condition) + self.level * temperature * (noise - 0.5)

    def generate(
        self, count: int, rng: Generator, *, temperature: float = 1.0, condition: str = "low"
    ) -> Iterator[Tensor]:
        for _ in range(count):
            assert self.gate is None or self.gate.acquire(timeout=10)
            yield self.sample(1, rng, temperature=temperature, condition=condition)[0, :100]

    def nll(self, sounds: Tensor, rng: Generator) -> Tensor:
        self.calls.append("nll")
        return sounds.abs().sum(dim=1)


@dataclass(frozen=True)
class TextConfig:
    letters: str = "天地玄黃宇宙洪荒"
    length: int = 5


@register("small_text")
class SmallText(Model[TextConfig]):
    """condition: LETTERSxLINES."""

    Config = TextConfig
    modality = "text"
    options = frozenset({"temperature", "condition"})
    gate: ClassVar[threading.Semaphore | None] = None

    def __init__(self, config: TextConfig) -> None:
        super().__init__(config)
        self.level = nn.Parameter(torch.zeros(1))

    def sample(
        self, count: int, rng: Generator, *, temperature: float = 1.0, condition: str = "5x1"
    ) -> list[str]:
        letters, _, lines = condition.partition("x")
        if not letters.isdigit() or not lines.isdigit():
            raise BadInput(f"the form {condition!r}; 5x4, 7x4, 5x8 or 7x8 is allowed")
        return [
            "\n".join(self._line(int(letters), rng, temperature) for _ in range(int(lines)))
            for _ in range(count)
        ]

    def generate(self, count: int, rng: Generator, *, temperature: float = 1.0) -> Iterator[str]:
        for _ in range(count):
            assert self.gate is None or self.gate.acquire(timeout=10)
            yield f"{self._line(1, rng, temperature)}\n"

    def nll(self, texts: Sequence[str], rng: Generator) -> Tensor:
        for text in texts:
            if not set(text) <= set(self.config.letters):
                raise BadInput(f"the text {text!r}; {self.config.letters} are allowed")
        return torch.tensor([float(len(text)) for text in texts])

    def _line(self, length: int, rng: Generator, temperature: float) -> str:
        letters = self.config.letters
        chances = (-torch.arange(float(len(letters))) / temperature).softmax(dim=0)
        return "".join(letters[n] for n in torch.multinomial(chances, length, True, generator=rng).tolist())


@dataclass(frozen=True)
class VideoConfig:
    frames: int = 4
    channels: int = 1
    height: int = 5
    width: int = 6


@register("small_video")
class SmallVideo(Model[VideoConfig]):
    Config = VideoConfig
    modality = "video"
    options = frozenset({"temperature"})

    def __init__(self, config: VideoConfig) -> None:
        super().__init__(config)
        self.level = nn.Parameter(torch.zeros(1))

    def sample(self, count: int, rng: Generator, *, temperature: float = 1.0) -> Tensor:
        config = self.config
        shape = (count, config.frames, config.channels, config.height, config.width)
        return torch.rand(shape, generator=rng) * min(temperature, 1.0)

    def complete(self, clips: Tensor, known: Tensor, rng: Generator, *, temperature: float = 1.0) -> Tensor:
        drawn = self.sample(len(clips), rng, temperature=temperature)
        return torch.where(known[:, :, None, None, None], clips, drawn)

    def nll(self, clips: Tensor, rng: Generator) -> Tensor:
        return clips.flatten(1).sum(dim=1)


@dataclass(frozen=True)
class PictureConfig:
    channels: int = 3
    height: int = 5
    width: int = 6


@register("small_picture")
class SmallPicture(Model[PictureConfig]):
    Config = PictureConfig
    modality = "picture"
    options = frozenset({"condition"})

    def __init__(self, config: PictureConfig) -> None:
        super().__init__(config)
        self.level = nn.Parameter(torch.zeros(1))

    def sample(self, count: int, rng: Generator, *, condition: str = "low") -> Tensor:
        config = self.config
        noise = torch.rand((count, config.channels, config.height, config.width), generator=rng)
        return pitch(condition) + (noise - 0.5) / 4

    def complete(self, pictures: Tensor, known: Tensor, rng: Generator, *, condition: str = "low") -> Tensor:
        return torch.where(known, pictures, self.sample(len(pictures), rng, condition=condition))

    def generate(self, count: int, rng: Generator, *, condition: str = "low") -> Iterator[Tensor]:
        for _ in range(count):
            yield self.sample(1, rng, condition=condition)[0]


class Teller:
    """Names the levels of what is shown from left to right, or from first to last, a piece for each half.

    gate: as of SmallSound.
    """

    gate: ClassVar[threading.Semaphore | None] = None

    def told(
        self, halves: Sequence[Tensor], places: Sequence[int], rng: Generator, temperature: float | None
    ) -> Iterator[tuple[str, Tensor]]:
        for number, half in enumerate(halves):
            assert self.gate is None or self.gate.acquire(timeout=10)
            noise = 0.0 if temperature is None else temperature * float(torch.rand(1, generator=rng))
            word = "bright" if float(half.mean()) + noise > 0.5 else "dark"
            looks = torch.zeros(*places)
            looks[..., number * places[-1] // 2 : (number + 1) * places[-1] // 2] = 1
            yield f" {word}" if number else word, looks / looks.sum()


@register("small_teller")
class SmallTeller(Teller, Model[PictureConfig]):
    Config = PictureConfig
    modality = "picture"
    options = frozenset({"temperature"})

    def __init__(self, config: PictureConfig) -> None:
        super().__init__(config)
        self.level = nn.Parameter(torch.zeros(1))

    def describe(
        self, picture: Tensor, rng: Generator, *, temperature: float | None = None
    ) -> Iterator[tuple[str, Tensor]]:
        yield from self.told(picture.split(self.config.width // 2, dim=2), (3, 4), rng, temperature)


@register("small_witness")
class SmallWitness(Teller, Model[VideoConfig]):
    Config = VideoConfig
    modality = "video"

    def __init__(self, config: VideoConfig) -> None:
        super().__init__(config)
        self.level = nn.Parameter(torch.zeros(1))

    def describe(self, clip: Tensor, rng: Generator) -> Iterator[tuple[str, Tensor]]:
        yield from self.told(clip.split(self.config.frames // 2), (self.config.frames,), rng, None)


SMALL: dict[str, type[Model[Any]]] = {
    "sound": SmallSound,
    "poem": SmallText,
    "clips": SmallVideo,
    "sprites": SmallPicture,
    "teller": SmallTeller,
    "witness": SmallWitness,
}


def put_all(home: Path) -> None:
    """An artifact of each below home/models."""
    for name, kind in SMALL.items():
        artifact.save(kind(kind.Config()), TrainingRecord(name), home / "models" / name)
