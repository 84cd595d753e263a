"""How likely each tick of a recording is speech: Silero's network, the level alone, or no question at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from wordspot.indexer.errors import FailedPrecondition
from wordspot.indexer.records import SAMPLES_PER_TICK, Samples
from wordspot.indexer.sound import silero
from wordspot.indexer.sound.padding import padded
from wordspot.indexer.sound.spectra import SILENCE_DB, levels

NOISE_TICKS = 3_000  # over which the level of the noise is estimated

Listener = Callable[[Samples], NDArray[np.float32]]


class Detector(Protocol):
    """Says how likely each tick is speech. Safe to call from several threads."""

    def listen(self) -> Listener:
        """Returns a function that takes one recording's audio in order and returns a probability for each
        whole tick.

        It is called with pieces of whole ticks and whole Silero frames, of which the last may be shorter.
        """
        ...


class SileroDetector:
    """Silero VAD (Silero Team, 2024) with the weights of its release 6.2.3, which lie beside this module.

    It takes many frames a call: 512 samples, each after the 64 before it, and an LSTM state carried from call
    to call. Its probabilities equal those of the frame-by-frame model. It starts as if half a second of
    silence had gone before: from its zero state it hears a tightly cut word too late.
    """

    FRAME, CONTEXT, STATE, QUIET_FRAMES = silero.FRAME, silero.CONTEXT, silero.STATE, 15
    MODEL = "silero_vad_16k_sequence.onnx"

    def __init__(self) -> None:
        """Raises FailedPrecondition where the weights are missing from the installation."""
        path = Path(__file__).with_name(self.MODEL)
        if not path.exists():
            raise FailedPrecondition(f"{path} is missing: install wordspot again")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            silero.graph(silero.read_weights(path.read_bytes())), options, providers=["CPUExecutionProvider"]
        )
        zero = np.zeros((1, 1, self.STATE), np.float32)
        silence = np.zeros((self.QUIET_FRAMES, self.CONTEXT + self.FRAME), np.float32)
        _, self._hidden, self._cell = self._run(silence, zero, zero)

    def _run(
        self, frames: NDArray[np.float32], hidden: NDArray[np.float32], cell: NDArray[np.float32]
    ) -> list[NDArray[np.float32]]:
        """Returns probabilities (n,) of frames (n, CONTEXT + FRAME), and the next hidden and cell (1, 1,
        STATE)."""
        feed = {"input": frames, "h": hidden, "c": cell}
        outputs: list[NDArray[np.float32]] = self._session.run(["speech_probs", "hn", "cn"], feed)
        return outputs

    def listen(self) -> Listener:
        """Returns a listener whose recurrent state starts anew."""
        context = np.zeros(self.CONTEXT, np.float32)
        hidden, cell = self._hidden, self._cell

        def hear(samples: Samples) -> NDArray[np.float32]:
            nonlocal context, hidden, cell
            frames = padded(samples, 0, -len(samples) % self.FRAME).reshape(-1, self.FRAME)
            before = np.concatenate([context[np.newaxis], frames[:-1, -self.CONTEXT :]])
            context = frames[-1, -self.CONTEXT :]
            heard, hidden, cell = self._run(np.concatenate([before, frames], axis=1), hidden, cell)
            middles = np.arange(len(samples) // SAMPLES_PER_TICK) * SAMPLES_PER_TICK + SAMPLES_PER_TICK // 2
            return heard[middles // self.FRAME]

        return hear


class EnergyDetector:
    """Speech rises `margin_db` above the noise: the level that a tenth of the last 30 s stays below."""

    def __init__(self, margin_db: float = 12.0) -> None:
        self._margin_db = margin_db

    def listen(self) -> Listener:
        """Returns a listener that has heard no noise yet."""
        recent = np.zeros(0)

        def hear(samples: Samples) -> NDArray[np.float32]:
            nonlocal recent
            level = levels(samples)
            recent = np.concatenate([recent, level])[-NOISE_TICKS:]
            if not len(recent):
                return np.zeros(0, np.float32)
            noise = max(float(np.percentile(recent, 10)), SILENCE_DB - self._margin_db)
            above = level - noise - self._margin_db
            return (1 / (1 + np.exp(-above / 3))).astype(np.float32)

        return hear


class NoDetector:
    """Everything is speech: for audio that has already been cut."""

    def listen(self) -> Listener:
        """Returns a listener to which everything is speech."""
        return lambda samples: np.ones(len(samples) // SAMPLES_PER_TICK, np.float32)
