"""Draws the layers of the code: which module may look down on which, taken from the imports themselves.

    python -m docs.generate.layers            writes docs/pictures/layers.svg
    python -m docs.generate.layers --check    says whether that file is what would be written

A row is a layer: what stands in it imports nothing from its own row and nothing from a row above. A layer's
number is the length of the longest chain of imports below it. Modules that import one another in a circle
share a row and are marked.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "pictures" / "layers.svg"
PACKAGE = "wordspot"

WIDTH, GAP, PADDING = 1120, 16, 12
CHARACTER, CHIP, LINE = 7.3, 22, 28  # pixels: width of a character, height of a name, of a line of names
TITLE, BETWEEN = 26, 34
NARROW = 12  # folders of fewer names share the last column


@dataclass(frozen=True, order=True)
class Name:
    """A module, or a package of several. circular: it imports something that imports it."""

    text: str
    package: bool = False
    circular: bool = False


@dataclass(frozen=True)
class Folder:
    """rows: layers, the highest first. imports: how many modules of other folders it imports, by folder."""

    title: str
    rows: tuple[tuple[Name, ...], ...]
    imports: Mapping[str, int]

    @property
    def size(self) -> int:
        return sum(map(len, self.rows))


def read_folders(package: str = PACKAGE) -> tuple[Folder, ...]:
    """The folders of the package, those that import others first."""
    graph = grimp.build_graph(package)
    packages = {module for module in graph.modules if graph.find_children(module)}
    within: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    across: dict[str, Counter[str]] = defaultdict(Counter)
    shown: set[str] = set()
    for module in sorted(graph.modules):
        folder, name = _place(module)
        if not name:
            continue
        if ".".join((package, folder, name)) in packages:
            shown.add(f"{folder}.{name}")
        imported_names = within[folder][name]
        for imported in graph.find_modules_directly_imported_by(module):
            other, below = _place(imported)
            if other != folder and other:
                across[folder][other] += 1
            elif below and below != name:
                imported_names.add(below)
    folders = [
        Folder(
            folder,
            tuple(
                tuple(
                    Name(name, f"{folder}.{name}" in shown, name in reach[name])
                    for name in sorted(row, key=lambda name: (f"{folder}.{name}" not in shown, name))
                )
                for row in layers(edges)
            ),
            dict(sorted(across[folder].items())),
        )
        for folder, edges in within.items()
        for reach in (reachable(edges),)
    ]
    return tuple(sorted(folders, key=lambda folder: (not folder.imports, -folder.size, folder.title)))


def _place(module: str) -> tuple[str, str]:
    """The folder of a module, and what of that folder it belongs to; both empty for what is in neither."""
    parts = module.split(".")[1:]
    if len(parts) < 2:
        return (parts[0] if parts else ""), ""
    return parts[0], re.sub(r"_pb2(_grpc)?$", "", parts[1])


def reachable(edges: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """All that each name imports, by way of others too."""
    reach: dict[str, set[str]] = {}
    for name in edges:
        reach[name] = set()
        waiting = [name]
        while waiting:
            for imported in edges.get(waiting.pop(), ()):
                if imported not in reach[name]:
                    reach[name].add(imported)
                    waiting.append(imported)
    return reach


def layers(edges: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Names by layer, the highest first; each imports only from layers below, but for circles.

    edges: what each name imports; every name is a key.
    """
    reach = reachable(edges)
    level: dict[str, int] = {}
    # What reaches least comes first, so that all below a name is known.
    for name in sorted(reach, key=lambda name: len(reach[name] | {name})):
        below = [other for other in reach[name] if name not in reach.get(other, ()) and other != name]
        level[name] = 1 + max((level[other] for other in below), default=-1)
    rows: list[list[str]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for name in sorted(level):
        rows[level[name]].append(name)
    return rows[::-1]


@dataclass(frozen=True)
class _Panel:
    folder: Folder
    x: float
    y: float
    width: float

    @property
    def height(self) -> float:
        return TITLE + sum(LINE * len(lines) + 8 for lines in self.lines()) + PADDING

    def lines(self) -> list[list[list[Name]]]:
        """The names of each row, broken into lines that fit."""
        rows = []
        for row in self.folder.rows:
            lines: list[list[Name]] = [[]]
            used = 0.0
            for name in row:
                if lines[-1] and used + _width(name) > self.width - 2 * PADDING:
                    lines.append([])
                    used = 0
                lines[-1].append(name)
                used += _width(name) + 6
            rows.append(lines)
        return rows

    def draw(self) -> list[str]:
        shapes = [
            f'<rect class="folder" x="{self.x:g}" y="{self.y:g}" width="{self.width:g}" '
            f'height="{self.height:g}" rx="8"/>',
            f'<text class="title" x="{self.x + PADDING:g}" y="{self.y + 19:g}">'
            f"{escape(self.folder.title)}/</text>",
        ]
        y = self.y + TITLE
        for lines in self.lines():
            height = LINE * len(lines) + 2
            shapes.append(
                f'<rect class="layer" x="{self.x + 6:g}" y="{y:g}" width="{self.width - 12:g}" '
                f'height="{height:g}" rx="4"/>'
            )
            for number, line in enumerate(lines):
                x = self.x + PADDING
                for name in line:
                    shapes += _chip(name, x, y + 4 + LINE * number)
                    x += _width(name) + 6
            y += height + 6
        return shapes


def _label(name: Name) -> str:
    return f"{name.text}/" if name.package else name.text


def _width(name: Name) -> float:
    return round(CHARACTER * len(_label(name)) + 12, 1)


def _chip(name: Name, x: float, y: float) -> list[str]:
    kind = " ".join(("name", *["package"] * name.package, *["circle"] * name.circular))
    return [
        f'<rect class="{kind}" x="{x:.1f}" y="{y:g}" width="{_width(name):g}" height="{CHIP}" rx="4"/>',
        f'<text x="{x + 6:.1f}" y="{y + 15:g}">{escape(_label(name))}</text>',
    ]


STYLE = """
text { font: 12px ui-monospace, "DejaVu Sans Mono", monospace; fill: #1f2430; }
.title { font-weight: bold; font-size: 14px; }
.count { fill: #4a5264; }
.page { fill: #ffffff; }
.folder { fill: #f4f6fa; stroke: #8a94a8; }
.layer { fill: #e6eaf2; }
.name { fill: #ffffff; stroke: #c4cbd8; }
.package { fill: #d7e7ff; stroke: #7ba4e0; }
.circle { stroke: #c62828; stroke-width: 2; }
.arrow { stroke: #4a5264; stroke-width: 1.5; fill: none; marker-end: url(#head); }
"""


def draw(folders: tuple[Folder, ...]) -> str:
    """The picture as SVG: folders that import others on top, what they import below."""
    upper = [folder for folder in folders if folder.imports]
    lower = [folder for folder in folders if not folder.imports]
    panels: list[_Panel] = []
    y: float = GAP
    for folder in upper:
        panels.append(_Panel(folder, GAP, y, WIDTH - 2 * GAP))
        y += panels[-1].height + BETWEEN
    top = y
    wide = [folder for folder in lower if folder.size >= NARROW] or lower
    narrow = [folder for folder in lower if folder not in wide]
    last = 210 if narrow else 0
    width = (WIDTH - GAP * (1 + len(wide)) - (last + GAP if narrow else 0)) / len(wide)
    for number, folder in enumerate(wide):
        panels.append(_Panel(folder, GAP + number * (width + GAP), top, round(width, 1)))
    for folder in narrow:
        panels.append(_Panel(folder, WIDTH - GAP - last, y, last))
        y += panels[-1].height + BETWEEN
    height = max(panel.y + panel.height for panel in panels) + GAP
    shapes = [shape for panel in panels for shape in panel.draw()]
    shapes += _arrows(panels)
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img">',
            "<title>The layers of wordspot: each row imports only what is below it</title>",
            f"<style>{STYLE}</style>",
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
            'orient="auto"><path d="M0 0L8 4L0 8z" fill="#4a5264"/></marker></defs>',
            f'<rect class="page" width="{WIDTH}" height="{height:g}"/>',
            *shapes,
            "</svg>\n",
        )
    )


def _arrows(panels: list[_Panel]) -> list[str]:
    """Down from each folder to what it imports, with the number of imports; past what is stacked above it."""
    shapes = []
    place = {panel.folder.title: panel for panel in panels}
    for panel in panels:
        for other, count in panel.folder.imports.items():
            below = place[other]
            stacked = [each for each in panels if each.x == below.x and panel.y < each.y < below.y]
            x = below.x + (12 if stacked else below.width / 2)
            y = below.y - BETWEEN
            label = f"{count} imports" + (f" from {panel.folder.title}" if stacked else "")
            shapes.append(f'<text class="count" x="{x + 8:g}" y="{y + 21:g}">{label}</text>')
            shapes.append(f'<path class="arrow" d="M{x:g} {y:g}V{below.y - 1:g}"/>')
    return shapes


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the file is stale")
    picture = draw(read_folders())
    if not parser.parse_args().check:
        PICTURE.write_text(picture, encoding="utf-8")
    elif not PICTURE.is_file() or PICTURE.read_text(encoding="utf-8") != picture:
        sys.stderr.write(f"{PICTURE.relative_to(ROOT)} is stale: run make picture\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
