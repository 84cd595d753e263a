"""Sounds, texts and clips by the Open Inference Protocol, and what may be said besides as parameters."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import torch

from tests.services.small_models import SmallSound, put_all
from wordspot.models import registry
from wordspot.oip import inference_pb2 as pb
from wordspot.oip import inference_pb2_grpc
from wordspot.services.modelhost import app as modelhost
from wordspot.services.modelhost.repository import load_models
from wordspot.services.runtime import create_server, open_channel
from wordspot.services.settings import ModelHostSettings, ServerSettings

Stub = inference_pb2_grpc.GRPCInferenceServiceStub


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    put_all(home)
    return home


@pytest.fixture(scope="module")
def stub(home: Path) -> Iterator[Stub]:
    settings = ModelHostSettings(home=home, device="cpu")
    with closing(load_models(settings)) as models:
        service = modelhost.inference_service(models, settings)
        server, _ = create_server([service], ServerSettings())
        server.start()
        with open_channel(server.address) as channel:
            yield Stub(channel)
        server.stop(0)


def asked(name: str, *tensors: tuple[str, str, np.ndarray], **parameters: Any) -> pb.ModelInferRequest:
    """tensors: name, type and values."""
    made = pb.ModelInferRequest(model_name=name)
    for tensor, datatype, values in tensors:
        made.inputs.add(name=tensor, datatype=datatype, shape=values.shape)
        raw = values.tobytes()
        if datatype == "BYTES":
            raw = b"".join(len(text).to_bytes(4, "little") + text for text in map(str.encode, values))
        made.raw_input_contents.append(raw)
    for parameter, value in parameters.items():
        field = {str: "string_param", int: "int64_param", float: "double_param", bool: "bool_param"}[
            type(value)
        ]
        setattr(made.parameters[parameter], field, value)
    return made


def drawing(name: str, count: int = 2, seed: int = 3, **parameters: Any) -> pb.ModelInferRequest:
    count_and_seed = (
        ("count", "INT64", np.array([count], np.int64)),
        ("seed", "UINT64", np.array([seed], np.uint64)),
    )
    return asked(name, *count_and_seed, **parameters)


def judging(name: str, tensor: str, datatype: str, values: np.ndarray, **parameters: Any) -> Any:
    return asked(
        f"{name}:nll", (tensor, datatype, values), ("seed", "UINT64", np.zeros(1, np.uint64)), **parameters
    )


def completing(known: np.ndarray, **parameters: Any) -> pb.ModelInferRequest:
    return asked(
        "clips:complete",
        ("clips", "FP32", np.full((len(known), 4, 1, 5, 6), 0.5, np.float32)),
        ("known", "BOOL", known),
        ("seed", "UINT64", np.zeros(1, np.uint64)),
        **parameters,
    )


def floats(answer: pb.ModelInferResponse) -> np.ndarray:
    return np.frombuffer(answer.raw_output_contents[0], np.float32).reshape(answer.outputs[0].shape)


def texts(answer: pb.ModelInferResponse) -> list[str]:
    raw, found = answer.raw_output_contents[0], []
    while raw:
        size = int.from_bytes(raw[:4], "little")
        found.append(raw[4 : 4 + size].decode())
        raw = raw[4 + size :]
    return found


def test_sounds_texts_and_clips_are_described_and_drawn_as_told_in_parameters(stub: Stub, home: Path) -> None:
    described = {
        name: [
            (tensor.name, tensor.datatype, list(tensor.shape))
            for tensor in stub.ModelMetadata(pb.ModelMetadataRequest(name=f"{name}:sample")).outputs
        ]
        for name in ("sound", "poem", "clips")
    }
    assert described == {
        "sound": [("sounds", "FP32", [-1, -1])],
        "poem": [("texts", "BYTES", [-1])],
        "clips": [("clips", "FP32", [-1, 4, 1, 5, 6])],
    }
    answer = stub.ModelInfer(drawing("sound:sample", temperature=0.5, condition="high"))
    assert answer.outputs[0].parameters["rate"].int64_param == 8_000
    model: Any = registry.load("sound", home)[0]
    with torch.inference_mode():
        drawn = model.sample(2, torch.Generator().manual_seed(3), temperature=0.5, condition="high")
    np.testing.assert_array_equal(floats(answer), drawn.numpy())
    whole = stub.ModelInfer(drawing("sound:sample", temperature=2))
    assert floats(whole).std() > 2 * floats(answer).std()

    poems = texts(stub.ModelInfer(drawing("poem:sample", condition="5x4")))
    assert [[len(line) for line in poem.split("\n")] for poem in poems] == [[5] * 4] * 2
    nats = stub.ModelInfer(judging("poem", "texts", "BYTES", np.array(["天", "地玄"], object)))
    assert floats(nats).tolist() == [1.0, 2.0]
    nats = stub.ModelInfer(judging("sound", "sounds", "FP32", np.full((2, 8), 0.5, np.float32)))
    assert floats(nats).tolist() == [4.0, 4.0]

    filled = floats(stub.ModelInfer(completing(np.array([[True, False, False, False], [True] * 4]))))
    assert (filled[0, 0] == 0.5).all()
    assert (filled[1] == 0.5).all()
    assert (filled[0, 1:] != 0.5).any()


def test_parts_of_a_sound_come_one_by_one(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Semaphore(0)
    monkeypatch.setattr(SmallSound, "gate", gate)
    requests = [drawing("sound:generate", 3, condition="high", triton_enable_empty_final_response=True)]
    stream = stub.ModelStreamInfer(iter(requests))
    for _ in range(3):
        gate.release()  # no part but the next can be made
        answer = next(stream).infer_response
        assert list(answer.outputs[0].shape) == [1, 100]
        assert answer.outputs[0].parameters["rate"].int64_param == 8_000
        assert floats(answer).min() > 0.6
    assert next(stream).infer_response.parameters["triton_final_response"].bool_param
    assert next(stream, None) is None


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (drawing("sound:sample", temperature=0.0), "temperature must be between 0.001 and 1,000, got 0"),
        (
            drawing("sound:sample", temperature=float("nan")),
            "temperature must be between 0.001 and 1,000, got nan",
        ),
        (drawing("sound:sample", temperature=-3), "temperature must be between 0.001 and 1,000, got -3"),
        (
            drawing("sound:sample", temperature="hot"),
            "must hold a double_param or int64_param or uint64_param, got a string_param",
        ),
        (
            drawing("sound:sample", condition=7),
            "parameter 'condition' must hold a string_param, got a int64_param",
        ),
        (drawing("sound:sample", condition="middle"), "the condition 'middle'; low or high is allowed"),
        (
            drawing("sound:sample", top_k=7),
            "parameters of 'sound:sample' must be condition and temperature, got 'top_k'",
        ),
        (
            drawing("clips:sample", condition="x"),
            "parameters of 'clips:sample' must be temperature, got 'condition'",
        ),
        (drawing("digits-vae:sample", temperature=1.0), "'digits-vae:sample' must be left out"),
        (
            judging("poem", "texts", "BYTES", np.array(["天"], object), temperature=1.0),
            "parameters of 'poem:nll' must be left out, got 'temperature'",
        ),
        (
            judging("poem", "texts", "BYTES", np.array([], object)),
            "the number of examples must be between 1 and 1,024, got 0",
        ),
        (judging("poem", "texts", "BYTES", np.array(["天a"], object)), "the text '天a'; 天地玄黃宇宙洪荒"),
        (
            judging("sound", "sounds", "FP32", np.full((1, 8), np.nan, np.float32)),
            "input 'sounds' must hold finite values",
        ),
        (
            judging("sound", "sounds", "FP32", np.zeros((2, 0), np.float32)),
            "must have one value or more of each example, got the shape [2, 0]",
        ),
        (
            completing(np.zeros((2, 3), np.bool_)),
            "input 'known' must have the shape [-1, 4] (-1: any), got [2, 3]",
        ),
        (completing(np.array([[False, True, True, True]])), "known frames must be the first of a clip"),
        (drawing("clips:generate"), "no model 'clips:generate'; there are"),
    ],
)
def test_what_no_model_could_use_is_refused_and_the_server_goes_on(
    stub: Stub, request_: pb.ModelInferRequest, told: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(request_)
    expected = grpc.StatusCode.NOT_FOUND if "no model" in told else grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.code() is expected
    assert told in caught.value.details()
    assert stub.ModelInfer(drawing("sound:sample")).outputs[0].shape == [2, 400]


def test_as_many_masks_as_clips_are_wanted(stub: Stub) -> None:
    request = completing(np.ones((2, 4), np.bool_))
    request.inputs[1].shape[:] = [1, 4]
    request.raw_input_contents[1] = request.raw_input_contents[1][:4]
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(request)
    assert "the number of masks must be that of clips, 2, got 1" in caught.value.details()
