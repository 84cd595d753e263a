from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from docs.generate import site

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def moved(markdown: str, path: str) -> str:
    page: Any = SimpleNamespace(file=SimpleNamespace(src_uri=path))
    nothing: Any = None
    return site.on_page_markdown(markdown, page, nothing, nothing)


def test_a_link_out_of_the_documentation_leads_to_a_copy() -> None:
    assert moved("![a](../LICENSE)", "page.md") == "![a](repository/LICENSE)"
    assert moved("[a](../README.md)", "page.md") == "[a](repository/README.md.txt)"
    assert moved("[a](../../LICENSE)", "inner/page.md") == "[a](../repository/LICENSE)"


def test_links_within_the_documentation_and_to_nothing_stay() -> None:
    for link in ("[a](page.md#there)", "[a](../page.md)", "[a](../no/such/file)"):
        assert moved(link, "inner/page.md") == link


def test_the_reference_lists_all_its_pages() -> None:
    pages = site.reference()
    index = pages[site.INDEX]
    assert "reference/grpc/search.md" in pages
    assert "reference/python/wordspot.indexer.md" in pages
    assert all(f"]({path.removeprefix('reference/')})" in index for path in pages if path != site.INDEX)


@pytest.mark.parametrize(
    "name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "examples/README.md"]
)
def test_what_is_linked_outside_of_the_documentation_is_there(name: str) -> None:
    page = ROOT / name
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target
