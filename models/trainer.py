"""The one trainer: budget, turns, clipping, validation, checkpoint and resume.

A step's batch and its randomness depend on the seed and the step number alone, so a resumed training
goes the same way as one that was never cut off.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Generator, Tensor

from wordspot.models.artifact import write_whole
from wordspot.models.errors import BadInput
from wordspot.models.model import Model, TrainingData

CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True)
class Plan:
    """steps and minutes: whichever ends first. minutes count over all resumptions.

    The learning rate rises over `warm_up` steps and falls as a cosine to a tenth at the end.
    average: how much of the mean of past weights a step keeps, 0 for no mean. It is the mean that is
    validated and kept. At step t at most (1 + t) / (10 + t) is kept, so that the first are soon forgotten.
    patience: stop after so many validations without a better one; None goes on. betas: of Adam. rates: what
    the learning rate is multiplied by for a player (two time scales: Heusel et al. 2017), 1 for others.
    """

    steps: int
    minutes: float | None = None
    learning_rate: float = 1e-3
    warm_up: int = 200
    weight_decay: float = 1e-4
    clip_norm: float = 1.0
    validate_every: int = 250
    seed: int = 0
    average: float = 0.0
    patience: int | None = None
    betas: tuple[float, float] = (0.9, 0.98)
    rates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress:
    """loss: mean since the last report; validation: the last value, lower is better."""

    step: int
    steps: int
    minutes: float
    loss: float
    validation: float
    best: float
    figures: Mapping[str, float]


@dataclass
class _State:
    step: int = 0
    minutes: float = 0.0
    validation: float = math.inf
    best: float = math.inf
    best_step: int = 0
    worse: int = 0  # validations since the best


def fit(
    model: Model[Any],
    data: TrainingData,
    plan: Plan,
    folder: Path,
    *,
    device: str = "cpu",
    resume: bool = False,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Progress:
    """Trains in place and leaves the model with the weights that validated best.

    folder: takes the checkpoint, which is removed by the caller once the artifact is written.
    Raises BadInput if there is no checkpoint to resume from, or it belongs to another plan or model.
    """
    model.to(device)
    optimisers = {
        name: torch.optim.AdamW(
            parameters, lr=plan.learning_rate, betas=plan.betas, weight_decay=plan.weight_decay
        )
        for name, parameters in model.players().items()
    }
    state, best = _State(), _copy(model)
    identity = _identity(model, plan)
    mean = copy.deepcopy(model) if plan.average else None
    if resume:
        state, best = _restore(folder, identity, model, mean, optimisers)
    validation = [_moved(batch, device) for batch in data.validation()]
    started = time.monotonic() - 60.0 * state.minutes
    losses: list[float] = []
    figures: Mapping[str, float] = {}
    with ThreadPoolExecutor(1) as loader:
        upcoming = loader.submit(data.batch, state.step)
        while not _over(state, plan):
            batch = _moved(upcoming.result(), device)
            upcoming = loader.submit(data.batch, state.step + 1)
            rng = generator(device, plan.seed, state.step)
            model.train()
            for player in model.schedule(state.step):
                figures = _move(model, player, optimisers, batch, rng, plan, state.step)
                losses.append(figures["loss"])
            if mean is not None:
                _follow(mean, model, min(plan.average, (1 + state.step) / (10 + state.step)))
            state.step += 1
            state.minutes = (time.monotonic() - started) / 60.0
            judged = model if mean is None else mean
            model.watch(state.step, plan.steps, judged)
            if state.step % plan.validate_every == 0 or _over(state, plan):
                state.validation = validate(judged, validation, plan.seed, device)
                state.worse += 1
                if state.validation < state.best:
                    state.best, state.best_step, best = state.validation, state.step, _copy(judged)
                    state.worse = 0
                _save(folder, identity, state, model, mean, best, optimisers)
                report(_progress(state, plan, losses, figures))
                losses.clear()
    model.load_state_dict(best | {name: now for name, now in _copy(model).items() if name in model.records})
    model.eval()
    model.settle(validation)
    return _progress(state, plan, losses, figures)


def validate(model: Model[Any], batches: Sequence[Any], seed: int, device: str) -> float:
    """Mean of the model's quality over the batches; lower is better."""
    model.eval()
    with torch.no_grad():
        found = [model.quality(batch, generator(device, seed, -1 - i)) for i, batch in enumerate(batches)]
    return float(torch.stack(found).mean())


def _over(state: _State, plan: Plan) -> bool:
    spent = plan.minutes is not None and state.minutes >= plan.minutes
    stuck = plan.patience is not None and state.worse > plan.patience
    return state.step >= plan.steps or spent or stuck


@torch.no_grad()
def _follow(mean: Model[Any], model: Model[Any], kept: float) -> None:
    """Moves the mean towards the model; what is counted, not learned, is taken over."""
    for old, new in zip(mean.state_dict().values(), model.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new, 1 - kept)
        else:
            old.copy_(new)


def generator(device: str, seed: int, step: int) -> Generator:
    """A stream of random numbers of its own for every step."""
    digest = hashlib.sha256(f"{seed}/{step}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:7], "little"))


def _move(
    model: Model[Any],
    player: str,
    optimisers: Mapping[str, torch.optim.AdamW],
    batch: Any,
    rng: Generator,
    plan: Plan,
    step: int,
) -> Mapping[str, float]:
    players = model.players()
    for name, parameters in players.items():
        for parameter in parameters:
            parameter.requires_grad_(name == player)
    optimiser = optimisers[player]
    for group in optimiser.param_groups:
        group["lr"] = plan.learning_rate * plan.rates.get(player, 1.0) * _rate(step, plan)
    loss = model.loss(player, batch, rng)
    optimiser.zero_grad(set_to_none=True)
    loss.value.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(players[player], plan.clip_norm)
    if not math.isfinite(float(norm)):
        raise BadInput(f"step {step}: the gradient of {player!r} is not finite; lower the learning rate")
    optimiser.step()
    for parameters in players.values():
        for parameter in parameters:
            parameter.requires_grad_(True)
    return {"loss": float(loss.value.detach()), **loss.figures}


def _rate(step: int, plan: Plan) -> float:
    rise = min(1.0, (step + 1) / max(1, plan.warm_up))
    fall = 0.55 + 0.45 * math.cos(math.pi * min(1.0, step / plan.steps))
    return rise * fall


def _progress(state: _State, plan: Plan, losses: list[float], figures: Mapping[str, float]) -> Progress:
    mean = sum(losses) / len(losses) if losses else math.nan
    return Progress(state.step, plan.steps, state.minutes, mean, state.validation, state.best, dict(figures))


def _copy(model: Model[Any]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _moved(batch: Any, device: str) -> Any:
    return batch.to(device) if hasattr(batch, "to") else batch


def _identity(model: Model[Any], plan: Plan) -> str:
    content = [
        *(type(model).__name__, asdict(model.config)),
        *(plan.seed, plan.learning_rate, plan.steps, plan.average, *sorted(plan.rates.items())),
    ]
    return json.dumps(content, sort_keys=True)


def _save(
    folder: Path,
    identity: str,
    state: _State,
    model: Model[Any],
    mean: Model[Any] | None,
    best: Mapping[str, Tensor],
    optimisers: Mapping[str, torch.optim.AdamW],
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"now/{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"best/{name}": tensor for name, tensor in best.items()}
    if mean is not None:
        tensors |= {f"mean/{name}": tensor for name, tensor in mean.state_dict().items()}
    for player, optimiser in optimisers.items():
        for index, slots in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{player}/{index}/{slot}": value for slot, value in slots.items()}
    kept = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    metadata = {"identity": identity, "state": json.dumps(asdict(state))}
    write_whole(folder / CHECKPOINT, save(kept, metadata))


def _restore(
    folder: Path,
    identity: str,
    model: Model[Any],
    mean: Model[Any] | None,
    optimisers: Mapping[str, torch.optim.AdamW],
) -> tuple[_State, dict[str, Tensor]]:
    path = folder / CHECKPOINT
    if not path.is_file():
        raise BadInput(f"{path}: no checkpoint to resume from")
    metadata = _metadata(path)
    if metadata.get("identity") != identity:
        raise BadInput(f"{path}: belongs to another model or plan; train with the same settings, or afresh")
    tensors = load_file(path)
    for prefix, one in (("now/", model), ("mean/", mean)):
        if one is not None:
            one.load_state_dict(
                {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
            )
    for player, optimiser in optimisers.items():
        content = optimiser.state_dict()
        prefix = f"optimiser/{player}/"
        slots: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            if key.startswith(prefix):
                index, slot = key.removeprefix(prefix).split("/")
                slots.setdefault(int(index), {})[slot] = tensor
        optimiser.load_state_dict({**content, "state": slots})
    device = next(iter(model.state_dict().values())).device
    best = {k.removeprefix("best/"): t.to(device) for k, t in tensors.items() if k.startswith("best/")}
    return _State(**json.loads(metadata["state"])), best


def _metadata(path: Path) -> dict[str, str]:
    """The string table in a safetensors header: 8 bytes of length, then JSON."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    table: dict[str, str] = header.get("__metadata__", {})
    return table
