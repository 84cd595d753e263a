"""Sampling of a WaveNet with cached activations.

Each layer caches its inputs in a queue as long as its dilation, so that a sample costs one step of every
layer instead of a pass over its receptive field (Paine et al., Fast WaveNet generation algorithm, 2016, arXiv
1611.09482). The steps are compiled: each is some two hundred small operations, and calling them one by one
from Python takes many times as long as the arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

f32 = np.float32
UNROLLED = 8
MAX_TANH_ARGUMENT = 4.6  # half of where tanh is 1 in single precision


@dataclass(frozen=True)
class WaveNetWeights:
    """Weights of L layers of R channels and gates, S skip channels, C codes; float32 and contiguous.

    R and S are multiples of UNROLLED.

    Attributes:
        dilations: int64 (L,), samples.
        front: (2, C, R), embeddings of the code before the last and of the last.
        gates: (L, 2 R, 2 R), from the oldest and the newest input to the arguments of tanh and sigmoid.
        gate_bias: (L, 2 R).
        residual: (L, R, R).
        residual_bias: (L, R).
        skip: (L R, S).
        skip_bias: (S,).
        hidden: (S, S).
        hidden_bias: (S,).
        logits: (S, C).
        logits_bias: (C,).
    """

    dilations: Ints
    front: Floats
    gates: Floats
    gate_bias: Floats
    residual: Floats
    residual_bias: Floats
    skip: Floats
    skip_bias: Floats
    hidden: Floats
    hidden_bias: Floats
    logits: Floats
    logits_bias: Floats


@dataclass
class WaveNetQueues:
    """The cached activations of B sounds.

    Attributes:
        values: (sum of dilations, B, R), the last inputs of each layer, layer after layer.
        codes: int64 (2, B), the last two.
        steps: samples that were generated.
    """

    values: Floats
    codes: Ints
    steps: int = 0

    @classmethod
    def filled(cls, inputs: Floats, dilations: Ints, code: int, count: int) -> WaveNetQueues:
        """Returns the queues after a long time of one code. inputs: (L, R), of each layer then."""
        values = np.repeat(np.repeat(inputs, dilations, axis=0)[:, None], count, axis=1)
        return cls(np.ascontiguousarray(values), np.full((2, count), code, np.int64))


def advance(
    weights: WaveNetWeights,
    queues: WaveNetQueues,
    uniform: NDArray[np.float64],
    temperature: float,
    forced: Ints,
) -> tuple[Ints, Floats]:
    """Generates the next T samples of B sounds, and advances the queues.

    Args:
        weights: of the network.
        queues: changed in place.
        uniform: float64 (T, B), 0 to below 1, by which codes are sampled.
        temperature: above 0, divides the logits.
        forced: int64 (T, B), a code to take instead of sampling, or -1.

    Returns:
        The codes, int64 (T, B), and the logits of each, float32 (T, B, C).
    """
    codes = np.empty(uniform.shape, np.int64)
    logits = np.empty((*uniform.shape, len(weights.logits_bias)), np.float32)
    _advance(
        weights.front,
        *(weights.gates, weights.gate_bias, weights.residual, weights.residual_bias),
        *(weights.skip, weights.skip_bias, weights.hidden, weights.hidden_bias),
        *(weights.logits, weights.logits_bias, weights.dilations),
        *(queues.values, queues.codes, queues.steps),
        *(uniform, temperature, forced, codes, logits),
    )
    queues.steps += len(uniform)
    return codes, logits


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    options = {"nogil": True, "fastmath": {"reassoc", "contract", "nnan", "nsz"}}
    try:
        return numba.njit(cache=True, **options)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # no folder that the cache could be written to
        return numba.njit(**options)(function)  # type: ignore[no-any-return]


@_compiled
def _tanh(x: f32) -> f32:
    """Returns tanh within 2e-7, by Lambert's continued fraction at half the argument and
    tanh 2x = 2 tanh x / (1 + tanh² x): without call or branch, so that it is vectorised."""
    t = min(max(x * f32(0.5), f32(-MAX_TANH_ARGUMENT)), f32(MAX_TANH_ARGUMENT))
    y = t * t
    above = f32(2_027_025) + y * (f32(270_270) + y * (f32(6_930) + f32(36) * y))
    below = f32(2_027_025) + y * (f32(945_945) + y * (f32(51_975) + y * (f32(630) + y)))
    t *= above / below
    return f32(2) * t / (f32(1) + t * t)


@_compiled
def _set(out: Floats, values: Floats) -> None:
    for n in range(len(out)):
        out[n] = values[n]


@_compiled
def _rectify(out: Floats) -> None:
    for n in range(len(out)):
        out[n] = max(out[n], f32(0))


@_compiled
def _add(out: Floats, bias: Floats, x: Floats, matrix: Floats) -> None:
    """Adds bias (N,) + x (K,) @ matrix (K, N) to out (N,)."""
    for n in range(len(out)):
        out[n] += bias[n]
    for k in range(0, len(x), UNROLLED):
        a, b, c, d = x[k], x[k + 1], x[k + 2], x[k + 3]
        e, f, g, h = x[k + 4], x[k + 5], x[k + 6], x[k + 7]
        for n in range(len(out)):
            lower = a * matrix[k, n] + b * matrix[k + 1, n] + c * matrix[k + 2, n] + d * matrix[k + 3, n]
            upper = e * matrix[k + 4, n] + f * matrix[k + 5, n] + g * matrix[k + 6, n] + h * matrix[k + 7, n]
            out[n] += lower + upper


@_compiled
def _sample_code(logits: Floats, uniform: float, temperature: float) -> int:
    """Returns the code at which the cumulative probability passes `uniform`."""
    highest = logits[0]
    for n in range(len(logits)):
        highest = max(highest, logits[n])
    total = 0.0
    for n in range(len(logits)):
        total += math.exp((logits[n] - highest) / temperature)
    code, cumulative = 0, math.exp((logits[0] - highest) / temperature)
    while cumulative <= uniform * total and code < len(logits) - 1:
        code += 1
        cumulative += math.exp((logits[code] - highest) / temperature)
    return code


@_compiled
def _advance(
    front: Floats,
    gates: Floats,
    gate_bias: Floats,
    residual: Floats,
    residual_bias: Floats,
    skip: Floats,
    skip_bias: Floats,
    hidden: Floats,
    hidden_bias: Floats,
    logits: Floats,
    logits_bias: Floats,
    dilations: Ints,
    queues: Floats,
    last: Ints,
    steps: int,
    uniform: NDArray[np.float64],
    temperature: float,
    forced: Ints,
    codes: Ints,
    out_logits: Floats,
) -> None:
    layers, channels, count = len(dilations), front.shape[2], last.shape[1]
    inputs = np.empty((count, 2 * channels), f32)  # a layer's oldest and newest
    arguments = np.empty(2 * channels, f32)
    gated = np.empty((count, layers * channels), f32)
    summed, inner = np.empty(len(skip_bias), f32), np.empty(len(hidden_bias), f32)
    for t in range(len(uniform)):
        for b in range(count):
            for n in range(channels):
                inputs[b, channels + n] = front[0, last[0, b], n] + front[1, last[1, b], n]
        first = 0
        for layer in range(layers):
            queue = queues[first + (steps + t) % dilations[layer]]
            first += dilations[layer]
            for b in range(count):
                newest = inputs[b, channels:]
                _set(inputs[b, :channels], queue[b])
                _set(queue[b], newest)
                arguments[:] = 0
                _add(arguments, gate_bias[layer], inputs[b], gates[layer])
                out = gated[b, layer * channels : (layer + 1) * channels]
                for n in range(channels):
                    gate = f32(0.5) + f32(0.5) * _tanh(f32(0.5) * arguments[channels + n])
                    out[n] = _tanh(arguments[n]) * gate
                _add(newest, residual_bias[layer], out, residual[layer])
        for b in range(count):
            summed[:] = 0
            _add(summed, skip_bias, gated[b], skip)
            _rectify(summed)
            inner[:] = 0
            _add(inner, hidden_bias, summed, hidden)
            _rectify(inner)
            out_logits[t, b] = 0
            _add(out_logits[t, b], logits_bias, inner, logits)
            code = forced[t, b]
            if code < 0:
                code = _sample_code(out_logits[t, b], uniform[t, b], temperature)
            codes[t, b] = code
            last[0, b], last[1, b] = last[1, b], code
