"""A trained model on disk: `model.safetensors` and `card.json`, nothing executable.

The hash of an artifact covers class, configuration and weights, so equal hashes mean equal outputs.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordspot.models.errors import DamagedArtifact

if TYPE_CHECKING:  # who only looks at cards need not wait for torch
    from torch import Tensor

    from wordspot.models.model import Model

WEIGHTS = "model.safetensors"
CARD = "card.json"


@dataclass(frozen=True)
class Metric:
    """A judged figure. floor: the same figure on real held-out data, or of doing nothing; baseline: of the
    simple alternative; threshold: what it has to reach, from below if lower is better."""

    name: str
    value: float
    floor: float | None = None
    baseline: float | None = None
    threshold: float | None = None
    lower_is_better: bool = False

    @property
    def passed(self) -> bool | None:
        """None where there is no threshold."""
        if self.threshold is None:
            return None
        return self.value <= self.threshold if self.lower_is_better else self.value >= self.threshold


@dataclass(frozen=True)
class ArtifactCard:
    """What a model is, where it comes from and how good it was.

    model: the registered class. modality, capabilities, options: as its class has them, so that who looks for
    a model need not import any. codec: vocabulary, palette and the like. data: what it learned from.
    commit: of the code that made it. supervision: what labels it saw, in words. scale: how it differs from
    the paper in size.
    detection_threshold: of an encoder, the score from which a place found with it counts as a detection.
    """

    name: str
    model: str
    config: Mapping[str, Any]
    weights_sha256: str
    modality: str = "speech"
    capabilities: tuple[str, ...] = ("embed",)
    description: str = ""
    source: str = ""
    codec: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    supervision: str = "none"
    scale: str = ""
    licence: str = ""
    seed: int | None = None
    budget: Mapping[str, Any] = field(default_factory=dict)
    commit: str = ""
    metrics: tuple[Metric, ...] = ()
    detection_threshold: float | None = None
    options: tuple[str, ...] = ()

    @cached_property
    def hash(self) -> str:
        identity = json.dumps([self.model, self.config, self.weights_sha256], sort_keys=True)
        return hashlib.sha256(identity.encode()).hexdigest()

    def __hash__(self) -> int:
        return hash(self.hash)


def save(model: Model[Any], card: ArtifactCard, folder: Path, *, half: bool = False) -> ArtifactCard:
    """Writes the artifact whole or not at all; `half` stores floats as fp16. Returns the stored card."""
    from safetensors.torch import save as save_tensors

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: _stored(tensor, half)
        for name, tensor in model.state_dict().items()
        if name.partition(".")[0] not in model.unsaved
    }
    blob = save_tensors(tensors)
    card = dataclasses.replace(
        card,
        config=dataclasses.asdict(model.config),
        weights_sha256=hashlib.sha256(blob).hexdigest(),
        modality=model.modality,
        capabilities=tuple(sorted(model.capabilities)),
        options=tuple(sorted(model.options)),
    )
    write_whole(folder / WEIGHTS, blob)
    write_whole(folder / CARD, (json.dumps(dataclasses.asdict(card), indent=2) + "\n").encode())
    return read_card(folder)


def read_card(folder: Path) -> ArtifactCard:
    """Raises DamagedArtifact."""
    try:
        content = json.loads((folder / CARD).read_text())
        metrics = tuple(Metric(**metric) for metric in content.pop("metrics", []))
        card = ArtifactCard(**content, metrics=metrics)
        return dataclasses.replace(card, capabilities=tuple(card.capabilities), options=tuple(card.options))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DamagedArtifact(f"{folder / CARD}: not a readable card ({error})") from error


def read_weights(folder: Path, card: ArtifactCard) -> dict[str, Tensor]:
    """Tensors by name, as float32 where stored as fp16. Raises DamagedArtifact."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load as load_tensors

    try:
        blob = (folder / WEIGHTS).read_bytes()
    except OSError as error:
        raise DamagedArtifact(f"{folder / WEIGHTS}: cannot be read ({error})") from error
    found = hashlib.sha256(blob).hexdigest()
    if found != card.weights_sha256:
        raise DamagedArtifact(
            f"{folder / WEIGHTS}: SHA-256 is {found[:12]}..., the card says {card.weights_sha256[:12]}..."
        )
    try:
        tensors = load_tensors(blob)
    except SafetensorError as error:
        raise DamagedArtifact(f"{folder / WEIGHTS}: not a safetensors file ({error})") from error
    return {k: t.float() if t.dtype == torch.float16 else t for k, t in tensors.items()}


def restore(model_type: type[Model[Any]], folder: Path, card: ArtifactCard) -> Model[Any]:
    """The model of an artifact, in evaluation mode on the CPU. Raises DamagedArtifact."""
    weights = read_weights(folder, card)
    try:
        model = model_type(_config(model_type, card.config))
        fresh = {k: t for k, t in model.state_dict().items() if k.partition(".")[0] in model.unsaved}
        model.load_state_dict(fresh | weights)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DamagedArtifact(f"{folder}: weights or config do not fit {card.model!r} ({error})") from error
    return model.eval()


def _config(model_type: type[Model[Any]], values: Mapping[str, Any]) -> Any:
    """JSON has no tuples; configurations have no lists."""
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return model_type.Config(**given)


def commit() -> str:
    """The commit that this code was checked out at, `-dirty` added where it was changed; else its version."""
    here = Path(__file__).parent
    ask = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        told = subprocess.run(ask, capture_output=True, text=True, check=True, timeout=10)
        return told.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return f"wordspot {version('wordspot')}"


def write_whole(path: Path, content: bytes) -> None:
    """Replaces a file in one step, so that a reader sees the old or the new."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _stored(tensor: Tensor, half: bool) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    return tensor.half() if half and tensor.is_floating_point() else tensor
