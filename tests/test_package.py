"""What `import wordspot` gives."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest

import wordspot

LOADED = "import sys, wordspot; print(*(name for name in ('grpc', 'numpy', 'torch') if name in sys.modules))"


def test_all_it_names_can_be_had() -> None:
    assert {name for name in wordspot.__all__ if getattr(wordspot, name)} == set(wordspot.__all__)
    assert set(wordspot.__all__) <= set(dir(wordspot))
    assert wordspot.__version__ == metadata.version("wordspot")


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'wordspot' has no attribute 'Clients'"):
        _ = wordspot.Clients


def test_nothing_is_imported_before_it_is_used() -> None:
    told = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == ""
