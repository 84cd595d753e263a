"""What all span encoders share: sections of audio in, one unit vector a span and frame features out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wordspot.models import audio
from wordspot.models.errors import BadInput
from wordspot.models.model import ConfigT, Model

Section = tuple[Sequence[NDArray[np.float32]], NDArray[np.int32]]
EmbeddedSection = tuple[NDArray[np.float32], list[NDArray[np.float32]]]


class SpanModel(Model[ConfigT]):
    """A model that embeds spans of MFCC regions.

    ticks_per_frame: distance of the frame features that `frames` yields.
    """

    capabilities = frozenset({"embed"})
    ticks_per_frame: ClassVar[int] = 2
    dimension: int
    frame_dimension: int = audio.MFCC_SIZE

    @abstractmethod
    def embed(self, features: Tensor, lengths: Tensor, spans: Tensor) -> Tensor:
        """features (B, T, 39) float32, padded; lengths (B,) int64; spans (N, 3) int64 of region, start,
        stop in ticks. Returns (N, dimension) float32, not yet of unit length. What lies beyond a region's
        length changes nothing."""

    def frames(self, features: Tensor, lengths: Tensor) -> Tensor:
        """features (B, T, 39). Returns (B, ceil(T / ticks_per_frame), frame_dimension): here the MFCC,
        averaged over each frame's ticks."""
        return audio.pooled(features, lengths)[:, :: self.ticks_per_frame]


class SpanEncoder:
    """A trained span model with the front end before it, ready to serve.

    name, hash, description: from its card.
    """

    def __init__(
        self, model: SpanModel[ConfigT], name: str, hash: str, description: str, device: str
    ) -> None:
        self.model = model.to(device).eval()
        self.name = name
        self.hash = hash
        self.description = description
        self.device = device
        self.dimension = model.dimension
        self.frame_dimension = model.frame_dimension
        self.ticks_per_frame = model.ticks_per_frame

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
            features = [audio.mfcc(torch.from_numpy(w).to(self.device)) for w in waveforms]
            table = torch.from_numpy(spans.astype(np.int64)).to(self.device)
            _check_spans(table, features)
            tables.append(table + torch.tensor([len(regions), 0, 0], device=self.device))
            regions += audio.normalise(features)
        if not regions:
            return [(np.zeros((0, self.dimension), np.float32), []) for _ in sections]
        lengths = torch.tensor([len(region) for region in regions], device=self.device)
        padded = torch.nn.utils.rnn.pad_sequence(regions, batch_first=True)  # (B, T, 39)
        vectors = torch.nn.functional.normalize(self.model.embed(padded, lengths, torch.cat(tables)), dim=1)
        frames = self.model.frames(padded, lengths)
        return self._split(sections, vectors.cpu().numpy(), frames.cpu().numpy(), lengths.tolist())

    def _split(
        self,
        sections: Sequence[Section],
        vectors: NDArray[np.float32],
        frames: NDArray[np.float32],
        lengths: Sequence[int],
    ) -> list[EmbeddedSection]:
        result: list[EmbeddedSection] = []
        row = region = 0
        for waveforms, spans in sections:
            count = len(spans) if waveforms else 0
            each = [
                frames[index, : -(-lengths[index] // self.ticks_per_frame)]
                for index in range(region, region + len(waveforms))
            ]
            result.append((vectors[row : row + count], each))
            row += count
            region += len(waveforms)
        return result


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
