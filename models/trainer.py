"""The one trainer: optimisers, budget, clipping, moving average, validation, checkpoint and resumption.

A step's batch and its randomness depend on the seed and the step number alone, so a resumed training
takes the same steps as one that was never interrupted.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    """Hyperparameters of one training.

    Attributes:
        steps: Updates after which training ends.
        minutes: Time after which it ends, over all resumptions; None has no such limit.
        learning_rate: Of AdamW (Loshchilov and Hutter 2019) at its highest.
        warm_up: Steps over which the learning rate rises; after them it falls as a cosine to a tenth.
        weight_decay: Of AdamW.
        clip_norm: Largest norm of a player's gradient.
        validate_every: Steps between two validations.
        seed: Of all randomness of the steps.
        ema_decay: Share of the exponential moving average of the weights that a step keeps, 0 for no average.
            At step t at most (1 + t) / (10 + t) is kept, so that the first weights soon lose theirs. The
            average is what is validated and what the model ends with.
        patience: Validations without a better one after which training stops; None goes on.
        betas: Of AdamW.
        rates: Factor of the learning rate by player (two time scales: Heusel et al. 2017), 1 for others.
    """

    steps: int
    minutes: float | None = None
    learning_rate: float = 1e-3
    warm_up: int = 200
    weight_decay: float = 1e-4
    clip_norm: float = 1.0
    validate_every: int = 250
    seed: int = 0
    ema_decay: float = 0.0
    patience: int | None = None
    betas: tuple[float, float] = (0.9, 0.98)
    rates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress:
    """The state of a training, as it is reported after each validation.

    Attributes:
        step: Steps taken.
        steps: Steps planned.
        minutes: Time spent, over all resumptions.
        loss: Mean of the players' losses since the last report.
        validation: The last value of `Model.quality`, lower is better.
        best: The best value so far.
        figures: Of the last loss.
    """

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
    validations_since_best: int = 0

    def is_best(self, validation: float) -> bool:
        """Takes note of a validation and returns whether it is the best so far."""
        self.validation = validation
        self.validations_since_best += 1
        if validation < self.best:
            self.best, self.best_step, self.validations_since_best = validation, self.step, 0
        return not self.validations_since_best


def fit(
    model: Model[Any],
    data: TrainingData,
    plan: Plan,
    folder: Path,
    *,
    device: str = "cpu",
    resume: bool = False,
    provenance: Mapping[str, Any] | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Progress:
    """Trains a model in place and leaves it with the weights that validated best.

    Args:
        model: The model.
        data: Its batches.
        plan: Hyperparameters and budget.
        folder: Takes the checkpoint, which the caller removes once the artifact is written.
        device: As torch names it.
        resume: Whether to go on from the checkpoint in `folder`.
        provenance: What beside model and plan decides the result, as JSON values: the recipe, the data with
            their hash, the size of a batch. A checkpoint resumes only what has the same.
        report: Called after each validation.

    Raises:
        BadInput: There is no checkpoint to resume from, or it is of another training; or a gradient is not
            finite.
    """
    model.to(device)
    optimisers = _optimisers(model, plan)
    state, best = _State(), _copy(model)
    identity = _identity(model, plan, provenance or {})
    average = copy.deepcopy(model) if plan.ema_decay else None
    if resume:
        state, best = _restore(folder, identity, model, average, optimisers)
    validation = [_moved(batch, device) for batch in data.validation()]
    started = time.monotonic() - 60.0 * state.minutes
    losses: list[float] = []
    figures: Mapping[str, float] = {}
    with ThreadPoolExecutor(1) as loader:
        batches = _batches(data, state.step, device, loader)
        while not _over(state, plan):
            batch = next(batches)
            rng = generator(device, plan.seed, state.step)
            model.train()
            for player in model.schedule(state.step):
                figures = _update(model, player, optimisers, batch, rng, plan, state.step)
                losses.append(figures["loss"])
            candidate = model if average is None else _averaged(average, model, plan, state.step)
            state.step += 1
            state.minutes = (time.monotonic() - started) / 60.0
            model.on_step_end(state.step, plan.steps, candidate)
            if state.step % plan.validate_every == 0 or _over(state, plan):
                if state.is_best(validate(candidate, validation, plan.seed, device)):
                    best = _copy(candidate)
                _save(folder, identity, state, model, average, best, optimisers)
                report(_progress(state, plan, losses, figures))
                losses.clear()
    _finish(model, best, validation)
    return _progress(state, plan, losses, figures)


def _batches(data: TrainingData, step: int, device: str, loader: ThreadPoolExecutor) -> Iterator[Any]:
    """Yields the batches from a step on, each of which is loaded while the one before is in use."""
    upcoming = loader.submit(data.batch, step)
    for following in itertools.count(step + 1):
        batch = _moved(upcoming.result(), device)
        upcoming = loader.submit(data.batch, following)
        yield batch


def _optimisers(model: Model[Any], plan: Plan) -> dict[str, torch.optim.AdamW]:
    return {
        name: torch.optim.AdamW(
            parameters, lr=plan.learning_rate, betas=plan.betas, weight_decay=plan.weight_decay
        )
        for name, parameters in model.players().items()
    }


def _finish(model: Model[Any], best: Mapping[str, Tensor], validation: Sequence[Any]) -> None:
    """Loads the best weights; what tells of the course of training stays as it is."""
    records = {name: tensor for name, tensor in _copy(model).items() if name in model.records}
    model.load_state_dict({**best, **records})
    model.eval()
    model.fit_statistics(validation)


def validate(model: Model[Any], batches: Sequence[Any], seed: int, device: str) -> float:
    """Returns the mean of the model's quality over the batches; lower is better."""
    model.eval()
    with torch.no_grad():
        qualities = [model.quality(batch, generator(device, seed, -1 - i)) for i, batch in enumerate(batches)]
    return float(torch.stack(qualities).mean())


def _over(state: _State, plan: Plan) -> bool:
    out_of_time = plan.minutes is not None and state.minutes >= plan.minutes
    out_of_patience = plan.patience is not None and state.validations_since_best > plan.patience
    return state.step >= plan.steps or out_of_time or out_of_patience


@torch.no_grad()
def _averaged(average: Model[Any], model: Model[Any], plan: Plan, step: int) -> Model[Any]:
    """Updates the exponential moving average of the weights (Polyak and Juditsky 1992) and returns it;
    integers, which are counted and not learned, are copied."""
    decay = min(plan.ema_decay, (1 + step) / (10 + step))
    for old, new in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new, 1 - decay)
        else:
            old.copy_(new)
    return average


def generator(device: str, seed: int, step: int) -> Generator:
    """Returns a generator that depends on the seed and the step alone."""
    digest = hashlib.sha256(f"{seed}/{step}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:7], "little"))


def _update(
    model: Model[Any],
    player: str,
    optimisers: Mapping[str, torch.optim.AdamW],
    batch: Any,
    rng: Generator,
    plan: Plan,
    step: int,
) -> Mapping[str, float]:
    """Takes one step of a player's optimiser. Raises BadInput if the gradient is not finite."""
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


def _identity(model: Model[Any], plan: Plan, provenance: Mapping[str, Any]) -> str:
    """Returns as JSON everything that makes it another training, and so another result: the network, which
    of its parameters train, the plan but for its minutes, which a resumption may extend, and the provenance.
    """
    hyperparameters = asdict(plan)
    del hyperparameters["minutes"]
    content = {
        "model": type(model).__qualname__,
        "config": asdict(model.config),
        "players": {name: [list(p.shape) for p in group] for name, group in model.players().items()},
        "plan": hyperparameters,
        "provenance": provenance,
    }
    return json.dumps(content, sort_keys=True)


def _save(
    folder: Path,
    identity: str,
    state: _State,
    model: Model[Any],
    average: Model[Any] | None,
    best: Mapping[str, Tensor],
    optimisers: Mapping[str, torch.optim.AdamW],
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"current/{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"best/{name}": tensor for name, tensor in best.items()}
    if average is not None:
        tensors |= {f"average/{name}": tensor for name, tensor in average.state_dict().items()}
    for player, optimiser in optimisers.items():
        for index, slots in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{player}/{index}/{slot}": value for slot, value in slots.items()}
    stored = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    metadata = {"identity": identity, "state": json.dumps(asdict(state))}
    write_whole(folder / CHECKPOINT, save(stored, metadata))


def _restore(
    folder: Path,
    identity: str,
    model: Model[Any],
    average: Model[Any] | None,
    optimisers: Mapping[str, torch.optim.AdamW],
) -> tuple[_State, dict[str, Tensor]]:
    path = folder / CHECKPOINT
    if not path.is_file():
        raise BadInput(f"{path}: no checkpoint to resume from")
    metadata = _metadata(path)
    if metadata.get("identity") != identity:
        raise BadInput(
            f"{path}: belongs to another model, plan or data; resume with the same, or train afresh"
        )
    tensors = load_file(path)
    for prefix, module in (("current/", model), ("average/", average)):
        if module is not None:
            module.load_state_dict(
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
    """Returns the string table in a safetensors header: 8 bytes of length, then JSON."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    table: dict[str, str] = header.get("__metadata__", {})
    return table
