"""Families of networks that run in onnxruntime: how regions get into the graph and frames out of it."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from wordspot.models.runtime import frontend, packing
from wordspot.models.runtime.pieces import QUERY_PADDING_TICKS, Piece, pieces_of
from wordspot.models.runtime.pooling import unit

Floats = NDArray[np.float32]
Inputs = Mapping[str, tuple[int | None, ...]]
"""Shapes of a graph's inputs by name; None for the axis of any length."""
GraphRunner = Callable[[Mapping[str, Floats]], Floats]
"""Runs a graph, from its inputs to its output; called from several threads."""
MapFunction = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""As the built-in `map`, perhaps with several threads."""


class Network(ABC):
    """The front end and the shapes around a graph. Safe to use from several threads.

    Attributes:
        ticks_per_frame: As SpanModel's.
        query_padding: As SpanModel's.
        inputs: Shapes of the graph's inputs, float32, by name; None for the axis of any length.
        output: Name of the graph's output, and its axis of any length.
    """

    ticks_per_frame: ClassVar[int] = packing.TICKS_PER_FRAME
    query_padding: ClassVar[int] = 0
    inputs: ClassVar[Inputs]
    output: ClassVar[tuple[str, int]]

    def __init__(self, run: GraphRunner, config: Mapping[str, Any]) -> None:
        """config: as the artifact's card has it."""
        self._run = run

    @abstractmethod
    def features(self, waveform: Floats) -> Floats:
        """Returns features (T, F), a row a tick, of a waveform (samples,) at 16 kHz."""

    @abstractmethod
    def normalise(self, regions: Sequence[Floats]) -> list[Floats]:
        """Returns features (T_i, F) of a section's regions as the graph takes them."""

    @abstractmethod
    def frames(self, regions: Sequence[Floats], parallel_map: MapFunction) -> list[Floats]:
        """Returns unit rows (ceil(T_i / ticks_per_frame), H) of regions' normalised features (T_i, F)."""


class ConvolutionalNetwork(Network):
    """The network of `wordspot.models.encoders.convolutional`.

    It gets one region at a time, so that a region's frames do not depend on the others, even where a layer's
    input is quantised by its largest value.
    """

    inputs: ClassVar[Inputs] = {"features": (None, frontend.MEL_BANDS)}
    output = ("frames", 0)

    def features(self, waveform: Floats) -> Floats:
        return frontend.log_mel(waveform)

    def normalise(self, regions: Sequence[Floats]) -> list[Floats]:
        return frontend.levelled(regions)

    def frames(self, regions: Sequence[Floats], parallel_map: MapFunction) -> list[Floats]:
        return list(parallel_map(self._region_frames, regions))

    def _region_frames(self, region: Floats) -> Floats:
        return self._run({"features": region})[: packing.frame_count(len(region))]


class TransformerNetwork(Network):
    """The network of `wordspot.models.encoders.transformer`, which gets one piece of a region at a time."""

    inputs: ClassVar[Inputs] = {"features": (1, frontend.WHISPER_MEL_BANDS, None)}
    query_padding = QUERY_PADDING_TICKS
    output = ("frames", 1)

    def __init__(self, run: GraphRunner, config: Mapping[str, Any]) -> None:
        super().__init__(run, config)
        self._size = int(config["frame_dimension"])

    def features(self, waveform: Floats) -> Floats:
        return frontend.whisper_log_mel(waveform)

    def normalise(self, regions: Sequence[Floats]) -> list[Floats]:
        return frontend.whisper_scaled(regions)

    def frames(self, regions: Sequence[Floats], parallel_map: MapFunction) -> list[Floats]:
        frames = [np.empty((packing.frame_count(len(region)), self._size), np.float32) for region in regions]

        def encode(piece: Piece) -> None:
            window = piece.cut(regions[piece.row])
            frames[piece.row][piece.frames] = unit(self._run({"features": window})[0])[piece.window_frames]

        pieces = (pieces_of(row, len(region)) for row, region in enumerate(regions))
        for _ in parallel_map(encode, itertools.chain.from_iterable(pieces)):
            pass
        return frames


FAMILIES: Mapping[str, type[Network]] = {
    "convolutional": ConvolutionalNetwork,
    "transformer": TransformerNetwork,
}
