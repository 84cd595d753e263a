"""The networks from which training of `wordspot` and `phonetic` starts: pruned, and fitted to the targets.

Of a block's hidden units those stay that do most on real speech, by root mean square activation times the
norm of the weights that they feed; activations rank units as in Molchanov et al., "Pruning Convolutional
Neural Networks for Resource Efficient Inference", ICLR 2017. The map's last layers are set by least squares.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import gelu

from wordspot.models import audio, registry
from wordspot.models.datasets.spectra import Spectra
from wordspot.models.encoders import whisper_weights
from wordspot.models.encoders.frame_map import MappedSpanModel
from wordspot.models.encoders.transformer import Transformer, TransformerBlock, TransformerConfig
from wordspot.models.encoders.utterances import Corpus
from wordspot.models.errors import BadInput
from wordspot.models.runtime.pieces import EDGE_TICKS
from wordspot.models.training.distillation import ENGLISH_TEACHER, TEACHERS, DistillationMaterial

START_WEIGHTS = "tiny.en"
PRUNING_CLIPS = 48
MAX_PRUNING_TICKS = 1_000
FITTED_SECONDS = 90  # of each corpus, to start with
MAX_FITTED_TICKS = 600
FAST_BLOCKS, FAST_FEED_FORWARD = 2, 768


def from_whisper(home: Path, material: DistillationMaterial) -> Transformer:
    """Returns Whisper's encoder, pruned, under the map of ENGLISH_TEACHER, fitted to the targets.

    home: state folder (WORDSPOT_HOME). Raises MissingWeights, UnknownModel, DamagedArtifact.
    """
    model = pruned_whisper(home, material.corpora[0])
    fit_output(model, material.corpora)
    # The projection is of the English teacher's frames, of which a target holds a share.
    first = (
        math.sqrt(len(TEACHERS)) * material.axes[: model.frame_dimension]
    )  # (its frame_dimension, targets)
    parts = model.projection.weight.view(-1, model.parts, model.frame_dimension)
    with torch.no_grad():
        model.projection.weight.copy_((parts @ first).flatten(1))
    return model


def from_wordspot(home: Path, material: DistillationMaterial) -> Transformer:
    """Returns the first blocks of `wordspot`, pruned, under a map that is fitted to the targets.

    home: state folder (WORDSPOT_HOME). Raises UnknownModel, DamagedArtifact.
    """
    whole, _ = registry.load("wordspot", home)
    assert isinstance(whole, Transformer)
    model = Transformer(TransformerConfig(layers=FAST_BLOCKS, feed_forward=FAST_FEED_FORWARD))
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    equal = {name: tensor for name, tensor in whole.state_dict().items() if shapes.get(name) == tensor.shape}
    model.load_state_dict(equal, strict=False)
    ranking = units_by_activation(whole, material.corpora[0].spectra)
    with torch.no_grad():
        for block, wide, units in zip(model.blocks, whole.blocks, ranking, strict=False):
            copy_units(cast("TransformerBlock", block), cast("TransformerBlock", wide), units)
    model.map.measure(torch.cat(states_and_targets(model, material.corpora)[0]))
    fit_output(model, material.corpora)
    return model


def pruned_whisper(home: Path, corpus: Corpus) -> Transformer:
    """Returns Whisper's encoder under the map of ENGLISH_TEACHER, of each block the hidden units that do most
    in clips of the corpus.

    Raises MissingWeights, UnknownModel, DamagedArtifact, BadInput.
    """
    tensors = {
        name: torch.from_numpy(values) for name, values in whisper_weights.encoder(START_WEIGHTS).items()
    }
    mapped, card = registry.load(ENGLISH_TEACHER, home)
    if not isinstance(mapped, MappedSpanModel):
        raise BadInput(f"{ENGLISH_TEACHER!r} is a {card.model}; a map of Whisper's frames is needed")
    config = TransformerConfig()
    whole = Transformer(TransformerConfig(feed_forward=len(tensors["layer_0/ffn/linear_0/weight"])))
    model = Transformer(config)
    for network in (whole, model):
        network.map.load_state_dict(mapped.map.state_dict())
        network.projection.load_state_dict(mapped.projection.state_dict())
    whole.start_from(tensors)
    for number, units in enumerate(units_by_activation(whole.eval(), corpus.spectra)):
        feed_forward = f"layer_{number}/ffn"
        for name, axis in (("linear_0/weight", 0), ("linear_0/bias", 0), ("linear_1/weight", 1)):
            tensors[f"{feed_forward}/{name}"] = tensors[f"{feed_forward}/{name}"].index_select(axis, units)
    model.start_from(tensors)
    return model


@torch.no_grad()
def copy_units(block: TransformerBlock, wide: TransformerBlock, units: Tensor) -> None:
    """Copies hidden units of a wider block, the first of `units` (int64, in order of importance) that fit."""
    fitting = units[: len(block.expand.weight)]
    block.expand.weight.copy_(wide.expand.weight[fitting])
    block.expand.bias.copy_(wide.expand.bias[fitting])
    block.contract.weight.copy_(wide.contract.weight[:, fitting])


@torch.inference_mode()
def units_by_activation(model: Transformer, speech: Spectra) -> list[Tensor]:
    """Returns for each block its hidden units (int64) in falling order of importance: the root mean square of
    the activation on PRUNING_CLIPS clips times the norm of the weights that it feeds."""
    energy = [torch.zeros(model.config.feed_forward) for _ in model.blocks]
    hooks = []
    for number, block in enumerate(model.blocks):

        def add(layer: Any, inputs: Any, out: Tensor, number: int = number) -> None:
            energy[number] += gelu(out).square().sum(dim=(0, 1))

        hooks.append(block.expand.register_forward_hook(add))  # type: ignore[union-attr]
    for clip in np.linspace(0, len(speech.names) - 1, PRUNING_CLIPS).astype(int):
        rows = speech.spectra[speech.bounds[clip] : speech.bounds[clip + 1]][:MAX_PRUNING_TICKS]
        (region,) = model.normalise([torch.from_numpy(rows.astype(np.float32)) / 10])
        model.frames(region[None], torch.tensor([len(region)]))
    for hook in hooks:
        hook.remove()
    return [
        (squares.sqrt() * block.contract.weight.norm(dim=0)).argsort(descending=True)  # type: ignore[union-attr, operator]
        for squares, block in zip(energy, model.blocks, strict=True)
    ]


def fit_output(model: Transformer, corpora: Sequence[Corpus]) -> None:
    """Sets the last layers of the map by least squares, so that training begins near the targets."""
    states, targets = states_and_targets(model, corpora)
    model.map.fit_output([model.map.whiten(rows) for rows in states], targets)


@torch.inference_mode()
def states_and_targets(model: Transformer, corpora: Sequence[Corpus]) -> tuple[list[Tensor], list[Tensor]]:
    """Returns the last block's states (T_i, states) and the targets (T_i, H) of clips, FITTED_SECONDS of each
    corpus."""
    states: list[Tensor] = []
    targets: list[Tensor] = []
    for corpus in corpora:
        speech, remaining_ticks = corpus.spectra, FITTED_SECONDS * audio.TICKS_PER_SECOND
        assert speech.targets is not None
        for clip in np.random.default_rng(0).permutation(len(speech.names)):
            first = int(speech.bounds[clip])
            ticks = min(int(speech.bounds[clip + 1]) - first, MAX_FITTED_TICKS) // 2 * 2
            rows = torch.from_numpy(speech.spectra[first : first + ticks].astype(np.float32)) / 10
            (region,) = model.normalise([rows])
            silence = region.amin().expand(EDGE_TICKS, region.shape[1])
            window = torch.cat([silence, region, silence]).T[None]
            states.append(model.states(window)[0, EDGE_TICKS // 2 : (EDGE_TICKS + ticks) // 2])
            clip_targets = speech.targets[first // 2 : (first + ticks) // 2]
            targets.append(torch.from_numpy(clip_targets.astype(np.float32)))
            remaining_ticks -= ticks
            if remaining_ticks <= 0:
                break
    return states, targets
