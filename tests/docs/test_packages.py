from __future__ import annotations

from pathlib import Path

from docs.generate.packages import package_pages

ROOT = Path(__file__).parents[2]


def test_a_package_has_a_page_and_each_of_its_modules_an_entry(tmp_path: Path) -> None:
    package = tmp_path / "things"
    (package / "inner" / "migrations").mkdir(parents=True)
    (package / "__init__.py").write_text('"""Things."""\n')
    (package / "one.py").touch()
    (package / "__main__.py").touch()
    (package / "inner" / "__init__.py").touch()
    (package / "inner" / "two.py").touch()
    (package / "inner" / "migrations" / "__init__.py").touch()
    pages = package_pages(package)
    entries = {
        name: [line for line in text.splitlines() if line[:4] == "::: "] for name, text in pages.items()
    }
    assert entries == {"things": ["::: things", "::: things.one"], "things.inner": ["::: things.inner.two"]}


def test_every_module_of_ours_is_in_the_reference() -> None:
    text = "\n".join(package_pages(ROOT / "src" / "wordspot").values())
    for folder in ("indexer", "models", "services"):
        for path in (ROOT / folder).rglob("*.py"):
            module = ".".join(("wordspot", *path.relative_to(ROOT).with_suffix("").parts))
            if not path.stem.startswith("__") and not {"migrations", "pretrained"} & set(path.parts):
                assert f"::: {module}\n" in text
