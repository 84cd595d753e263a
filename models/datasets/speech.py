"""Real speech for training and judging: clips of known speaker, scene and language.

A source is a function that reads unpacked packages and yields takes. It is stored as one mono FLAC a clip at
its native rate beside `clips.jsonl`. Transcripts are kept where a package has them in plain form; nothing
that trains an unsupervised model may read them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from wordspot.models.datasets.package import DatasetError, Package
from wordspot.models.datasets.source import Source, find, registering, sources

SpeechSplit = Literal["train", "dev"]


@dataclass(frozen=True)
class Clip:
    """One utterance on disk.

    Attributes:
        id: `source/name`, unique over all sources.
        source: Its name.
        speaker: Unique within the source; None where the package does not tell.
        language: ISO 639-1.
        group: Scene or chapter, the unit of splitting.
        path: Mono FLAC.
        seconds: How long it is.
        text: Transcript; None where the package has none.
    """

    id: str
    source: str
    speaker: str | None
    language: str
    group: str
    path: Path
    seconds: float
    text: str | None


@dataclass(frozen=True)
class Take:
    """A clip as its source yields it.

    Attributes:
        name: Unique within the source; may hold slashes.
        speaker: As of a clip.
        language: ISO 639-1.
        group: As of a clip.
        samples: float32 (n,) at `rate` Hz, mono.
        rate: Samples a second.
        text: Transcript; None where the package has none.
    """

    name: str
    speaker: str | None
    language: str
    group: str
    samples: NDArray[np.float32]
    rate: int
    text: str | None = None


SpeechConverter = Callable[[Path], Iterator[Take]]


@dataclass(frozen=True)
class SpeechSource(Source):
    """A source of clips of speech.

    Attributes:
        held_out: Share of the groups that never train, from 0 (all train) to 1 (none trains).
        convert: From the folder into which all packages were unpacked.
    """

    held_out: float
    convert: SpeechConverter

    kind = "speech"

    def convert_into(self, folder: Path, root: Path) -> None:
        clips = [write(take, self.name, folder) for take in self.convert(root)]
        if not clips:
            raise DatasetError(f"source {self.name!r} yielded no clips")
        write_clips(clips, folder)


def source(
    name: str, *, packages: tuple[Package, ...], licence: str, held_out: float
) -> Callable[[SpeechConverter], SpeechConverter]:
    """Registers the decorated converter as the source `name`."""
    split = "never trains" if held_out == 1 else "trains"
    if 0 < held_out < 1:
        split = f"{1 - held_out:.0%} train, by scene"
    return registering(lambda convert: SpeechSource(name, packages, licence, split, held_out, convert))


def split(clip: Clip) -> SpeechSplit:
    """Returns which split a clip belongs to; all clips of a group fall together, on every machine."""
    digest = hashlib.sha256(f"{clip.source}/{clip.group}".encode()).digest()
    share = int.from_bytes(digest[:8], "big") / 2**64
    return "dev" if share < find(clip.source, SpeechSource).held_out else "train"


def clips(name: str, home: Path, packages: Path | None = None) -> list[Clip]:
    """Returns the clips of one source in order of id, converted on first use.

    home: state folder (WORDSPOT_HOME). packages: as in `package.fetch`.
    Raises DatasetError.
    """
    return read_clips(find(name, SpeechSource).fetch(home, packages))


def training_clips(home: Path, packages: Path | None = None) -> list[Clip]:
    """Returns everything that may train the retrieval models, in order of source and id."""
    return [
        clip
        for name, source in sources(SpeechSource).items()
        if source.held_out < 1
        for clip in clips(name, home, packages)
        if split(clip) == "train"
    ]


def load_mono(path: Path) -> tuple[NDArray[np.float32], int]:
    """Returns samples float32 (n,), channels averaged, and the rate in Hz of anything soundfile decodes."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return samples.mean(axis=1, dtype=np.float32), rate


def read_clips(folder: Path) -> list[Clip]:
    """Returns the clips that lie in the folder of a source."""
    with (folder / "clips.jsonl").open(encoding="utf-8") as lines:
        rows = [Clip(**json.loads(line)) for line in lines]
    return [replace(clip, path=folder / clip.path) for clip in rows]


def write_clips(clips: Iterable[Clip], folder: Path) -> None:
    """Writes the table of clips, whose paths are relative to `folder`; they are put in order of id."""
    with (folder / "clips.jsonl").open("w", encoding="utf-8") as lines:
        for clip in sorted(clips, key=lambda clip: clip.id):
            lines.write(json.dumps({**asdict(clip), "path": str(clip.path)}, ensure_ascii=False) + "\n")


def write(take: Take, source_name: str, folder: Path) -> Clip:
    """Writes the take as FLAC below `folder` and returns its clip with the path relative to there."""
    path = Path("audio") / f"{take.name}.flac"
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / path, take.samples, take.rate, format="FLAC", subtype="PCM_16")
    return Clip(
        id=f"{source_name}/{take.name}",
        source=source_name,
        speaker=take.speaker,
        language=take.language,
        group=take.group,
        path=path,
        seconds=round(len(take.samples) / take.rate, 4),
        text=take.text,
    )
