from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from wordspot.models.datasets.package import Package

Build = Callable[..., Package]


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of downloaded packages, empty so far."""
    monkeypatch.delenv("WORDSPOT_PACKAGES", raising=False)
    folder = tmp_path / "packages"
    folder.mkdir()
    return folder


@pytest.fixture
def build(tmp_path: Path, packages: Path) -> Build:
    """Builds a real .deb out of files by path and puts it into `packages`."""

    def make(name: str, files: dict[str, bytes], version: str = "1.0-1") -> Package:
        root = tmp_path / f"{name}-{version}"
        (root / "DEBIAN").mkdir(parents=True)
        (root / "DEBIAN/control").write_text(
            f"Package: {name}\nVersion: {version}\nArchitecture: all\n"
            "Maintainer: Nobody <nobody@example.org>\nDescription: test\n"
        )
        for path, content in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
        deb = packages / f"{name}_{version}_all.deb"
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "--build", str(root), str(deb)],
            check=True,
            capture_output=True,
        )
        return Package(name, version, hashlib.sha256(deb.read_bytes()).hexdigest())

    return make
