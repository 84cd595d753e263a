"""The reference of the Python packages as Markdown: a page a package, its modules as they lie on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

UNLISTED = frozenset({"migrations", "pretrained", "oip", "v1", "__pycache__"})  # data, and generated code


def package_pages(package: Path) -> dict[str, str]:
    """Markdown by dotted name, for the package and all below it that have modules of their own."""
    pages = {}
    for folder, name in _packages(package, package.name):
        modules = [
            f"{name}.{path.stem}" for path in sorted(folder.glob("*.py")) if not path.stem.startswith("__")
        ]
        own = [name] if _holds_code(folder / "__init__.py") else []
        pages[name] = "\n".join((f"# {name}\n", *(_entry(module) for module in (*own, *modules))))
    return pages


def _packages(folder: Path, name: str) -> Iterator[tuple[Path, str]]:
    yield folder, name
    for below in sorted(folder.iterdir()):
        if below.name not in UNLISTED and (below / "__init__.py").is_file():
            yield from _packages(below, f"{name}.{below.name}")


def _holds_code(path: Path) -> bool:
    return bool(path.read_text(encoding="utf-8").strip())


def _entry(module: str) -> str:
    # The members of a package are on pages of their own.
    return f"::: {module}\n    options:\n      show_submodules: false\n"
