"""The Open Inference Protocol, spoken by Triton's own client.

It cannot share a process with our stubs, so it runs in an environment of its own, made once.
"""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import torch

from tests.services.small_models import put_all
from wordspot.models import artifact, registry
from wordspot.models.artifact import TrainingRecord
from wordspot.models.encoders.mlp import Mlp, MlpConfig
from wordspot.models.encoders.word_vectors import WordVectors
from wordspot.models.generators.vae import Vae, VaeConfig
from wordspot.oip import inference_pb2 as pb
from wordspot.oip import inference_pb2_grpc
from wordspot.services.embedded import EmbeddedServer, EmbeddedSettings
from wordspot.services.runtime import open_channel
from wordspot.services.settings import ModelHostSettings, SearcherSettings, ServerSettings

REQUIREMENT = "tritonclient[grpc]==2.73.0"
CALLS = Path(__file__).with_name("triton_calls.py")
SIZE = {"height": 8, "width": 6}


@pytest.fixture(scope="session")
def triton_python(request: pytest.FixtureRequest) -> Path:
    """The interpreter of an environment with Triton's client; kept for later runs."""
    folder = Path(request.config.cache.mkdir("tritonclient-2.73.0")) / "venv"
    python, complete = folder / "bin/python", folder / "complete"
    with folder.with_name("lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process of tests may make it now
        if not complete.is_file():
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
            # Isolated: the checkout in the current folder is no part of it.
            subprocess.run([python, "-I", "-m", "pip", "install", "--quiet", REQUIREMENT], check=True)
            complete.touch()
    return python


@pytest.fixture
def home(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    for name, model in (
        ("small-vae", Vae(VaeConfig(**SIZE, hidden=(16,), code=4))),
        ("small-mlp", Mlp(MlpConfig(**SIZE, classes=3, hidden=(16,)))),
        ("small-mlp@older", Mlp(MlpConfig(**SIZE, classes=3, hidden=(16,)))),
        ("small-words", WordVectors.of(["king", "queen", "Größe"], torch.eye(3) + 0.1)),
    ):
        artifact.save(model, TrainingRecord(name), tmp_path / "models" / name)
    put_all(tmp_path)
    return tmp_path


@pytest.fixture
def address(home: Path) -> Iterator[str]:
    settings = EmbeddedSettings(
        modelhost=ModelHostSettings(home=home, device="cpu"),
        searcher=SearcherSettings(home=home),
        server=ServerSettings(port=0),
    )
    with EmbeddedServer(settings) as embedded:
        yield embedded.address


@pytest.fixture
def told(address: str, triton_python: Path) -> dict[str, Any]:
    """What Triton's client was told, call by call."""
    ended = subprocess.run(
        [triton_python, "-I", CALLS, address], capture_output=True, text=True, check=False, timeout=200
    )
    assert ended.returncode == 0, ended.stderr
    answers: dict[str, Any] = json.loads(ended.stdout)
    return answers


def test_tritons_client_works_unchanged(told: dict[str, Any], home: Path) -> None:
    assert told["live"]
    assert told["ready"]
    assert told["server"]["name"] == "wordspot"
    index = {entry["name"]: entry for entry in told["index"]}
    assert {"small-vae:sample", "small-mlp:classify", "phonetic:embed"} <= index.keys()
    assert index["small-vae:sample"]["state"] == "UNAVAILABLE"
    assert not told["ready_before"]
    assert told["ready_after"]
    assert not told["ready_unloaded"]

    vae: Any
    vae, card = registry.load("small-vae", home)
    assert told["metadata"]["versions"] == [card.hash[:12]]
    assert told["metadata"]["inputs"] == [
        {"name": "count", "datatype": "INT64", "shape": ["1"]},
        {"name": "seed", "datatype": "UINT64", "shape": ["1"]},
    ]
    assert told["metadata"]["outputs"] == [
        {"name": "pictures", "datatype": "FP32", "shape": ["-1", "1", "8", "6"]}
    ]
    assert told["config"]["max_batch_size"] == 1_024
    assert told["config"]["input"][0]["dims"] == ["1", "8", "6"]

    pictures = torch.from_numpy(np.random.default_rng(1).random((3, 1, 8, 6), np.float32))
    with torch.inference_mode():
        np.testing.assert_allclose(told["codes"], vae.encode(pictures), atol=1e-5)
    assert told["id"] == "one"
    assert told["drawn"] == [4, 1, 8, 6]
    assert told["again"]
    np.testing.assert_allclose(told["sums"], np.ones(3), atol=1e-5)
    np.testing.assert_allclose(told["vectors"], np.ones(2), atol=1e-5)
    assert told["streamed"][:2] == ["1", "2"]
    assert "inputs must be count, seed, each once, got count" in told["streamed"][2]

    np.testing.assert_allclose(told["words"], [[1.1, 0.1, 0.1], [0.1, 0.1, 1.1]], atol=1e-6)
    assert set(told["neighbours"]) == {"queen", "Größe"}
    assert told["similarities"] == pytest.approx([0.23 / 1.23] * 2, abs=1e-3)
    assert told["kept"]
    versions = [registry.available(home)[name].hash[:12] for name in ("small-mlp", "small-mlp@older")]
    assert told["versions"] == versions
    assert told["by_version"][0] != told["by_version"][1]
    assert told["heard"] == [2, 400]
    assert 0.7 < told["softest"] < 0.8
    assert [len(line) for poem in told["poems"] for line in poem.split("\n")] == [5] * 8
    assert told["walked"] == [[[1, 1, 8, 6]]] * 4 + [[]]
    assert told["final"] == [False] * 4 + [True]
    assert [len(text) for text in told["written"]] == [2] * 3  # a letter, and the end of its line
    assert told["described"] == ["dark", " bright"]
    np.testing.assert_allclose(np.sum(told["attention"], axis=(1, 2)), 1, rtol=1e-5)

    figures = told["statistics"]
    assert figures["inference_count"] == str(4 * 4)  # two drawn, two streamed
    assert figures["inference_stats"]["success"]["count"] == "4"
    assert figures["execution_count"] == "4"
    assert int(figures["last_inference"]) > 1_700_000_000_000


def test_tritons_client_is_told_what_was_wrong(told: dict[str, Any]) -> None:
    expected = {
        "unknown": ("NOT_FOUND", "no model 'cats:sample'; there are"),
        "version": ("NOT_FOUND", "has no version '2'; there is"),
        "name": ("INVALID_ARGUMENT", "inputs must be pictures, each once, got x"),
        "type": ("INVALID_ARGUMENT", "must have the type FP32, got FP64"),
        "shape": ("INVALID_ARGUMENT", "must have the shape [-1, 1, 8, 6] (-1: any), got [3, 1, 5, 6]"),
        "nan": ("INVALID_ARGUMENT", "must hold finite values"),
        "output": ("INVALID_ARGUMENT", "outputs must be among codes, got 'cats'"),
        "empty": ("INVALID_ARGUMENT", "the number of examples must be between 1 and 1,024, got 0"),
        "stream": ("INVALID_ARGUMENT", "answers part by part; call ModelStreamInfer"),
        "word": ("INVALID_ARGUMENT", "the word 'kingx' is none of the 3 that are known"),
        "option": ("INVALID_ARGUMENT", "parameters of 'small-vae:sample' must be left out, got 'condition'"),
        "heat": ("INVALID_ARGUMENT", "temperature must be between 0.001 and 1,000, got -1"),
        "upload": ("INVALID_ARGUMENT", "load takes no parameters, got config"),
    }
    for case, (code, text) in expected.items():
        assert code in told["refused"][case], case
        assert text in told["refused"][case], case


def infer(address: str, **fields: Any) -> pb.ModelInferResponse:
    with open_channel(address) as channel:
        stub = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
        return stub.ModelInfer(pb.ModelInferRequest(model_name="small-vae:sample", **fields))


def test_contents_may_come_in_typed_fields(address: str) -> None:
    tensor, contents = pb.ModelInferRequest.InferInputTensor, pb.InferTensorContents
    seed = tensor(name="seed", datatype="UINT64", shape=[1], contents=contents(uint64_contents=[7]))
    count = tensor(name="count", datatype="INT64", shape=[1], contents=contents(int64_contents=[2]))
    answer = infer(address, inputs=[seed, count])
    assert list(answer.outputs[0].shape) == [2, 1, 8, 6]
    assert len(answer.raw_output_contents[0]) == 4 * 2 * 8 * 6


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ([b"\1"], "the number of raw contents must be that of inputs, 2, got 1"),
        ([b"\1" * 7, b"\1" * 8], "must have a multiple of 8 bytes, got 7"),
        ([b"\1" * 16, b"\1" * 8], "must hold 1 values by its shape [1], got 2"),
        ([b"\1" * 8, b"\1" * 8], "the number of examples must be between 1 and 1,024"),
    ],
)
def test_raw_contents_that_do_not_fit_are_refused(address: str, raw: list[bytes], told: str) -> None:
    tensor = pb.ModelInferRequest.InferInputTensor
    inputs = [
        tensor(name="count", datatype="INT64", shape=[1]),
        tensor(name="seed", datatype="UINT64", shape=[1]),
    ]
    with pytest.raises(grpc.RpcError) as caught:
        infer(address, inputs=inputs, raw_input_contents=raw)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert told in caught.value.details()
