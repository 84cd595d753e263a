"""wordspot doctor: is this machine ready?"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import typer

from wordspot.models.errors import ModelError
from wordspot.models.runtime.devices import has_torch
from wordspot.models.temporary import temporary_folder
from wordspot.services import settings
from wordspot.services.commands import console
from wordspot.services.extras import missing_package
from wordspot.services.interchange.schemas import FINDING, named

PACKAGES = ("wordspot", "wordspot-client", "grpcio", "protobuf", "numpy", "onnxruntime", "sqlalchemy")
MODEL_PACKAGES = ("wordspot-models", "torch", "torchaudio", "librosa")
MIN_FREE_BYTES = 1 << 30


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    what: was checked.
    ok: false for what keeps wordspot from working.
    result: a version, or what is wrong.
    missing: whether it is not there, which wordspot can do without.
    """

    what: str
    ok: bool
    result: str
    missing: bool = False

    @property
    def verdict(self) -> str:
        """One word."""
        if not self.ok:
            return "PROBLEM"
        return "missing" if self.missing else "ok"


def doctor(as_json: console.Json = False) -> None:
    """Check versions, encoders, the home directory and the GPU."""
    findings = list(examine(_home_or_problem()))
    if as_json:
        for finding in findings:
            console.print_json(
                named(FINDING)
                | {
                    "what": finding.what,
                    "ok": finding.ok,
                    "missing": finding.missing,
                    "told": finding.result,
                }
            )
    else:
        rows = [(f.verdict, f.what, f.result) for f in findings]
        console.print_table(("", "what", "found"), rows)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(2)


def examine(home: Path | Finding) -> Iterator[Finding]:
    """Yields the results of all checks. home: where models and archives lie, or why there is none."""
    yield Finding("python", True, f"{platform.python_version()} on {platform.platform()}")
    for package in PACKAGES:
        version = _version(package)
        yield Finding(package, version is not None, version or "not installed")
    yield _faiss(_version("faiss-cpu"), _version("faiss-gpu"))
    yield _models()
    av = _version("av")
    result = f"av {av}" if av else "m4a and video need the extra: wordspot[video]"
    yield Finding("video", True, result, missing=av is None)
    espeak = _version("espeakng-loader")
    result = f"espeakng-loader {espeak}" if espeak else "typed queries need the extra: wordspot[synthesis]"
    yield Finding("synthesis", True, result, missing=espeak is None)
    yield _cuda()
    yield _choice()
    yield _temporary_files()
    if isinstance(home, Finding):
        yield home
    else:
        yield from of_home(home)


def of_home(home: Path) -> Iterator[Finding]:
    """Yields the results of the checks of a home."""
    for what, check in (
        ("encoders", _encoders),
        ("home", _home),
        ("locks", _locks),
        ("disk", _space),
        ("archives", _archives),
    ):
        try:
            yield from check(home)
        except OSError as error:
            yield Finding(what, False, f"{error.filename or home} cannot be read: {error.strerror}")


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
    return Finding("faiss", False, "not installed: pip install faiss-cpu")


def _models() -> Finding:
    versions = {package: _version(package) for package in MODEL_PACKAGES}
    missing = [package for package, version in versions.items() if version is None]
    if missing:
        result = f"what generates and trains needs the extra: wordspot[models] (without {', '.join(missing)})"
        return Finding("models", True, result, missing=True)
    return Finding("models", True, ", ".join(f"{package} {version}" for package, version in versions.items()))


def _cuda() -> Finding:
    if not has_torch():
        return Finding("cuda", True, "encoders run on the CPU; a GPU needs the extra: wordspot[gpu]")
    import torch

    if not torch.cuda.is_available():
        return Finding("cuda", True, "no device: encoders run on the CPU")
    return Finding("cuda", True, torch.cuda.get_device_name())


def _encoders(home: Path) -> Iterator[Finding]:
    from wordspot.models import registry
    from wordspot.models.encoders import load_encoder
    from wordspot.models.encoders.choice import needs

    cards = registry.available(home)
    for name in sorted(registry.able("embed", home)):
        try:
            if name in cards and (needed := needs(cards[name])):
                result = f"cannot run yet, it needs {needed}. {cards[name].description}"
                yield Finding(f"encoder {name}", True, result, missing=True)
                continue
            encoder = load_encoder(name, home)
        except ModuleNotFoundError as error:
            if (advice := missing_package(error)) is None:
                raise
            yield Finding(f"encoder {name}", True, advice, missing=True)
        except ModelError as error:
            yield Finding(f"encoder {name}", False, str(error))
        else:
            result = f"hash {encoder.hash[:12]}, {encoder.dimension} dimensions. {encoder.description}"
            yield Finding(f"encoder {name}", True, result)


def _choice() -> Finding:
    from wordspot.models.encoders.choice import best_encoder

    return Finding("encoder of new archives", True, best_encoder().reason)


def _home_or_problem() -> Path | Finding:
    try:
        return settings.home(os.environ)
    except settings.SettingsError as error:
        return Finding("home", False, f"{error}: set WORDSPOT_HOME to a folder")


def _temporary_files() -> Finding:
    asked = os.environ.get("TMPDIR", "")
    try:
        folder = tempfile.gettempdir()
        with temporary_folder(Path(folder)):
            pass
    except OSError as error:
        return Finding("temporary files", False, f"{error.strerror}: set TMPDIR to a folder to write to")
    if asked and Path(asked).absolute() != Path(folder):
        return Finding("temporary files", True, f"TMPDIR, {asked}, cannot be written: they lie in {folder}")
    return Finding("temporary files", True, f"{folder} can be written")


def _home(home: Path) -> Iterator[Finding]:
    from wordspot.indexer.archive import permissions

    try:
        permissions.make_folder(home)
        with tempfile.TemporaryFile(dir=home):
            exposure = permissions.exposure(home)
        if exposure:
            yield Finding("home", False, f"{home} should be yours alone (chmod 0700): {exposure}")
        else:
            yield Finding("home", True, f"{home} can be written, and by nobody else")
    except OSError as error:
        advice = "let this user write there, or set WORDSPOT_HOME to another folder"
        yield Finding("home", False, f"{home} cannot be written: {error.strerror}; {advice}")


def _locks(home: Path) -> Iterator[Finding]:
    from wordspot.indexer.archive.home_lock import LOCKING_ADVICE

    with ExitStack() as stack:
        try:
            file = stack.enter_context(tempfile.TemporaryFile(dir=home))
        except OSError:
            return  # told by _home
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            result = f"files in {home} cannot be locked: {error.strerror}; {LOCKING_ADVICE}"
            yield Finding("locks", False, result)
        else:
            yield Finding("locks", True, f"files in {home} can be locked")


def _space(home: Path) -> Iterator[Finding]:
    existing = next(folder for folder in (home, *home.parents) if folder.is_dir())
    free = shutil.disk_usage(existing).free
    yield Finding("disk", free >= MIN_FREE_BYTES, f"{free / 2**30:.1f} GiB free at {existing}")


def _archives(home: Path) -> Iterator[Finding]:
    from wordspot.indexer.archive.catalogue_file import catalogue_problem, quarantined_in

    if problem := catalogue_problem(home):
        yield Finding("archives", False, problem)
        return
    quarantined = quarantined_in(home)
    if not quarantined:
        yield Finding("archives", True, "the catalogue is sound, no segment is in quarantine")
        return
    archive, problem = quarantined[0]
    count = console.counted(len(quarantined), "damaged segment")
    result = f"{count}: {problem}; `wordspot archive repair --archive {archive}`"
    yield Finding("archives", False, result)
