"""The page as it is built and served, without a browser."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

WEB = Path(__file__).parents[4] / "services" / "gateway" / "web"
DIST = WEB / "dist"
MAX_SCRIPT_BYTES = 250_000
SOURCES = re.search(r"SOURCES = (\[.*?\]);", (WEB / "sources.ts").read_text())
BUILD_TIMEOUT_S = 240


def source_files() -> Iterator[str]:
    assert SOURCES is not None
    names = json.loads(SOURCES[1].replace("'", '"'))
    for path in (WEB / name for name in names):
        for file in path.rglob("*") if path.is_dir() else [path]:
            if file.is_file():
                yield file.relative_to(WEB).as_posix()


def test_the_built_page_is_that_of_its_sources() -> None:
    digest = hashlib.sha256()
    for name in sorted(source_files()):
        content = (WEB / name).read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    assert (DIST / "sources.sha256").read_text().strip() == digest.hexdigest(), "run make page"


def test_building_anew_makes_the_same_files(tmp_path: Path) -> None:
    if shutil.which("npx") is None or not (WEB / "node_modules").is_dir():
        pytest.skip("needs Node and what npm ci in services/gateway/web installs")
    command = ["npx", "vite", "build", "--outDir", str(tmp_path), "--emptyOutDir", "--logLevel", "error"]
    subprocess.run(command, cwd=WEB, check=True, timeout=BUILD_TIMEOUT_S)
    built = {file.relative_to(tmp_path): file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert built == {file.relative_to(DIST): file.read_bytes() for file in DIST.rglob("*") if file.is_file()}


def test_all_scripts_together_are_small() -> None:
    scripts = [gzip.compress(file.read_bytes(), mtime=0) for file in (DIST / "assets").glob("*.js")]
    assert 0 < sum(map(len, scripts)) < MAX_SCRIPT_BYTES


def test_the_lock_file_names_no_registry_and_each_package_has_a_checksum() -> None:
    packages = json.loads((WEB / "package-lock.json").read_text())["packages"]
    assert all("resolved" not in package for package in packages.values())
    assert all("integrity" in package for name, package in packages.items() if name)


def test_no_built_file_names_another_host() -> None:
    named: set[str] = set()
    for file in DIST.rglob("*"):
        if file.suffix in (".html", ".css", ".js"):
            named |= set(re.findall(r"https?://[\w.-]+", file.read_text()))
    # Of namespaces and of explanations of errors; none is ever asked for.
    assert named <= {"http://www.w3.org", "https://rolldown.rs", "https://svelte.dev"}


def test_the_page_forbids_scripts_and_styles_that_are_not_files(served: Any) -> None:
    answer = served.call("GET", "/")
    assert answer.status_code == 200
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    nonce = re.search(r'name="csp-nonce" content="([\w-]{20,})"', answer.text)
    assert nonce is not None
    assert policy["default-src"] == "'self'"
    assert "script-src" not in policy
    assert policy["style-src"] == f"'self' 'nonce-{nonce[1]}'"
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", answer.text)
    assert nonce[1] not in served.call("GET", "/").text, "each page has a nonce of its own"


def test_files_of_the_page_are_compressed_and_kept_by_browsers(served: Any) -> None:
    script = re.search(r'src="(/assets/[^"]+\.js)"', served.call("GET", "/").text)
    assert script is not None
    packed = served.call("GET", script[1], headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "immutable" in packed.headers["Cache-Control"]
    assert "javascript" in packed.headers["Content-Type"]
    plain = served.call("GET", script[1], headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert plain.content == packed.content
    assert served.call("GET", "/assets/..%2f..%2fpage.py").status_code == 404
    assert served.call("GET", "/assets/none.js").status_code == 404
