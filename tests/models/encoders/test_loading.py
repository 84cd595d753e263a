from __future__ import annotations

import subprocess
import sys

import pytest

from wordspot.models import encoders
from wordspot.models.encoders import load_encoder
from wordspot.models.encoders.spans import SpanEncoder
from wordspot.models.runtime.encoder import OnnxEncoder


def test_auto_takes_the_cpu_without_torch_where_no_device_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from wordspot.models.encoders import load_encoder; "
            "print(load_encoder('phonetic', device='auto').device, 'torch' in sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == ["cpu", "False"]


def test_auto_asks_torch_where_a_device_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "may_have_cuda", lambda environment: True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert isinstance(load_encoder("phonetic", device="auto"), OnnxEncoder)


def test_an_artifact_without_a_graph_runs_in_torch() -> None:
    encoder = load_encoder("naive")
    assert isinstance(encoder, SpanEncoder)
    assert encoder.device == "cpu"
