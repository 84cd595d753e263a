"""Adds to what mkdocs builds the pages made from the code, and the files that pages link outside of docs/.

A page may link a file of the repository outside of docs/ as it lies, `../deploy/demo/hits.png`, so that the
link works in a checkout too; the site gets a copy of that file.
"""

from __future__ import annotations

import posixpath
import re
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from docs.generate import commands, contracts, packages  # noqa: E402

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig

OUTSIDE = re.compile(r"(?<=\]\()((?:\.\./)+)([^)#\s]+)")
COPIES = "repository"
INDEX, COMMANDS = "reference/index.md", "reference/commands.md"
SECTIONS = {"Python": "reference/python/", "gRPC": "reference/grpc/"}
ADOPTED = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md", "SECURITY.md": "security.md"}


def on_config(config: MkDocsConfig) -> None:
    """Lists the generated pages in the navigation, in the section of the reference's index."""
    reference.cache_clear()  # the code may have changed since the last build
    pages = [path for path in reference() if path != INDEX]
    for section in config.nav or []:
        entries = next(iter(section.values())) if isinstance(section, dict) else None
        if isinstance(entries, list) and INDEX in entries:
            entries.append(COMMANDS)
            for title, folder in SECTIONS.items():
                entries.append({title: [path for path in pages if path.startswith(folder)]})


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the reference, the pages of the repository's root, and what pages link outside of docs/."""
    for source, target in ADOPTED.items():
        text = (ROOT / source).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, target, content=text))
    for path, text in reference().items():
        files.append(File.generated(config, path, content=text))
    for path in sorted(_outside(files)):
        files.append(File.generated(config, _copy(path), abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links that leave docs/ into links to the copies."""
    folder = posixpath.dirname(page.file.src_uri)

    def moved(match: re.Match[str]) -> str:
        path = _leaving(folder, match)
        return match[0] if path is None else posixpath.relpath(_copy(path), folder or ".")

    return OUTSIDE.sub(moved, markdown)


@cache
def reference() -> dict[str, str]:
    """The generated pages, by path in the site's sources."""
    pages = {
        f"{SECTIONS['Python']}{name}.md": text
        for name, text in packages.package_pages(ROOT / "src" / "wordspot").items()
    }
    described = contracts.read_contracts(ROOT / "proto")
    page_of = {file.name: f"{Path(file.name).stem}.md" for file in described}
    links = contracts.type_links(described, page_of)
    pages |= {f"{SECTIONS['gRPC']}{page_of[file.name]}": contracts.page(file, links) for file in described}
    return {INDEX: _index(pages), COMMANDS: commands.commands_page(ROOT / "src"), **pages}


def _index(pages: Iterable[str]) -> str:
    lines = ["# Reference\n", "Made from docstrings, proto files and the command line's own definitions.\n"]
    lines.append("- [Command line](commands.md)")
    for title, folder in SECTIONS.items():
        lines.append(f"\n## {title}\n")
        lines += [
            f"- [{Path(path).stem}]({path.removeprefix('reference/')})"
            for path in pages
            if path.startswith(folder)
        ]
    return "\n".join(lines) + "\n"


def _outside(files: Files) -> set[str]:
    paths = set()
    for file in files.documentation_pages():
        for match in OUTSIDE.finditer(file.content_string):
            path = _leaving(posixpath.dirname(file.src_uri), match)
            if path is not None:
                paths.add(path)
    return paths


def _leaving(folder: str, match: re.Match[str]) -> str | None:
    """The linked file's path in the repository; None for a link within docs/, or to nothing."""
    path = posixpath.normpath(posixpath.join("docs", folder, match[0]))
    return path if not path.startswith("docs/") and (ROOT / path).is_file() else None


def _copy(path: str) -> str:
    """Where the site has it; what mkdocs would make a page of becomes plain text."""
    return f"{COPIES}/{path}{'.txt' if path.endswith(('.md', '.html')) else ''}"
