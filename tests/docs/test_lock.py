"""The locks hold what pyproject.toml asks for, with hashes and no host; the images install by them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DEVELOPMENT, BUILD = "requirements-dev.lock", "deploy/requirements-build.lock"
EXTRAS = {
    DEVELOPMENT: ("models", "video", "dev", "docs"),
    "deploy/requirements-cpu.lock": ("video", "postgres"),
    "deploy/requirements-gpu.lock": ("models", "video", "postgres"),
}
IMAGES = sorted(EXTRAS.keys() - {DEVELOPMENT})
LOCKS = (*EXTRAS, BUILD)


def text_of(lock: str) -> str:
    return (ROOT / lock).read_text(encoding="utf-8")


def pinned(lock: str) -> dict[str, str]:
    """Versions by canonical name."""
    found = re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;]+)", text_of(lock), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def asked(lock: str) -> list[Requirement]:
    if lock == BUILD:
        return [Requirement(text) for text in PROJECT["build-system"]["requires"]]
    extras = PROJECT["project"]["optional-dependencies"]
    texts = [*PROJECT["project"]["dependencies"], *(text for extra in EXTRAS[lock] for text in extras[extra])]
    return [Requirement(text) for text in texts if not text.startswith("wordspot")]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_locked_to_a_version_that_it_allows(lock: str) -> None:
    versions = pinned(lock)
    for requirement in asked(lock):
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement} is not locked: run make lock"
        assert requirement.specifier.contains(version, prereleases=True), (
            f"{requirement}: {version} is locked"
        )


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_hashes(lock: str) -> None:
    entries = [entry for entry in re.split(r"\n(?=\S)", text_of(lock)) if not entry.startswith("#")]
    assert len(entries) >= len(pinned(lock)) >= len(asked(lock))
    for entry in entries:
        assert "--hash=sha256:" in entry, entry


@pytest.mark.parametrize("lock", LOCKS)
def test_it_names_no_host(lock: str) -> None:
    assert "://" not in text_of(lock)
    assert not re.search(r"--(extra-)?index-url|--find-links|--trusted-host", text_of(lock))


@pytest.mark.parametrize("lock", [*IMAGES, BUILD])
def test_what_an_image_installs_is_what_the_tests_run_with(lock: str) -> None:
    tested = pinned(DEVELOPMENT)
    assert {name: tested[name] for name in pinned(lock) if name in tested}.items() <= pinned(lock).items()


def test_the_images_install_nothing_but_what_is_locked() -> None:
    dockerfile = text_of("deploy/Dockerfile")
    installs = re.findall(r"pip (?:install|wheel) [^\n]*", dockerfile)
    assert len(installs) >= 6
    for command in installs:
        assert "--require-hashes -r " in command or "--no-deps" in command, command
        assert "--require-hashes" in command or "--no-index" in command, command
    for lock in (*IMAGES, BUILD):
        assert f"COPY {lock} " in dockerfile
    assert set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)) == {"${BASE}", "base"}


@pytest.mark.parametrize("lock", IMAGES)
def test_the_bill_of_materials_lists_what_is_locked_with_its_hashes(lock: str, tmp_path: Path) -> None:
    out = tmp_path / "sbom.json"
    command = [
        sys.executable,
        "-m",
        "cyclonedx_py",
        "requirements",
        "--pyproject",
        str(ROOT / "pyproject.toml"),
    ]
    subprocess.run([*command, "--output-file", str(out), str(ROOT / lock)], check=True, capture_output=True)
    bill = json.loads(out.read_text(encoding="utf-8"))
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "wordspot"
    versions = pinned(lock)
    assert {canonicalize_name(part["name"]) for part in bill["components"]} == versions.keys()
    for part in bill["components"]:
        name = canonicalize_name(part["name"])
        assert f"{part['name']}=={part['version']}" in text_of(lock)
        (source,) = part["externalReferences"]
        assert {each["alg"] for each in source["hashes"]} == {"SHA-256"}, name


def test_the_citation_names_the_version() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {metadata.version('wordspot')}\n" in text
