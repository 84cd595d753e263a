"""wordspot doctor: is this machine ready?"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import typer

from wordspot.indexer.errors import DataLoss
from wordspot.models.errors import ModelError
from wordspot.services import settings
from wordspot.services.commands import console

PACKAGES = ("wordspot", "torch", "torchaudio", "grpcio", "protobuf", "numpy", "librosa", "sqlalchemy")
MIN_FREE_BYTES = 1 << 30


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    what: was checked.
    ok: false for what keeps wordspot from working.
    result: a version, or what is wrong.
    """

    what: str
    ok: bool
    result: str


def doctor(as_json: console.Json = False) -> None:
    """Check versions, encoders, the home directory and the GPU."""
    findings = list(examine(settings.home(os.environ)))
    if as_json:
        for finding in findings:
            console.print_json({"what": finding.what, "ok": finding.ok, "told": finding.result})
    else:
        rows = [("ok" if f.ok else "PROBLEM", f.what, f.result) for f in findings]
        console.print_table(("", "what", "found"), rows)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(2)


def examine(home: Path) -> Iterator[Finding]:
    """Yields the results of all checks. home: where models and archives lie."""
    yield Finding("python", True, f"{platform.python_version()} on {platform.platform()}")
    for package in PACKAGES:
        version = _version(package)
        yield Finding(package, version is not None, version or "not installed")
    yield _faiss(_version("faiss-cpu"), _version("faiss-gpu"))
    av = _version("av")
    yield Finding("video", True, f"av {av}" if av else "m4a and video need the extra: wordspot[video]")
    espeak = _version("espeakng-loader")
    result = f"espeakng-loader {espeak}" if espeak else "typed queries need the extra: wordspot[synthesis]"
    yield Finding("synthesis", True, result)
    yield _cuda()
    yield from _encoders(home)
    yield _choice()
    yield _home(home)
    yield _space(home)
    yield _archives(home)


def _version(package: str) -> str | None:
    from importlib import metadata  # half of what the command line takes to start

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _faiss(cpu: str | None, gpu: str | None) -> Finding:
    if cpu and gpu:
        result = f"faiss-cpu {cpu} and faiss-gpu {gpu} overwrite each other: uninstall both, install one"
        return Finding("faiss", False, result)
    if cpu or gpu:
        return Finding("faiss", True, f"faiss-cpu {cpu}" if cpu else f"faiss-gpu {gpu}")
    return Finding("faiss", False, "not installed: wordspot[cpu] or wordspot[gpu]")


def _cuda() -> Finding:
    import torch

    if not torch.cuda.is_available():
        return Finding("cuda", True, "no device: encoders run on the CPU")
    return Finding("cuda", True, torch.cuda.get_device_name())


def _encoders(home: Path) -> Iterator[Finding]:
    from wordspot.models import registry
    from wordspot.models.encoders import load_encoder

    for name in sorted(registry.able("embed", home)):
        try:
            encoder = load_encoder(name, home)
        except ModelError as error:
            yield Finding(f"encoder {name}", False, str(error))
        else:
            result = f"hash {encoder.hash[:12]}, {encoder.dimension} dimensions. {encoder.description}"
            yield Finding(f"encoder {name}", True, result)


def _choice() -> Finding:
    from wordspot.models.encoders.choice import best_encoder

    return Finding("encoder of new archives", True, best_encoder().reason)


def _home(home: Path) -> Finding:
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            return Finding("home", True, f"{home} can be written")
    except OSError as error:
        return Finding("home", False, f"{home} cannot be written: {error.strerror}")


def _space(home: Path) -> Finding:
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    return Finding("disk", free >= MIN_FREE_BYTES, f"{free / 2**30:.1f} GiB free at {existing}")


def _archives(home: Path) -> Finding:
    from wordspot.indexer.archive.catalogue_file import quarantined_in

    try:
        quarantined = quarantined_in(home)
    except DataLoss as error:
        return Finding("archives", False, f"{error}: `wordspot restore FILE` puts a backup in its place")
    if not quarantined:
        return Finding("archives", True, "no segment is in quarantine")
    archive, problem = quarantined[0]
    result = f"{len(quarantined)} damaged segments: {problem}; `wordspot archive repair --archive {archive}`"
    return Finding("archives", False, result)
