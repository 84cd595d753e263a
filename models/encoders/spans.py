"""What all span encoders share: sections of audio in, one unit vector a span and frame features out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wordspot.models import audio
from wordspot.models.errors import BadInput
from wordspot.models.model import ConfigT, Model

Section = tuple[Sequence[NDArray[np.float32]], NDArray[np.int32]]
EmbeddedSection = tuple[NDArray[np.float32], list[NDArray[np.float32]]]

PADDED_TICKS = 30_000  # of regions and their padding, that run through a network at once


class SpanModel(Model[ConfigT]):
    """A model that embeds spans of speech regions.

    ticks_per_frame: distance of the frame features that `frames` yields. meaning_dimension: how many of a
    vector's last numbers say what is meant, not how it sounds.
    """

    capabilities = frozenset({"embed"})
    ticks_per_frame: ClassVar[int] = 2
    dimension: int
    meaning_dimension: int = 0
    frame_dimension: int = audio.MFCC_SIZE

    def features(self, waveform: Tensor) -> Tensor:
        """waveform float32 (samples,) at 16 kHz. Returns (T, F), a row a tick: here 39 MFCC."""
        return audio.mfcc(waveform)

    def normalise(self, regions: list[Tensor]) -> list[Tensor]:
        """Features (T_i, F) of a section's regions as the network wants them: here of zero mean and unit
        variance over the section."""
        return audio.normalise(regions)

    @abstractmethod
    def embed(self, features: Tensor, lengths: Tensor, spans: Tensor) -> Tensor:
        """features (B, T, 39) float32, padded; lengths (B,) int64; spans (N, 3) int64 of region, start,
        stop in ticks. Returns (N, dimension) float32, not yet of unit length. What lies beyond a region's
        length changes nothing."""

    def frames(self, features: Tensor, lengths: Tensor) -> Tensor:
        """features (B, T, 39). Returns (B, ceil(T / ticks_per_frame), frame_dimension): here the MFCC,
        averaged over each frame's ticks."""
        return audio.pooled(features, lengths)[:, :: self.ticks_per_frame]

    def freeze(self) -> None:
        """Makes a model that will not train any more faster, once it is where it will run."""

    def embed_with_frames(self, features: Tensor, lengths: Tensor, spans: Tensor) -> tuple[Tensor, Tensor]:
        """What `embed` and `frames` give, for networks that do both in one pass."""
        return self.embed(features, lengths, spans), self.frames(features, lengths)

    def embed_regions(self, regions: Sequence[Tensor], spans: Tensor) -> tuple[Tensor, list[Tensor]]:
        """regions: features (T_i, F); spans (N, 3) of region, start, stop in ticks.

        Returns unit vectors (N, dimension), and frames (ceil(T_i / ticks_per_frame), frame_dimension) by
        region.
        """
        vectors = torch.zeros(len(spans), self.dimension, device=spans.device)
        frames: list[Tensor] = [vectors] * len(regions)
        for bucket in buckets([len(region) for region in regions]):
            padded = torch.nn.utils.rnn.pad_sequence([regions[i] for i in bucket], batch_first=True)
            lengths = torch.tensor([len(regions[i]) for i in bucket], device=spans.device)
            place = torch.full((len(regions),), -1, device=spans.device)
            place[bucket] = torch.arange(len(bucket), device=spans.device)
            rows = (place[spans[:, 0]] >= 0).nonzero()[:, 0]
            here = torch.cat([place[spans[rows, :1]], spans[rows, 1:]], dim=1)
            embedded, heard = self.embed_with_frames(padded, lengths, here)
            vectors[rows] = torch.nn.functional.normalize(embedded, dim=1)
            for row, i in zip(heard, bucket, strict=True):
                frames[i] = row[: -(-len(regions[i]) // self.ticks_per_frame)]
        return vectors, frames


class SpanEncoder:
    """A trained span model with the front end before it, ready to serve.

    name, hash, description: from its card. threshold: the card's detection threshold.
    """

    def __init__(
        self,
        model: SpanModel[ConfigT],
        name: str,
        hash: str,
        description: str,
        device: str,
        threshold: float | None = None,
    ) -> None:
        self.model = model.to(device).eval()
        model.freeze()
        self.name = name
        self.hash = hash
        self.description = description
        self.device = device
        self.threshold = threshold
        self.dimension = model.dimension
        self.frame_dimension = model.frame_dimension
        self.ticks_per_frame = model.ticks_per_frame
        self.meaning = model.meaning_dimension

    @torch.inference_mode()
    def embed_sections(self, sections: Sequence[Section]) -> list[EmbeddedSection]:
        """sections: each the audio of its regions, float32 (samples,) at 16 kHz, and spans int32 (N, 3) of
        region, start, stop in ticks. Features are normalised over each section by itself.

        Returns for each section vectors float32 (N, dimension) of unit length and for each region frame
        features float32 (ceil(ticks / ticks_per_frame), frame_dimension). Raises BadInput.
        """
        regions: list[Tensor] = []
        tables: list[Tensor] = []
        for waveforms, spans in sections:
            if not waveforms:
                continue
            features = [self.model.features(self._moved(w)) for w in waveforms]
            table = self._moved(spans.astype(np.int64))
            _check_spans(table, features)
            tables.append(table + torch.tensor([len(regions), 0, 0], device=self.device))
            regions += self.model.normalise(features)
        if not regions:
            return [(np.zeros((0, self.dimension), np.float32), []) for _ in sections]
        unit, heard = self.model.embed_regions(regions, torch.cat(tables))
        vectors = unit.cpu().numpy()
        # Copies, so that no region keeps its whole batch alive.
        frames = [rows.cpu().numpy().copy() for rows in heard]
        result: list[EmbeddedSection] = []
        row = region = 0
        for waveforms, spans in sections:
            count = len(spans) if waveforms else 0
            result.append((vectors[row : row + count], frames[region : region + len(waveforms)]))
            row += count
            region += len(waveforms)
        return result

    def _moved(self, values: NDArray[Any]) -> Tensor:
        """On the model's device; to a GPU from pinned memory, without waiting."""
        tensor = torch.from_numpy(values)
        if torch.device(self.device).type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)


def buckets(lengths: Sequence[int]) -> list[list[int]]:
    """Places of regions of like length together, so that little is padding and no bucket is large."""
    buckets: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if not buckets or (len(buckets[-1]) + 1) * lengths[buckets[-1][0]] > PADDED_TICKS:
            buckets.append([])
        buckets[-1].append(i)
    return buckets


def _check_spans(spans: Tensor, regions: Sequence[Tensor]) -> None:
    if spans.ndim != 2 or spans.shape[1] != 3:
        raise BadInput(f"spans have shape {tuple(spans.shape)}; (N, 3) of region, start, stop is allowed")
    if len(spans) == 0:
        return
    region, start, stop = spans.T
    if int(region.min()) < 0 or int(region.max()) >= len(regions):
        raise BadInput(f"a span names region {int(region.max())}; the section has {len(regions)}")
    lengths = torch.tensor([len(r) for r in regions], device=spans.device)[region]
    wrong = (start < 0) | (stop <= start) | (stop > lengths)
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0, 0])
        raise BadInput(
            f"span {row} is [{int(start[row])}, {int(stop[row])}) ticks; "
            f"0 <= start < stop <= {int(lengths[row])} is allowed in its region"
        )
