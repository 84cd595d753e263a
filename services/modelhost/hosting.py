"""Models by name: loaded when they are first asked for, each with a queue and a thread of its own."""

from __future__ import annotations

import ctypes
import gc
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.models.artifact import ArtifactCard
from wordspot.models.errors import BadInput, UnknownModel
from wordspot.services.errors import MalformedRequest
from wordspot.services.modelhost.scheduler import Batcher, Limits, ShutDown, awaited
from wordspot.services.modelhost.statistics import Statistics
from wordspot.services.runtime import time_remaining
from wordspot.services.settings import ModelHostSettings

Floats = NDArray[np.float32]

MOST_AT_ONCE = 1_024
TOGETHER = frozenset({"encode", "decode", "reconstruct", "classify"})
"""What may run for several callers at once: of each example by itself, without randomness."""


@dataclass(frozen=True)
class Task:
    """What one caller wants of a model. values: (B, ...), or empty for samples, of which count are wanted."""

    capability: str
    values: Floats | None = None
    count: int = 0
    seed: int = 0

    @property
    def size(self) -> int:
        return self.count if self.values is None else len(self.values)


def _capability(task: Task) -> str:
    return task.capability


def _size(task: Task) -> int:
    return task.size


def check_count(count: int, what: str, field: str) -> None:
    """Raises MalformedRequest."""
    if not 1 <= count <= MOST_AT_ONCE:
        raise MalformedRequest(f"{count} {what}; 1 to {MOST_AT_ONCE:,} are allowed", field)


class Hosted:
    """A loaded model and its queue. device: where it runs."""

    def __init__(
        self,
        name: str,
        model: Any,
        card: ArtifactCard,
        device: str,
        settings: ModelHostSettings,
        statistics: Statistics,
    ) -> None:
        self.card = card
        self._model, self._device = model.to(device), device
        limits = Limits(
            settings.batch_examples,
            settings.batch_examples,
            settings.batch_delay_ms / 1000,
            settings.queue_sections,
        )
        watch = statistics.watch(name, _capability, _size)
        self._batcher = Batcher(f"model {name!r}", self._run, _size, limits, watch=watch)

    def ask(self, task: Task) -> Floats:
        """Waits no longer than the caller of this service does. Raises Overloaded, DeadlinePassed."""
        return awaited(self._batcher.submit(task, time_remaining()))

    def close(self) -> None:
        """Drops what waits."""
        self._batcher.close()

    def finish(self) -> None:
        """Returns when what waits is done."""
        self._batcher.finish()

    def _run(self, tasks: Sequence[Task]) -> list[Floats]:
        import torch

        answers: list[Floats] = []
        with torch.inference_mode():
            for capability, group in groupby(tasks, key=lambda task: task.capability):
                some = list(group)
                if capability in TOGETHER:
                    answers += self._together(capability, some)
                else:
                    answers += [self._alone(task) for task in some]
        return answers

    def _together(self, capability: str, tasks: Sequence[Task]) -> list[Floats]:
        import torch

        given = np.concatenate([task.values for task in tasks if task.values is not None])
        made = getattr(self._model, capability)(torch.from_numpy(given).to(self._device)).cpu().numpy()
        return np.split(made, np.cumsum([task.size for task in tasks])[:-1])

    def _alone(self, task: Task) -> Floats:
        import torch

        rng = torch.Generator(self._device).manual_seed(task.seed)
        function = getattr(self._model, task.capability)
        if task.values is None:
            made = function(task.count, rng)
        else:
            made = function(torch.from_numpy(task.values).to(self._device), rng)
        values: Floats = made.cpu().numpy()
        return values


class Models:
    """Every model that ships or lies below home/models.

    load: from a name to the model and its card. cards: what is offered now.
    """

    def __init__(
        self,
        cards: Callable[[], dict[str, ArtifactCard]],
        load: Callable[[str], tuple[Any, ArtifactCard]],
        settings: ModelHostSettings,
    ) -> None:
        self.statistics = Statistics()
        self._cards, self._load = cards, load
        self._settings = settings
        self._hosted: dict[str, Hosted] = {}
        self._lock = threading.Lock()  # of the two tables; never held while a model is loaded
        self._loading: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def cards(self) -> dict[str, ArtifactCard]:
        return self._cards()

    def card(self, name: str) -> ArtifactCard:
        """Of the model that is loaded, or would be. Raises UnknownModel."""
        with self._lock:
            hosted = self._hosted.get(name)
        return self._stored(name) if hosted is None else hosted.card

    def _stored(self, name: str) -> ArtifactCard:
        """What lies on the disk now."""
        cards = self._cards()
        if name not in cards:
            raise UnknownModel(f"no model {name!r}; there are {', '.join(sorted(cards)) or 'none'}")
        return cards[name]

    def loaded(self, name: str) -> bool:
        with self._lock:
            return name in self._hosted

    def able(self, name: str, capability: str) -> ArtifactCard:
        """The model's card. Raises UnknownModel, BadInput."""
        card = self.card(name)
        if capability not in card.capabilities:
            raise BadInput(f"model {name!r} cannot {capability}; it can {', '.join(card.capabilities)}")
        return card

    def get(self, name: str) -> Hosted:
        """Loads the model if need be. Raises UnknownModel, DamagedArtifact."""
        with self._lock:
            hosted = self._hosted.get(name)
        if hosted is None:
            self.card(name)
            with self._of(name):
                with self._lock:
                    hosted = self._hosted.get(name)
                hosted = hosted or self._put(name)
        return hosted

    def ask(self, name: str, task: Task) -> Floats:
        """Of the model that has the name now, were it changed a moment ago.

        Raises what `able` and `get` raise, Overloaded, DeadlinePassed.
        """
        while True:
            self.able(name, task.capability)
            with suppress(ShutDown):
                return self.get(name).ask(task)

    def load(self, name: str) -> None:
        """Takes the place of a loaded model whose artifact has changed; what waits ends with the old one.

        Raises UnknownModel, DamagedArtifact.
        """
        card = self._stored(name)
        with self._of(name):
            with self._lock:
                old = self._hosted.get(name)
            if old is not None and old.card.hash == card.hash:
                return
            self._put(name)
        if old is not None:
            old.finish()

    def unload(self, name: str) -> None:
        """Returns when what waits is done and the memory is free. Raises UnknownModel."""
        self.card(name)
        with self._lock:
            old = self._hosted.pop(name, None)
        if old is not None:
            old.finish()
            del old
            _give_back()

    def close(self) -> None:
        with self._lock:
            hosted = list(self._hosted.values())
            self._hosted.clear()
        for one in hosted:
            one.close()

    def _of(self, name: str) -> threading.Lock:
        """Held by who loads the model."""
        with self._lock:
            return self._loading[name]

    def _put(self, name: str) -> Hosted:
        model, card = self._load(name)
        device = _device(self._settings.device)
        hosted = Hosted(name, model, card, device, self._settings, self.statistics)
        with self._lock:
            self._hosted[name] = hosted
        return hosted


def load_models(options: ModelHostSettings) -> Models:
    """Those that ship and those below home/models; torch is imported at first use."""

    def cards() -> dict[str, ArtifactCard]:
        from wordspot.models import registry

        return registry.available(options.home)

    def load(name: str) -> tuple[Any, ArtifactCard]:
        from wordspot.models import registry

        return registry.load(name, options.home)

    return Models(cards, load, options)


def _device(wanted: str) -> str:
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted


def _give_back() -> None:
    """What was freed, to the system: glibc would keep it for later."""
    gc.collect()
    with suppress(OSError, AttributeError):  # another C library keeps less
        ctypes.CDLL("libc.so.6").malloc_trim(0)
