"""A trained model on disk: `model.safetensors` and `card.json`, nothing executable.

The hash of an artifact covers class, configuration and weights, so equal hashes mean equal outputs.
`model.onnx` may lie beside them, made of the same weights to run without torch: its outputs are equal within
the tolerance that the card gives.
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
SCALE = ":scale"  # behind the name of a matrix, its scales
LARGE_MATRIX = 10_000  # numbers
ONNX = "model.onnx"


@dataclass(frozen=True)
class Metric:
    """A figure of a model's quality.

    Attributes:
        name: Of the figure.
        value: What was measured.
        floor: The same figure on real held-out data, or of doing nothing.
        baseline: Of the simple alternative.
        threshold: What the value has to reach, from below if lower is better.
        lower_is_better: Whether it is.
    """

    name: str
    value: float
    floor: float | None = None
    baseline: float | None = None
    threshold: float | None = None
    lower_is_better: bool = False

    @property
    def passed(self) -> bool | None:
        """Whether the threshold is reached; None where there is none."""
        if self.threshold is None:
            return None
        return self.value <= self.threshold if self.lower_is_better else self.value >= self.threshold


@dataclass(frozen=True)
class OnnxFile:
    """The card's entry for `model.onnx`.

    Attributes:
        sha256: Of the file.
        family: Of wordspot.models.runtime.networks.
        precision: `int8` or `fp32`, of its linear layers' weights.
        tolerance: The cosine similarity to the torch model's that the export asks of 99 of 100 frames and
            spans' vectors, on real speech.
        agreement: What was measured.
    """

    sha256: str
    family: str
    precision: str
    tolerance: float
    agreement: float


@dataclass(frozen=True)
class EmbeddingFormat:
    """The shapes of what an encoder of speech returns, known before it is loaded.

    Attributes:
        dimension: Of a span's vector.
        frame_dimension: Of a frame feature.
        ticks_per_frame: Distance of two frame features, in ticks of 10 ms.
        semantic_dimensions: How many of a vector's last numbers say what is meant; those before them say how
            it sounds.
        query_padding: Ticks of silence to put on either side of a query that nothing surrounds.
    """

    dimension: int
    frame_dimension: int
    ticks_per_frame: int
    semantic_dimensions: int = 0
    query_padding: int = 0

    @classmethod
    def of(cls, encoder: Any) -> EmbeddingFormat:
        """Returns the format of a loaded encoder or span model, which has these attributes."""
        return cls(**{entry.name: getattr(encoder, entry.name) for entry in dataclasses.fields(cls)})


@dataclass(frozen=True)
class TrainingRecord:
    """How a model was trained; `save` makes its card of it.

    Attributes:
        name: Of the artifact.
        description: One sentence for people.
        source: The papers.
        codec: Vocabulary, palette and the like.
        data: What it learned from.
        supervision: Which labels it learned from, in words.
        scale: How it differs from the paper in size.
        licence: Of the weights.
        seed: Of what was random; None where nothing was.
        budget: Hyperparameters, steps and minutes.
        commit: Of the code that trained it.
        metrics: Figures of its quality.
        detection_threshold: Of an encoder, the score from which a hit counts as a detection.
        calibration: Of an encoder, the coefficients of P(correct): `signals` by name, their `means`, `scales`
            and `weights`, the `intercept`, and `fitted_on`, in words.
    """

    name: str
    description: str = field(default="", kw_only=True)
    source: str = field(default="", kw_only=True)
    codec: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    data: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    supervision: str = field(default="none", kw_only=True)
    scale: str = field(default="", kw_only=True)
    licence: str = field(default="", kw_only=True)
    seed: int | None = field(default=None, kw_only=True)
    budget: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    commit: str = field(default="", kw_only=True)
    metrics: tuple[Metric, ...] = field(default=(), kw_only=True)
    detection_threshold: float | None = field(default=None, kw_only=True)
    calibration: Mapping[str, Any] | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class ArtifactCard(TrainingRecord):
    """A model card (Mitchell et al. 2019): what a model is, where it comes from and how good it was.

    Attributes:
        model: The registered class.
        config: Its configuration.
        weights_sha256: Of `model.safetensors`.
        modality: As its class has it, so that looking for a model imports none.
        capabilities: As its class has them.
        options: As its class has them.
        onnx: Of an artifact that holds `model.onnx`.
        embedding: Of an encoder; None on cards older than the field.
    """

    model: str
    config: Mapping[str, Any]
    weights_sha256: str
    modality: str = field(default="speech", kw_only=True)
    capabilities: tuple[str, ...] = field(default=("embed",), kw_only=True)
    options: tuple[str, ...] = field(default=(), kw_only=True)
    onnx: OnnxFile | None = field(default=None, kw_only=True)
    embedding: EmbeddingFormat | None = field(default=None, kw_only=True)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of class, configuration and weights, hexadecimal: equal hashes give equal results."""
        identity = json.dumps([self.model, self.config, self.weights_sha256], sort_keys=True)
        return hashlib.sha256(identity.encode()).hexdigest()

    def __hash__(self) -> int:
        return hash(self.hash)


def save(
    model: Model[Any], record: TrainingRecord, folder: Path, *, half: bool = False, int8: bool = False
) -> ArtifactCard:
    """Writes the artifact whole or not at all. Returns the stored card.

    record: of its training; a card that was stored before keeps its `onnx` if the weights are the same.
    half: floats as fp16. int8: large matrices as a byte a number, with a scale for each row.
    """
    from safetensors.torch import save as save_tensors

    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        if name.partition(".")[0] in model.unsaved:
            continue
        if int8 and tensor.is_floating_point() and tensor.ndim == 2 and tensor.numel() >= LARGE_MATRIX:
            tensors[name], tensors[name + SCALE] = _quantised(tensor)
        else:
            tensors[name] = _stored(tensor, half)
    blob = save_tensors(tensors)
    digest = hashlib.sha256(blob).hexdigest()
    fields = {entry.name: getattr(record, entry.name) for entry in dataclasses.fields(TrainingRecord)}
    stored = record if isinstance(record, ArtifactCard) else None
    card = ArtifactCard(
        **fields,
        model=model.registered_name,
        config=dataclasses.asdict(model.config),
        weights_sha256=digest,
        onnx=stored.onnx if stored is not None and digest == stored.weights_sha256 else None,
        modality=model.modality,
        capabilities=tuple(sorted(model.capabilities)),
        options=tuple(sorted(model.options)),
        embedding=EmbeddingFormat.of(model) if "embed" in model.capabilities else None,
    )
    write_whole(folder / WEIGHTS, blob)
    return write_card(card, folder)


def write_card(card: ArtifactCard, folder: Path) -> ArtifactCard:
    """Writes a card and returns it as it is stored."""
    write_whole(folder / CARD, (json.dumps(dataclasses.asdict(card), indent=2) + "\n").encode())
    return read_card(folder)


def shown(path: Path) -> str:
    """Returns a file of an artifact as messages name it, which may be those of a server: by its folder."""
    return f"{path.parent.name}/{path.name}"


def reason(error: Exception) -> str:
    """Returns what is wrong with a file, without its path."""
    return (error.strerror if isinstance(error, OSError) else "") or str(error)


def read_card(folder: Path) -> ArtifactCard:
    """Returns an artifact's card. Raises DamagedArtifact."""
    try:
        content = json.loads((folder / CARD).read_text())
        metrics = tuple(Metric(**metric) for metric in content.pop("metrics", []))
        onnx = content.pop("onnx", None)
        embedding = content.pop("embedding", None)
        card = ArtifactCard(
            **content,
            metrics=metrics,
            onnx=OnnxFile(**onnx) if onnx else None,
            embedding=EmbeddingFormat(**embedding) if embedding else None,
        )
        return dataclasses.replace(card, capabilities=tuple(card.capabilities), options=tuple(card.options))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DamagedArtifact(f"{shown(folder / CARD)}: not a readable card ({reason(error)})") from error


def read_weights(folder: Path, card: ArtifactCard) -> dict[str, Tensor]:
    """Returns tensors by name, as float32 where stored as fp16 or int8 with a scale. Raises
    DamagedArtifact."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load as load_tensors

    try:
        blob = (folder / WEIGHTS).read_bytes()
    except OSError as error:
        raise DamagedArtifact(f"{shown(folder / WEIGHTS)}: cannot be read ({reason(error)})") from error
    digest = hashlib.sha256(blob).hexdigest()
    if digest != card.weights_sha256:
        raise DamagedArtifact(
            f"{shown(folder / WEIGHTS)}: SHA-256 is {digest[:12]}..., the card says "
            f"{card.weights_sha256[:12]}..."
        )
    try:
        tensors = load_tensors(blob)
    except SafetensorError as error:
        raise DamagedArtifact(f"{shown(folder / WEIGHTS)}: not a safetensors file ({error})") from error
    scales = {k.removesuffix(SCALE): tensors.pop(k) for k in list(tensors) if k.endswith(SCALE)}
    weights = {k: t.float() if t.dtype == torch.float16 else t for k, t in tensors.items()}
    return weights | {k: weights[k].float() * scale for k, scale in scales.items()}


def restore(model_type: type[Model[Any]], folder: Path, card: ArtifactCard) -> Model[Any]:
    """Returns the model of an artifact, in evaluation mode on the CPU. Raises DamagedArtifact."""
    weights = read_weights(folder, card)
    try:
        model = model_type(_config(model_type, card.config))
        fresh = {k: t for k, t in model.state_dict().items() if k.partition(".")[0] in model.unsaved}
        model.load_state_dict(fresh | weights)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DamagedArtifact(
            f"{folder.name}: weights or config do not fit {card.model!r} ({error})"
        ) from error
    return model.eval()


def _config(model_type: type[Model[Any]], values: Mapping[str, Any]) -> Any:
    """Returns a configuration with tuples in place of JSON's lists."""
    arguments = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return model_type.Config(**arguments)


def commit() -> str:
    """Returns the commit that this code was checked out at, with `-dirty` where it was changed; else its
    version."""
    folder = Path(__file__).parent
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        process = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
        return process.stdout.strip()
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


def _quantised(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Returns int8 (rows, columns), and float32 (rows, 1), by which each row is to be multiplied."""
    rows = matrix.detach().cpu().float()
    scale = rows.abs().amax(dim=1, keepdim=True).clamp_min(1e-30) / 127
    return (rows / scale).round().char().contiguous(), scale.contiguous()
