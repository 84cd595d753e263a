from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from wordspot.services import native

STARTED = ("cli", "searcher.__main__", "segmenter.__main__", "modelhost.__main__")
PROGRAM = """
import importlib, json, os, sys
importlib.import_module(sys.argv[1])
import numpy  # which the process loads later, if not yet
from threadpoolctl import threadpool_info
print(json.dumps([pool["num_threads"] for pool in threadpool_info() if pool["internal_api"] == "openblas"]))
"""


def test_what_a_user_set_stays() -> None:
    assert native.missing({}) == native.DEFAULTS
    assert "OPENBLAS_NUM_THREADS" not in native.missing({"OPENBLAS_NUM_THREADS": "3"})


@pytest.mark.parametrize("module", STARTED)
def test_every_process_multiplies_matrices_in_one_thread(module: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    command = [sys.executable, "-c", PROGRAM, f"wordspot.services.{module}"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    counts = json.loads(ended.stdout)
    assert counts
    assert set(counts) == {1}
