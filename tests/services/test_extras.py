from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from wordspot.models.errors import MissingWeights
from wordspot.services import errors
from wordspot.services.extras import PACKAGES, missing_package

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "optional-dependencies"
]
MODULES = {  # where a module is not called as its package
    "scikit-learn": "sklearn",
    "dicebear-core": "dicebear",
    "resvg-py": "resvg_py",
    "espeakng-loader": "espeakng_loader",
    "psycopg[binary]": "psycopg",
}


def missing(name: str) -> ModuleNotFoundError:
    return ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_a_package_of_an_extra_names_the_extra() -> None:
    assert missing_package(missing("librosa.sequence")) == (
        "librosa is not installed, which this needs: pip install 'wordspot[models]'"
    )


@pytest.mark.parametrize(
    "error", [missing("wordspot.nothing"), ImportError("cannot import"), ValueError("x")]
)
def test_other_errors_are_no_missing_extra(error: Exception) -> None:
    assert missing_package(error) is None


def test_the_table_is_what_the_extras_bring() -> None:
    for extra, modules in PACKAGES.items():
        names = {re.split(r"[>=<;]", text)[0] for text in EXTRAS[extra]}
        brought = {MODULES.get(name, name) for name in names if not name.startswith("wordspot")}
        assert set(modules) == brought, extra


def test_a_server_tells_its_caller_what_it_lacks() -> None:
    status = errors.to_status(missing("torch"))
    assert status == errors.to_status(MissingWeights(status.message if status else ""))
    assert status is not None
    assert "wordspot[models]" in status.message
