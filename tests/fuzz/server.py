"""The server under test: all services in a process of its own on port 0, with the models that ship."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from tests.fuzz.process import ROOT, Process
from wordspot import Client
from wordspot.oip import inference_pb2, inference_pb2_grpc
from wordspot.services.runtime import open_channel
from wordspot.v1 import models_pb2, models_pb2_grpc

SAMPLE = ROOT / "deploy" / "demo" / "sample"
RECORDINGS = 4
START_SECONDS = 300.0
ARCHIVE = "default"
ENVIRONMENT = {"WORDSPOT_DEFAULT_ENCODER": "naive", "WORDSPOT_DEVICE": "cpu"}


@dataclass(frozen=True)
class TensorShape:
    """-1 where any size is allowed."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ServedModel:
    """config: of the card. signatures: inputs in the Open Inference Protocol by capability."""

    name: str
    modality: str
    capabilities: tuple[str, ...]
    config: Mapping[str, Any]
    signatures: Mapping[str, Sequence[TensorShape]] = field(default_factory=dict)

    @property
    def picture(self) -> tuple[int, int, int]:
        """Channels, height, width; those of a digit where it knows no pictures."""
        return tuple(int(self.config.get(key, size)) for key, size in PICTURE.items())  # type: ignore[return-value]


# Capabilities by class that take seconds for one example: they would leave no time for the others.
SLOW = {"wavenet": {"sample", "generate"}}
PICTURE = {"channels": 1, "height": 28, "width": 28}


class Server:
    """Restarted with the same home when it has died.

    models: those that calls are about; of each class one where none are named.
    """

    def __init__(self, folder: Path, models: Sequence[str] = ()) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self.root = folder / "root"
        self.root.mkdir()
        self._places = [str(place).encode() for place in (folder / "home", ROOT, Path(sys.prefix))]
        self.queries = sorted((SAMPLE / "queries").glob("*.flac"))[:4]
        for path in sorted((SAMPLE / "recordings").glob("*.flac"))[:RECORDINGS]:
            (self.root / path.name).write_bytes(path.read_bytes())
        self._start()
        with Client(self.address) as client:
            client.index(sorted(self.root.iterdir()), encoder="naive")
        self.models = self._models(frozenset(models))

    def place_in(self, answer: bytes) -> str:
        """Returns the path of this machine that an answer holds, none of the caller's own; "" for none."""
        return next((place.decode() for place in self._places if place in answer), "")

    def ensure(self) -> None:
        """Starts it anew if it has ended."""
        with self._lock:
            if self.process.ended:
                self.close()
                self._start()

    def restart(self) -> None:
        with self._lock:
            self.process.kill()
        self.ensure()

    def close(self) -> None:
        self.channel.close()
        self.process.close()

    def _start(self) -> None:
        arguments = ("-m", "wordspot.services.cli", "serve", "all", "--no-http", "--port", "0")
        arguments += ("--root", str(self.root))
        environment = {**ENVIRONMENT, "WORDSPOT_HOME": str(self.folder / "home")}
        self.process = Process(arguments, self.folder / "server.log", environment)
        line = self.process.line(START_SECONDS) or ""
        assert "listens at" in line, self.process.logged()
        self.address = line.split()[-1]
        self.channel: grpc.Channel = open_channel(self.address)

    def _models(self, wanted: frozenset[str]) -> list[ServedModel]:
        """Those that are wanted, else the first of each class."""
        stub = models_pb2_grpc.ModelServiceStub(self.channel)
        classes: dict[str, ServedModel] = {}
        for model in stub.ListModels(models_pb2.ListModelsRequest()).models:
            if wanted and model.name not in wanted:
                continue
            card = json.loads(stub.GetModel(models_pb2.GetModelRequest(name=model.name)).card)
            if card["model"] in classes:
                continue
            capabilities = sorted(set(model.capabilities) - SLOW.get(card["model"], set()))
            classes[card["model"]] = ServedModel(
                model.name,
                model.modality,
                tuple(capabilities),
                card["config"],
                {capability: self._signature(model.name, capability) for capability in capabilities},
            )
        return list(classes.values())

    def _signature(self, name: str, capability: str) -> Sequence[TensorShape]:
        stub = inference_pb2_grpc.GRPCInferenceServiceStub(self.channel)
        answer = stub.ModelMetadata(inference_pb2.ModelMetadataRequest(name=f"{name}:{capability}"))
        return [TensorShape(one.name, one.datatype, tuple(one.shape)) for one in answer.inputs]
