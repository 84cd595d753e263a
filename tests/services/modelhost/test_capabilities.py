from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from torch import Tensor

from wordspot.models import artifact, model
from wordspot.models.artifact import TrainingRecord
from wordspot.models.model import Model
from wordspot.models.registry import register
from wordspot.oip import inference_pb2, inference_pb2_grpc
from wordspot.services.modelhost.app import services
from wordspot.services.modelhost.capabilities import CAPABILITIES
from wordspot.services.modelhost.capability import Capability, examples_of, together
from wordspot.services.modelhost.media import MEDIA
from wordspot.services.modelhost.repository import load_models
from wordspot.services.modelhost.tensors import ANY, TensorKind
from wordspot.services.settings import ModelHostSettings
from wordspot.v1 import models_pb2

OF_THE_REPOSITORY = {"ListModels", "GetModel", "LoadModel", "UnloadModel"}


@dataclass(frozen=True)
class MeterConfig:
    height: int = 4
    width: int = 3
    channels: int = 1


@register("light_meter")
class LightMeter(Model[MeterConfig]):
    """Measures how bright pictures are, which no other model does."""

    Config = MeterConfig
    modality = "picture"
    capabilities = frozenset({"measure"})

    def measure(self, pictures: Tensor) -> Tensor:
        return pictures.mean(dim=(1, 2, 3))


def test_each_method_of_the_contract_that_runs_a_model_belongs_to_a_capability() -> None:
    methods = models_pb2.DESCRIPTOR.services_by_name["ModelService"].methods
    rpcs = {entry.rpc.name: entry for entry in CAPABILITIES.values() if entry.rpc is not None}
    assert {method.name for method in methods} == OF_THE_REPOSITORY | set(rpcs)
    for name, entry in rpcs.items():
        (method,) = (method for method in methods if method.name == name)
        assert method.server_streaming == entry.streamed


def test_everything_that_models_may_do_is_in_the_table() -> None:
    assert set(CAPABILITIES) == {"embed", *model.CAPABILITIES}


def test_a_capability_is_one_entry(
    tmp_path: Path, serving: Callable[..., tuple[grpc.Channel, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    brightness = TensorKind("brightness", "FP32", (ANY,))
    entry = Capability(
        "measure",
        media=("picture",),
        kinds=lambda card: ((MEDIA["picture"].examples(card),), (brightness,)),
        call=together("measure"),
        batched=True,
        weight=examples_of,
    )
    monkeypatch.setitem(CAPABILITIES, "measure", entry)
    artifact.save(LightMeter(MeterConfig()), TrainingRecord("meter"), tmp_path / "models/meter")
    settings = ModelHostSettings(home=tmp_path, device="cpu")
    pictures = np.random.default_rng(0).random((5, 1, 4, 3), np.float32)
    with closing(load_models(settings)) as repository:
        channel, _ = serving(*services(repository, settings))
        stub: Any = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
        request = inference_pb2.ModelInferRequest(
            model_name="meter:measure", raw_input_contents=[pictures.tobytes()]
        )
        request.inputs.add(name="pictures", datatype="FP32", shape=pictures.shape)
        answer = stub.ModelInfer(request)
        measured = np.frombuffer(answer.raw_output_contents[0], np.float32)
        np.testing.assert_allclose(measured, pictures.mean(axis=(1, 2, 3)), rtol=1e-5)
        assert answer.outputs[0].name == "brightness"
        assert repository.statistics.of("meter", "measure").examples == 5
