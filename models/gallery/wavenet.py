"""`wavenet`: samples of a WaveNet of one voice, beside the voice and a Markov chain of samples."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from wordspot.models import registry
from wordspot.models.artifact import Metric
from wordspot.models.datasets.sounds import RATE, sounds
from wordspot.models.gallery import picture
from wordspot.models.gallery.panels import bare, figure
from wordspot.models.judges.sounds import markov_chain

MODEL = "voice-wavenet"
SECONDS = 2.0
RECORDING = 2
FROM_S = 1.0  # of the recording
ZOOM_SAMPLES = RATE // 20
WINDOW = 256
LOUDEST_DB, QUIETEST_DB = -30.0, -100.0


@picture("wavenet")
@torch.inference_mode()
def draw(home: Path) -> Figure:
    """Two seconds of held-out speech, of a WaveNet, of a Markov chain of order 1; 50 ms of each."""
    loaded, card = registry.load(MODEL, home)
    model: Any = loaded
    source, samples = str(card.data["source"]), round(SECONDS * RATE)
    start = round(FROM_S * RATE)
    real = sounds(source, "test", home).recording(RECORDING)[start : start + samples]
    model.warm_up()
    started = time.perf_counter()
    parts = list(model.generate(-(-samples // model.config.chunk), torch.Generator().manual_seed(4)))
    speed = model.config.chunk * len(parts) / RATE / (time.perf_counter() - started)
    table = markov_chain(source, home, model.config.codes)
    baseline = table.sample(1, samples, torch.Generator().manual_seed(4))[0]
    bits = next((metric for metric in card.metrics if metric.name == "bits"), Metric("bits", math.nan))
    canvas = figure(11, 4.6)
    grid = canvas.subplots(2, 3, height_ratios=(3, 2))
    for column, (sound, title) in enumerate(
        (
            (real, "real speech, held out"),
            (torch.cat(parts)[:samples], f"WaveNet{_bits(bits.value)}, {speed:.1f} x real time"),
            (baseline, f"by the last sample only{_bits(bits.baseline)}"),
        )
    ):
        spectrogram(grid[0, column], sound, title)
        zoomed(grid[1, column], sound)
    return canvas


def spectrogram(axes: Axes, sound: Tensor, title: str) -> None:
    """Draws the spectrogram of a sound (n,) at RATE."""
    axes.specgram(
        sound.numpy() + 1e-6,
        NFFT=WINDOW,
        Fs=RATE,
        noverlap=WINDOW * 3 // 4,
        cmap="magma",
        vmin=QUIETEST_DB,
        vmax=LOUDEST_DB,
    )
    axes.set_title(title, fontsize=9, loc="left")
    axes.tick_params(labelsize=7)
    axes.set_xlabel("seconds", fontsize=7)
    axes.set_ylabel("Hz", fontsize=7)


def zoomed(axes: Axes, sound: Tensor) -> None:
    """Draws the loudest stretch of ZOOM_SAMPLES of a sound (n,)."""
    stretches = sound.unfold(0, ZOOM_SAMPLES, ZOOM_SAMPLES // 2)
    shown = stretches[stretches.square().sum(dim=1).argmax()]
    axes.plot(shown.numpy(), linewidth=0.8, color="0.2")
    axes.set_ylim(-0.6, 0.6)
    bare(axes, f"{1000 * ZOOM_SAMPLES // RATE} ms where it is loudest")


def _bits(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f": {value:.2f} bits"
