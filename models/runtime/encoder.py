"""An encoder of speech from an artifact's ONNX file, with the interface of `SpanEncoder`."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.models.artifact import ONNX, ArtifactCard, OnnxFile, reason, shown
from wordspot.models.cancellation import current_check
from wordspot.models.errors import DamagedArtifact
from wordspot.models.runtime.networks import FAMILIES, Network
from wordspot.models.runtime.pooling import Projection, pooled
from wordspot.models.runtime.sections import EmbeddedSection, Section, check_spans

Floats = NDArray[np.float32]

# What the file says beside the graph: which weights it was made of, and the projection of pooled frames.
WEIGHTS_SHA256 = "weights_sha256"
PROJECTION_WEIGHT, PROJECTION_BIAS = "projection.weight", "projection.bias"


class OnnxEncoder:
    """A trained span model with the front end before it, ready to serve without torch.

    Safe to use from several threads.

    Args:
        network: The graph with what is around it.
        projection: From pooled frames to vectors.
        card: The artifact's, which gives hash, description, threshold and calibration.
        name: Of the artifact.
        threads: How many of its own run the graph, each on one core.
    """

    semantic_dimensions = 0

    def __init__(
        self, network: Network, projection: Projection, card: ArtifactCard, name: str, threads: int = 1
    ) -> None:
        self._network, self._projection = network, projection
        self._parts = int(card.config["parts"])
        self.name = name
        self.hash = card.hash
        self.description = card.description
        self.threshold = card.detection_threshold
        self.calibration = card.calibration
        self.query_padding = network.query_padding
        self.device = "cpu"
        self.dimension = len(projection.bias)
        self.frame_dimension = int(card.config["frame_dimension"])
        self.ticks_per_frame = network.ticks_per_frame
        self._cores = ThreadPoolExecutor(threads, thread_name_prefix=name) if threads > 1 else None

    def embed_sections(self, sections: Sequence[Section]) -> list[EmbeddedSection]:
        """As SpanEncoder.embed_sections. Raises BadInput."""
        spoken = [(waveforms, spans) for waveforms, spans in sections if len(waveforms)]
        features = iter(
            self._parallel_map(
                self._network.features, [waveform for waveforms, _ in spoken for waveform in waveforms]
            )
        )
        regions: list[Floats] = []
        firsts: list[int] = []
        for waveforms, spans in spoken:
            section_features = [next(features) for _ in waveforms]
            check_spans(spans, [len(region) for region in section_features])
            firsts.append(len(regions))
            regions += self._network.normalise(section_features)
        frames = self._network.frames(regions, self._parallel_map) if regions else []
        vectors = iter(
            self._parallel_map(
                lambda work: self._pooled(frames[work[0] : work[0] + len(work[1])], work[2]),
                [(first, *section) for first, section in zip(firsts, spoken, strict=True)],
            )
        )
        counts = iter(firsts)
        result: list[EmbeddedSection] = []
        for waveforms, _ in sections:
            if not len(waveforms):
                result.append((np.zeros((0, self.dimension), np.float32), []))
                continue
            first = next(counts)
            result.append((next(vectors), frames[first : first + len(waveforms)]))
        return result

    def _pooled(self, frames: Sequence[Floats], spans: NDArray[np.int32]) -> Floats:
        return pooled(
            frames, spans.astype(np.int64), self._parts, self._projection, self._network.ticks_per_frame
        )

    def _parallel_map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterable[Any]:
        work, check = list(items), current_check()  # threads of a pool have a context of their own

        def checked(item: Any) -> Any:
            check()
            return function(item)

        if self._cores is None or len(work) < 2:
            return map(checked, work)
        return self._cores.map(checked, work)


def load(folder: Path, card: ArtifactCard, name: str, threads: int = 1) -> OnnxEncoder:
    """Returns the encoder of an artifact whose card names an ONNX file. Raises DamagedArtifact."""
    assert card.onnx is not None
    path = folder / ONNX
    run, metadata = _session(path, card.onnx)
    if metadata.get(WEIGHTS_SHA256) != card.weights_sha256:
        raise DamagedArtifact(
            f"{shown(path)}: made of weights of SHA-256 {metadata.get(WEIGHTS_SHA256, 'unknown')[:12]}..., "
            f"the card says {card.weights_sha256[:12]}...: run `wordspot models export {name}`"
        )
    if card.onnx.family not in FAMILIES:
        raise DamagedArtifact(
            f"{shown(path)}: the card says family {card.onnx.family!r}; {', '.join(FAMILIES)} are known"
        )
    try:
        size = int(card.config["parts"]) * int(card.config["frame_dimension"])
        projection = Projection(
            decoded(metadata[PROJECTION_WEIGHT]).reshape(-1, size), decoded(metadata[PROJECTION_BIAS])
        )
        network = FAMILIES[card.onnx.family](run, card.config)
        return OnnxEncoder(network, projection, card, name, threads)
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedArtifact(f"{shown(path)}: does not fit the card ({error!r})") from error


def _session(path: Path, file: OnnxFile) -> tuple[Callable[[Mapping[str, Floats]], Floats], dict[str, str]]:
    """Returns the graph and the file's metadata. Raises DamagedArtifact."""
    try:
        blob = path.read_bytes()
    except OSError as error:
        raise DamagedArtifact(f"{shown(path)}: cannot be read ({reason(error)})") from error
    digest = hashlib.sha256(blob).hexdigest()
    if digest != file.sha256:
        raise DamagedArtifact(
            f"{shown(path)}: SHA-256 is {digest[:12]}..., the card says {file.sha256[:12]}..."
        )
    try:
        return session(blob)
    except Exception as error:  # its many kinds of errors mean the same here
        raise DamagedArtifact(f"{shown(path)}: not a graph that onnxruntime runs ({error})") from error


def session(blob: bytes) -> tuple[Callable[[Mapping[str, Floats]], Floats], dict[str, str]]:
    """Returns a graph that the calling thread runs by itself, and the file's metadata.

    Threads of onnxruntime's own would spin while they wait for one another; several callers each with a core
    do not.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    loaded = onnxruntime.InferenceSession(blob, options, providers=["CPUExecutionProvider"])

    def run(inputs: Mapping[str, Floats]) -> Floats:
        output: Floats = loaded.run(None, dict(inputs))[0]
        return output

    return run, dict(loaded.get_modelmeta().custom_metadata_map)


def encoded(values: Floats) -> str:
    """Returns float32 values, little endian, as text (base64)."""
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()


def decoded(text: str) -> Floats:
    """Returns the values of a text that `encoded` made."""
    return np.frombuffer(base64.b64decode(text), "<f4").astype(np.float32)
