"""The contract of span encoders: sections of audio in, one unit vector a span and frame features out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wordspot.models import audio
from wordspot.models.cancellation import check_cancelled
from wordspot.models.model import ConfigT, Model
from wordspot.models.runtime.sections import EmbeddedSection, Section, buckets, check_spans


class SpanModel(Model[ConfigT]):
    """A model that embeds spans of speech regions.

    Attributes:
        ticks_per_frame: Distance of the frame features that `frames` yields.
        dimension: Of a vector.
        semantic_dimensions: How many of a vector's last numbers say what is meant, not how it sounds.
        query_padding: Ticks of silence to put on either side of a query that nothing surrounds.
        frame_dimension: Of a frame feature.
    """

    capabilities = frozenset({"embed"})
    ticks_per_frame: ClassVar[int] = 2
    dimension: int
    semantic_dimensions: int = 0
    query_padding: int = 0
    frame_dimension: int = audio.MFCC_SIZE

    def features(self, waveform: Tensor) -> Tensor:
        """Returns features (T, F), a row a tick, of a waveform float32 (samples,) at 16 kHz: here 39 MFCC."""
        return audio.mfcc(waveform)

    def normalise(self, regions: list[Tensor]) -> list[Tensor]:
        """Returns features (T_i, F) of a section's regions as the network takes them: here of zero mean and
        unit variance over the section."""
        return audio.normalise(regions)

    @abstractmethod
    def embed(self, features: Tensor, lengths: Tensor, spans: Tensor) -> Tensor:
        """Returns float32 (N, dimension), not yet of unit length.

        What lies beyond a region's length changes nothing.

        Args:
            features: float32 (B, T, F), padded.
            lengths: int64 (B,), in ticks.
            spans: int64 (N, 3) of region, start, stop in ticks.
        """

    def frames(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Returns frame features (B, ceil(T / ticks_per_frame), frame_dimension): here the MFCC, averaged
        over each frame's ticks.

        features: (B, T, F). lengths: int64 (B,), in ticks.
        """
        return audio.pooled(features, lengths)[:, :: self.ticks_per_frame]

    def freeze(self) -> None:
        """Makes a model that will not train any more faster; called once it is on its device."""

    def embed_with_frames(self, features: Tensor, lengths: Tensor, spans: Tensor) -> tuple[Tensor, Tensor]:
        """Returns what `embed` and `frames` return, for networks that compute both in one pass."""
        return self.embed(features, lengths, spans), self.frames(features, lengths)

    def embed_regions(self, regions: Sequence[Tensor], spans: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Returns unit vectors (N, dimension), and by region frames (ceil(T_i / ticks_per_frame),
        frame_dimension).

        regions: features (T_i, F). spans: int64 (N, 3) of region, start, stop in ticks.
        """
        vectors = torch.zeros(len(spans), self.dimension, device=spans.device)
        frames: list[Tensor] = [vectors] * len(regions)
        for bucket in buckets([len(region) for region in regions]):
            check_cancelled()
            padded = torch.nn.utils.rnn.pad_sequence([regions[i] for i in bucket], batch_first=True)
            lengths = torch.tensor([len(regions[i]) for i in bucket], device=spans.device)
            place = torch.full((len(regions),), -1, device=spans.device)
            place[bucket] = torch.arange(len(bucket), device=spans.device)
            rows = (place[spans[:, 0]] >= 0).nonzero()[:, 0]
            bucket_spans = torch.cat([place[spans[rows, :1]], spans[rows, 1:]], dim=1)
            embedded, bucket_frames = self.embed_with_frames(padded, lengths, bucket_spans)
            vectors[rows] = torch.nn.functional.normalize(embedded, dim=1)
            for row, i in zip(bucket_frames, bucket, strict=True):
                frames[i] = row[: -(-len(regions[i]) // self.ticks_per_frame)]
        return vectors, frames


class SpanEncoder:
    """A trained span model with the front end before it, ready to serve.

    Args:
        model: The network.
        name: Of the artifact.
        hash: Of the artifact.
        description: From the card.
        device: As torch names it.
        threshold: Of detections, from the card.
        calibration: Of P(correct), from the card.
    """

    def __init__(
        self,
        model: SpanModel[ConfigT],
        name: str,
        hash: str,
        description: str,
        device: str,
        threshold: float | None = None,
        calibration: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model.to(device).eval()
        model.freeze()
        self.name = name
        self.hash = hash
        self.description = description
        self.device = device
        self.threshold = threshold
        self.calibration = calibration
        self.dimension = model.dimension
        self.frame_dimension = model.frame_dimension
        self.ticks_per_frame = model.ticks_per_frame
        self.semantic_dimensions = model.semantic_dimensions
        self.query_padding = model.query_padding

    @torch.inference_mode()
    def embed_sections(self, sections: Sequence[Section]) -> list[EmbeddedSection]:
        """Embeds the spans of sections; features are normalised over each section by itself.

        Args:
            sections: Each the audio of its regions, float32 (samples,) at 16 kHz, and spans int32 (N, 3) of
                region, start, stop in ticks.

        Returns:
            For each section vectors float32 (N, dimension) of unit length and for each region frame features
            float32 (ceil(ticks / ticks_per_frame), frame_dimension).

        Raises:
            BadInput: A span does not lie in its region.
        """
        regions: list[Tensor] = []
        tables: list[Tensor] = []
        for waveforms, spans in sections:
            if not waveforms:
                continue
            check_cancelled()
            features = [self.model.features(self._moved(w)) for w in waveforms]
            check_spans(spans, [len(region) for region in features])
            table = self._moved(spans.astype(np.int64))
            tables.append(table + torch.tensor([len(regions), 0, 0], device=self.device))
            regions += self.model.normalise(features)
        if not regions:
            return [(np.zeros((0, self.dimension), np.float32), []) for _ in sections]
        unit, region_frames = self.model.embed_regions(regions, torch.cat(tables))
        vectors = unit.cpu().numpy()
        # Copies, so that no region keeps its whole batch alive.
        frames = [rows.cpu().numpy().copy() for rows in region_frames]
        result: list[EmbeddedSection] = []
        row = region = 0
        for waveforms, spans in sections:
            count = len(spans) if waveforms else 0
            result.append((vectors[row : row + count], frames[region : region + len(waveforms)]))
            row += count
            region += len(waveforms)
        return result

    def _moved(self, values: NDArray[Any]) -> Tensor:
        """Returns values on the model's device; to a GPU they are copied from pinned memory, without
        waiting."""
        tensor = torch.from_numpy(values)
        if torch.device(self.device).type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)
