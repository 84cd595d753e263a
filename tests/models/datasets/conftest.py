from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from wordspot.models.datasets import source
from wordspot.models.datasets.package import Package
from wordspot.models.datasets.source import Source

Build = Callable[..., Package]
Only = Callable[..., None]


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Only:
    """Makes some sources the only ones there are."""
    source.sources(Source)  # registered before the registry is replaced

    def replace(*some: Source) -> None:
        monkeypatch.setattr(source, "_SOURCES", {one.name: one for one in some})

    return replace


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of downloaded packages, empty so far."""
    monkeypatch.delenv("WORDSPOT_PACKAGES", raising=False)
    folder = tmp_path / "packages"
    folder.mkdir()
    return folder


def build_package(
    packages: Path,
    folder: Path,
    name: str,
    files: dict[str, bytes],
    version: str = "1.0-1",
    mode: int = 0o644,
) -> Package:
    """Builds a real .deb in `folder` out of files by path and puts it into `packages`; mode: of the files."""
    root = folder / f"{name}-{version}"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: all\n"
        "Maintainer: Nobody <nobody@example.org>\nDescription: test\n"
    )
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
        (root / path).chmod(mode)
    deb = packages / f"{name}_{version}_all.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--build", str(root), str(deb)],
        check=True,
        capture_output=True,
    )
    return Package(name, version, hashlib.sha256(deb.read_bytes()).hexdigest())


@pytest.fixture
def build(tmp_path: Path, packages: Path) -> Build:
    """Builds packages into `packages`; see build_package."""
    return partial(build_package, packages, tmp_path)
