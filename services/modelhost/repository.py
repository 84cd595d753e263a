"""The model repository: models by name, loaded at their first call, each with its own queue and thread."""

from __future__ import annotations

import ctypes
import gc
import itertools
import threading
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from wordspot.indexer.errors import FailedPrecondition
from wordspot.models.artifact import ArtifactCard, EmbeddingFormat
from wordspot.models.errors import BadInput, ModelError, UnknownModel
from wordspot.services.devices import resolved_device
from wordspot.services.errors import MalformedRequest
from wordspot.services.limits import AUTO, MAX_TEMPERATURE, MIN_TEMPERATURE
from wordspot.services.modelhost.batcher import Batcher, QueueLimits, ShutDown, wait_for
from wordspot.services.modelhost.capabilities import CAPABILITIES, embeds, signatures
from wordspot.services.modelhost.capability import example_limits
from wordspot.services.modelhost.statistics import Statistics
from wordspot.services.modelhost.tasks import Task
from wordspot.services.modelhost.tensors import ANY
from wordspot.services.modelhost.torch_model import TorchModel
from wordspot.services.pricing import ByteBudget
from wordspot.services.runtime import time_remaining
from wordspot.services.settings import ModelHostSettings, Placement


class ModelStore(Protocol):
    """Where artifacts lie."""

    def cards(self) -> dict[str, ArtifactCard]:
        """Returns the cards of the models offered now, by name, without those that cannot be read."""
        ...

    def card(self, name: str) -> ArtifactCard:
        """Returns the card of a model offered now. Raises UnknownModel, DamagedArtifact."""
        ...

    def load(self, name: str, placement: Placement) -> tuple[Any, ArtifactCard]:
        """Returns an `Encoder` if the model embeds speech, else a TorchModel; and its card.

        Raises UnknownModel, DamagedArtifact, FailedPrecondition.
        """
        ...

    def best_encoder(self) -> str:
        """Returns the name of the encoder that `auto` stands for."""
        ...


class HostedModel:
    """A loaded model and its queue, after warm-up.

    name: of the model.
    model: an `Encoder` or a TorchModel, as the store loads it.
    card: of the artifact; of an encoder with its embedding.
    """

    def __init__(
        self,
        name: str,
        model: Any,
        card: ArtifactCard,
        settings: ModelHostSettings,
        statistics: Statistics,
    ) -> None:
        if embeds(card) and card.embedding is None:
            card = replace(card, embedding=EmbeddingFormat.of(model))
        self.name, self.card, self.model = name, card, model
        limits = _limits(card, settings)
        self._warm_up(limits.max_count)
        observer = statistics.observer(name, _capability, _size)
        self._batcher = Batcher(f"model {name!r}", self._run, _weight, limits, observer=observer)

    def _warm_up(self, largest: int) -> None:
        """Runs a batch of each size, so that no caller waits for memory and kernels."""
        if hasattr(self.model, "warm_up"):
            self.model.warm_up()
        for name, signature in signatures(self.card).items():
            examples = signature.inputs[0]
            shape = examples.shape[1:]
            if not signature.capability.batched or examples.datatype != "FP32" or ANY in shape:
                continue
            for power in range((largest - 1).bit_length() + 1):
                self._run([Task(name, np.zeros((min(2**power, largest), *shape), np.float32))])

    def call(self, task: Task) -> Any:
        """Returns the answer, and waits no longer than the caller of this service does.

        Raises Overloaded, DeadlinePassed and what the model raises.
        """
        return wait_for(self.submit(task))

    def submit(self, task: Task) -> Future[Any]:
        """Puts a task into the queue and returns its answer to come. Raises Overloaded."""
        return self._batcher.submit(task, time_remaining())

    def close(self) -> None:
        """Drops what waits and ends the thread."""
        self._batcher.close()

    def finish(self) -> None:
        """Takes no more tasks and returns when all that wait are answered."""
        self._batcher.finish()

    def _run(self, tasks: Sequence[Task]) -> list[Any]:
        answers: list[Any] = []
        for capability, group in itertools.groupby(tasks, key=_capability):
            answers += CAPABILITIES[capability].call(self.model, list(group))
        return answers


class ModelRepository:
    """Every model that a store offers, encoders of speech like all others.

    Attributes:
        statistics: of calls.
        budget: of what calls under way hold together.
    """

    def __init__(self, store: ModelStore, settings: ModelHostSettings) -> None:
        self.statistics = Statistics()
        self.budget = ByteBudget()
        self._store, self._settings = store, settings
        self._hosted: dict[str, HostedModel] = {}
        self._lock = threading.Lock()  # of the two tables; never held while a model is loaded
        self._loading: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def cards(self) -> dict[str, ArtifactCard]:
        """Returns the cards of all models, by name."""
        return self._store.cards()

    def card(self, name: str) -> ArtifactCard:
        """Returns the card of the model that is loaded, or would be. Raises UnknownModel, DamagedArtifact."""
        with self._lock:
            hosted = self._hosted.get(name)
        return self._store.card(name) if hosted is None else hosted.card

    def loaded(self, name: str) -> bool:
        """Returns whether the model is loaded."""
        with self._lock:
            return name in self._hosted

    def able(self, name: str, capability: str) -> ArtifactCard:
        """Returns the card of a model that has the capability.

        Raises UnknownModel, DamagedArtifact, and BadInput where the model does not have it.
        """
        card = self.card(name)
        if capability not in signatures(card):
            raise BadInput(f"model {name!r} cannot {capability}; it can {', '.join(signatures(card))}")
        return card

    def get(self, name: str) -> HostedModel:
        """Returns the model, loaded if need be. Raises UnknownModel, DamagedArtifact, FailedPrecondition."""
        with self._lock:
            hosted = self._hosted.get(name)
        if hosted is None:
            self._store.card(name)
            with self._lock_of(name):
                with self._lock:
                    hosted = self._hosted.get(name)
                hosted = hosted or self._put(name)
        return hosted

    def encoder(self, name: str) -> HostedModel:
        """Returns a model that embeds speech, loaded. name: `auto` for the best that runs here.

        It keeps to its version: work is turned away once another has taken its place.

        Raises UnknownModel, DamagedArtifact, FailedPrecondition.
        """
        name = self._store.best_encoder() if name == AUTO else name
        try:
            is_encoder = embeds(self.card(name))
        except UnknownModel:
            is_encoder = False
        if not is_encoder:
            encoders = sorted(name for name, card in self.cards().items() if embeds(card))
            raise UnknownModel(f"no encoder {name!r}; there are {', '.join(encoders) or 'none'}")
        return self.get(name)

    def encoder_cards(self) -> dict[str, ArtifactCard]:
        """Returns the cards of models that embed speech, each with its embedding.

        One whose card does not describe it is loaded, and left out where it cannot be.
        """
        cards = {name: card for name, card in self.cards().items() if embeds(card)}
        for name in [name for name, card in cards.items() if card.embedding is None]:
            try:
                cards[name] = self.get(name).card
            except (ModelError, FailedPrecondition):
                del cards[name]
        return cards

    def submit(self, name: str, task: Task) -> Future[Any]:
        """Puts a task into the model's queue and returns its answer to come.

        Raises what `able` and `get` raise, MalformedRequest, Overloaded.
        """
        while True:
            check_options(name, self.able(name, task.capability), task)
            with suppress(ShutDown):
                return self.get(name).submit(task)

    def call(self, name: str, task: Task) -> Any:
        """Returns the answer of the model that has the name now.

        Raises what `able` and `get` raise, MalformedRequest, Overloaded, DeadlinePassed.
        """
        while True:
            check_options(name, self.able(name, task.capability), task)
            with suppress(ShutDown):
                return self.get(name).call(task)

    def load(self, name: str) -> None:
        """Loads a model, in place of a loaded one whose artifact has changed.

        What waits is answered by the old one.

        Raises UnknownModel, DamagedArtifact, FailedPrecondition.
        """
        card = self._store.card(name)
        with self._lock_of(name):
            with self._lock:
                old = self._hosted.get(name)
            if old is not None and old.card.hash == card.hash:
                return
            self._put(name)
        if old is not None:
            old.finish()

    def unload(self, name: str) -> None:
        """Unloads a model; returns when what waits is answered and the memory is free.

        Raises UnknownModel, DamagedArtifact.
        """
        self.card(name)
        with self._lock:
            old = self._hosted.pop(name, None)
        if old is not None:
            old.finish()
            del old
            _release_memory()

    def close(self) -> None:
        """Closes all models; drops what waits."""
        with self._lock:
            hosted = list(self._hosted.values())
            self._hosted.clear()
        for model in hosted:
            model.close()

    def _lock_of(self, name: str) -> threading.Lock:
        """Returns the lock that is held while the model is loaded."""
        with self._lock:
            return self._loading[name]

    def _put(self, name: str) -> HostedModel:
        model, card = self._store.load(name, self._settings.placement(name))
        hosted = HostedModel(name, model, card, self._settings, self.statistics)
        with self._lock:
            self._hosted[name] = hosted
        return hosted


class ArtifactStore:
    """The models that ship and those below home/models; torch is imported for one that needs it."""

    def __init__(self, settings: ModelHostSettings) -> None:
        self._settings = settings

    def cards(self) -> dict[str, ArtifactCard]:
        """Returns the cards of what ships and of what lies below home/models."""
        from wordspot.models import registry

        return registry.available(self._settings.home)

    def card(self, name: str) -> ArtifactCard:
        """Returns the card of a model. Raises UnknownModel, DamagedArtifact."""
        from wordspot.models import registry

        return registry.card(name, self._settings.home)

    def load(self, name: str, placement: Placement) -> tuple[Any, ArtifactCard]:
        """Returns the loaded model and its card."""
        placement = replace(placement, device=resolved_device(placement.device))
        if embeds(self.card(name)):
            return self._load_encoder(name, placement)
        return self._load_in_torch(name, placement)

    def best_encoder(self) -> str:
        """Returns the encoder that `auto` stands for on this machine."""
        from wordspot.models.encoders.choice import best_encoder

        return best_encoder().name

    def _load_encoder(self, name: str, placement: Placement) -> tuple[Any, ArtifactCard]:
        from wordspot.models.encoders import load_encoder
        from wordspot.models.encoders.choice import ensure_runnable

        ensure_runnable(self.card(name))
        if placement.precision != Placement.precision:
            # Vectors of one hash are compared with one another, wherever they were made.
            raise FailedPrecondition(
                f"encoder {name!r} must be placed with precision {Placement.precision}, as all models that "
                f"embed speech, got {placement.precision!r}"
            )
        options = self._settings
        while True:
            card = self.card(name)
            encoder = load_encoder(
                name, options.home, placement.device, threads=options.torch_threads, cores=options.cores
            )
            if encoder.hash == card.hash:  # else another took its place between the two
                return encoder, card

    def _load_in_torch(self, name: str, placement: Placement) -> tuple[TorchModel, ArtifactCard]:
        import torch

        from wordspot.models import registry

        torch.set_num_threads(self._settings.torch_threads)
        module, card = registry.load(name, self._settings.home)
        return TorchModel(module, placement), card


def load_models(settings: ModelHostSettings) -> ModelRepository:
    """Returns a repository of the models that ship and those below home/models."""
    return ModelRepository(ArtifactStore(settings), settings)


def check_options(name: str, card: ArtifactCard, task: Task) -> None:
    """Raises MalformedRequest."""
    allowed = signatures(card)[task.capability].options
    for option in task.options:
        if option not in allowed:
            raise MalformedRequest(
                f"options of model {name!r} for {task.capability} must be "
                f"{' and '.join(allowed) or 'left out'}, got {option}",
                option,
            )
    temperature = task.temperature
    if temperature is not None and not MIN_TEMPERATURE <= temperature <= MAX_TEMPERATURE:
        raise MalformedRequest(
            f"temperature must be between {MIN_TEMPERATURE:g} and {MAX_TEMPERATURE:,g}, got {temperature:g}",
            "temperature",
        )


def _capability(task: Task) -> str:
    return task.capability


def _size(task: Task) -> int:
    return CAPABILITIES[task.capability].size(task)


def _weight(task: Task) -> float:
    return CAPABILITIES[task.capability].weight(task)


def _limits(card: ArtifactCard, settings: ModelHostSettings) -> QueueLimits:
    """Returns the limits of a model's queue; all its capabilities have the same."""
    for signature in signatures(card).values():
        return signature.capability.limits(settings)
    return example_limits(settings)


def _release_memory() -> None:
    """Returns freed memory to the system, which glibc would keep."""
    gc.collect()
    with suppress(OSError, AttributeError):  # another C library keeps less
        ctypes.CDLL("libc.so.6").malloc_trim(0)
