"""Descriptions of pictures and clips over a real server, by both protocols."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tests.services.small_models import Teller, put_all
from wordspot import Models
from wordspot.indexer.errors import InvalidInput
from wordspot.oip import inference_pb2, inference_pb2_grpc
from wordspot.services import png
from wordspot.services.modelhost import app as modelhost
from wordspot.services.modelhost.repository import load_models
from wordspot.services.runtime import create_server, open_channel
from wordspot.services.settings import ModelHostSettings, ServerSettings
from wordspot.v1 import models_pb2 as pb
from wordspot.v1 import models_pb2_grpc

PICTURE = np.zeros((5, 6, 3), np.uint8)
PICTURE[:, 3:] = 250
CLIP = np.zeros((4, 5, 6), np.uint8)
CLIP[:2] = 250


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("home")
    put_all(home)
    settings = ModelHostSettings(home=home, device="cpu")
    with closing(load_models(settings)) as models:
        services = [
            modelhost.model_service(models),
            modelhost.inference_service(models, settings),
        ]
        server, _ = create_server(services, ServerSettings())
        server.start()
        yield server.address
        server.stop(0)


@pytest.fixture(scope="module")
def models(address: str) -> Iterator[Models]:
    with Models(address) as client:
        yield client


def test_a_picture_is_told_piece_by_piece_with_where_it_was_looked_at(models: Models) -> None:
    told = list(models.describe("teller", PICTURE))
    assert "".join(piece for piece, _ in told) == "dark bright"
    for (_, looks), columns in zip(told, (slice(0, 2), slice(2, 4)), strict=True):
        assert looks.shape == (3, 4)
        np.testing.assert_allclose(looks.sum(), 1, rtol=1e-5)
        np.testing.assert_allclose(looks[:, columns], 1 / 6, rtol=1e-5)


def test_a_clip_is_told_by_frames(models: Models) -> None:
    told = list(models.describe_clip("witness", CLIP))
    assert "".join(piece for piece, _ in told) == "bright dark"
    assert [looks.tolist() for _, looks in told] == [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]


def test_the_seed_counts_where_a_temperature_is_given(models: Models) -> None:
    def texts(**options: Any) -> set[str]:
        return {
            "".join(piece for piece, _ in models.describe("teller", PICTURE, seed, **options))
            for seed in range(8)
        }

    assert texts() == {"dark bright"}
    assert texts(temperature=1.0) == {"dark bright", "bright bright"}


def test_each_piece_comes_as_soon_as_it_is_known(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Semaphore(1)
    monkeypatch.setattr(Teller, "gate", gate)
    stream = models.describe("teller", PICTURE)
    assert next(stream)[0] == "dark"  # the second is not made yet
    gate.release()
    assert next(stream)[0] == " bright"
    with pytest.raises(StopIteration):
        next(stream)


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda models: models.describe("sprites", PICTURE), "cannot describe; it can complete, generate"),
        (lambda models: models.describe("teller", PICTURE[:4]), "must have 6x5 pixels, got 6x4"),
        (lambda models: models.describe_clip("teller", CLIP), "takes pictures, got clips"),
        (lambda models: models.describe("witness", PICTURE), "takes clips, got pictures"),
        (lambda models: models.describe_clip("witness", CLIP[:3]), "must have 4 frames, got 3"),
        (
            lambda models: models.describe("teller", PICTURE, temperature=0.0),
            "temperature must be between 0.001 and 1,000, got 0",
        ),
    ],
)
def test_what_cannot_be_told_of_is_invalid(models: Models, ask: Any, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        list(ask(models))


def test_one_at_a_time_is_described(address: str) -> None:
    files = [png.to_files(np.zeros((1, 3, 5, 6), np.float32))[0]] * 2
    with open_channel(address) as channel:
        stub = models_pb2_grpc.ModelServiceStub(channel)
        for count in (0, 2):
            request = pb.DescribeRequest(model="teller", pictures=pb.Pictures(png=files[:count]))
            with pytest.raises(grpc.RpcError) as caught:
                list(stub.Describe(request))
            assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert f"got {count}" in caught.value.details()


def test_by_the_open_protocol_texts_and_attention_come_side_by_side(address: str) -> None:
    with open_channel(address) as channel:
        stub = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
        about = stub.ModelMetadata(inference_pb2.ModelMetadataRequest(name="teller:describe"))
        assert [(tensor.name, list(tensor.shape)) for tensor in about.inputs] == [
            ("pictures", [1, 3, 5, 6]),
            ("seed", [1]),
        ]
        assert [tensor.name for tensor in about.outputs] == ["texts", "attention"]
        request = inference_pb2.ModelInferRequest(model_name="teller:describe")
        shown = (PICTURE.transpose(2, 0, 1)[None] / 255).astype(np.float32)
        for name, datatype, values in (
            ("pictures", "FP32", shown),
            ("seed", "UINT64", np.array([1], np.uint64)),
        ):
            request.inputs.add(name=name, datatype=datatype, shape=values.shape)
            request.raw_input_contents.append(values.tobytes())
        answers = [answer.infer_response for answer in stub.ModelStreamInfer(iter([request]))]
    *parts, last = answers
    assert not last.outputs
    assert [part.raw_output_contents[0][4:].decode() for part in parts] == ["dark", " bright"]
    for part in parts:
        assert [list(output.shape) for output in part.outputs] == [[1], [3, 4]]
        looks = np.frombuffer(part.raw_output_contents[1], np.float32)
        np.testing.assert_allclose(looks.sum(), 1, rtol=1e-5)


def test_what_the_disk_holds_is_listed_with_what_it_can(models: Models, tmp_path: Path) -> None:
    told = {model.name: (list(model.capabilities), list(model.options)) for model in models.list()}
    assert told["teller"] == (["describe"], ["temperature"])
    assert told["witness"] == (["describe"], [])
