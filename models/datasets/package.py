"""Debian packages as data: fetched by apt, checked against a pinned hash, unpacked."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from wordspot.models.errors import ModelError

PACKAGES_VARIABLE = "WORDSPOT_PACKAGES"
DOWNLOAD_TIMEOUT_S = 1_800
UNPACK_TIMEOUT_S = 600


class DatasetError(ModelError):
    """A source could not be fetched, or is not what was expected."""


@dataclass(frozen=True)
class Package:
    """One architecture-independent Debian package at one version; sha256 of the .deb, hexadecimal."""

    name: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.name}_{self.version}_all.deb"


def fetch(package: Package, folder: Path, packages: Path | None = None) -> Path:
    """The checked .deb: out of `packages` where it lies there, else downloaded by apt-get into `folder`.

    packages: folder of already downloaded packages; by default the one that WORDSPOT_PACKAGES names.
    Raises DatasetError when apt has no such version or the hash differs.
    """
    given = packages or (Path(os.environ[PACKAGES_VARIABLE]) if os.environ.get(PACKAGES_VARIABLE) else None)
    path = given / package.file_name if given else None
    if path is None or not path.is_file():
        path = _download(package, folder)
    found = _sha256(path)
    if found != package.sha256:
        raise DatasetError(f"{path} has SHA-256 {found}, expected {package.sha256}")
    return path


def unpack(deb: Path, folder: Path) -> None:
    """The files of a .deb under `folder`, which several packages may share."""
    _run(["dpkg", "-x", str(deb), str(folder)], folder, UNPACK_TIMEOUT_S, f"{deb.name} cannot be unpacked")


def _download(package: Package, folder: Path) -> Path:
    _run(
        ["apt-get", "download", f"{package.name}={package.version}"],
        folder,
        DOWNLOAD_TIMEOUT_S,
        f"apt has no {package.name} {package.version} (Debian 12): run `apt-get update`, or put "
        f"{package.file_name} into a folder and name it in {PACKAGES_VARIABLE}",
    )
    # apt writes the epoch's colon as %3a; none of the versions here has one.
    return folder / package.file_name


def _run(command: list[str], folder: Path, timeout_s: int, complaint: str) -> None:
    if shutil.which(command[0]) is None:
        raise DatasetError(f"{complaint}; {command[0]} is not installed here")
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=timeout_s)
    except subprocess.CalledProcessError as error:
        raise DatasetError(f"{complaint}; {command[0]} said: {error.stderr.strip()}") from error
    except subprocess.TimeoutExpired as error:
        raise DatasetError(f"{complaint}; {command[0]} took more than {timeout_s} s") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
