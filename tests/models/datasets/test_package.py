from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from wordspot.models.datasets.package import BinaryPackage, DatasetError, Package, fetch, unpack

Build = Callable[..., Package]


def put_command(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_package_in_the_given_folder_is_used_where_it_lies(
    build: Build, packages: Path, tmp_path: Path
) -> None:
    package = build("speech", {"usr/share/a.txt": b"a"})
    assert fetch(package, tmp_path, packages) == packages / "speech_1.0-1_all.deb"


def test_the_folder_may_be_named_by_the_environment(
    build: Build, packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = build("speech", {"usr/share/a.txt": b"a"})
    monkeypatch.setenv("WORDSPOT_PACKAGES", str(packages))
    assert fetch(package, tmp_path) == packages / "speech_1.0-1_all.deb"


def test_a_package_with_another_hash_is_refused(build: Build, packages: Path, tmp_path: Path) -> None:
    package = dataclasses.replace(build("speech", {"usr/share/a.txt": b"a"}), sha256="0" * 64)
    with pytest.raises(DatasetError, match=f"expected {'0' * 64}"):
        fetch(package, tmp_path, packages)


def test_a_package_that_is_not_there_is_downloaded_by_apt(
    build: Build, packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = build("speech", {"usr/share/a.txt": b"a"})
    put_command(
        tmp_path / "bin",
        "apt-get",
        f'[ "$1 $2" = "download speech=1.0-1" ] && /bin/cp {packages}/speech_1.0-1_all.deb .',
    )
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert fetch(package, elsewhere) == elsewhere / "speech_1.0-1_all.deb"


def test_a_program_is_that_of_64_bit_pcs() -> None:
    package = BinaryPackage("flite", "1:2.2-5", "0" * 64)
    assert package.file_name == "flite_1%3a2.2-5_amd64.deb"
    assert package.download == ["apt-get", "download", "flite:amd64=1:2.2-5"]


def test_a_version_that_apt_does_not_have_says_what_to_do(
    packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_command(tmp_path / "bin", "apt-get", "echo 'E: Version not found' >&2; exit 100")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(
        DatasetError, match=r"speech 2.0 .*apt-get update.*WORDSPOT_PACKAGES.*Version not found"
    ):
        fetch(Package("speech", "2.0", "0" * 64), tmp_path, packages)


def test_a_machine_without_apt_is_told_so(
    packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DatasetError, match="apt-get is not installed here"):
        fetch(Package("speech", "2.0", "0" * 64), tmp_path, packages)


def test_unpacked_packages_share_a_folder(build: Build, packages: Path, tmp_path: Path) -> None:
    target = tmp_path / "unpacked"
    target.mkdir()
    for package in (build("one", {"usr/share/a.txt": b"a"}), build("two", {"usr/share/b.txt": b"b"})):
        unpack(fetch(package, tmp_path, packages), target)
    assert sorted(path.name for path in (target / "usr/share").iterdir()) == ["a.txt", "b.txt"]


def test_a_file_that_is_no_package_cannot_be_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "broken_1_all.deb"
    path.write_bytes(b"not an archive")
    with pytest.raises(DatasetError, match=r"broken_1_all\.deb cannot be unpacked"):
        unpack(path, tmp_path)
