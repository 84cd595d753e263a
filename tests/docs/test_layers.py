from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from docs.generate.layers import PICTURE, Folder, Name, draw, layers, read_folders


def test_the_picture_in_the_documentation_is_up_to_date() -> None:
    assert PICTURE.read_text(encoding="utf-8") == draw(read_folders()), "stale: run make picture"


def test_a_row_imports_only_from_rows_below() -> None:
    edges = {"top": {"middle", "low"}, "middle": {"low"}, "beside": {"low"}, "low": set(), "alone": set()}
    assert layers(edges) == [["top"], ["beside", "middle"], ["alone", "low"]]


def test_what_imports_in_a_circle_shares_a_row() -> None:
    edges = {"top": {"one"}, "one": {"other"}, "other": {"one", "low"}, "low": set()}
    assert layers(edges) == [["top"], ["one", "other"], ["low"]]


def test_services_lie_above_indexer_and_models_which_import_nothing_of_another_folder() -> None:
    folders = {folder.title: folder for folder in read_folders()}
    assert set(folders["services"].imports) == {"indexer", "models", "v1", "oip"}
    assert all(not folder.imports for title, folder in folders.items() if title != "services")


def test_a_circle_is_marked_and_names_are_escaped() -> None:
    row = (Name("a<b", package=True), Name("c", circular=True))
    picture = draw((Folder("upper", ((Name("main"),),), {"lower": 2}), Folder("lower", (row,), {})))
    shapes = list(ElementTree.fromstring(picture).iter())
    texts = [shape.text for shape in shapes if shape.tag.endswith("text")]
    assert texts == ["upper/", "main", "lower/", "a<b/", "c", "2 imports"]
    assert [shape.get("class") for shape in shapes if "circle" in (shape.get("class") or "")] == [
        "name circle"
    ]
