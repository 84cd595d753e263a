"""Models by name: loaded when they are first asked for, each with a queue and a thread of its own."""

from __future__ import annotations

import ctypes
import gc
import itertools
import math
import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.indexer.errors import FailedPrecondition
from wordspot.models.artifact import ArtifactCard
from wordspot.models.errors import BadInput, UnknownModel
from wordspot.services.errors import MalformedRequest
from wordspot.services.modelhost.functions import ANY, functions
from wordspot.services.modelhost.scheduler import Batcher, Encoders, Limits, ShutDown, awaited
from wordspot.services.modelhost.statistics import Statistics
from wordspot.services.runtime import ensure_wanted, time_remaining
from wordspot.services.settings import PRECISIONS, ModelHostSettings, Placement

Floats = NDArray[np.float32]

Flags = NDArray[np.bool_]
Ranked = list[tuple[str, float]]
Made = Floats | str | tuple[str, Floats]
"""A part; of what is described a piece of the text, and where the model looked."""

MOST_AT_ONCE = 1_024
POLL_S = 0.05
EMBED = "embed"
RANKING = frozenset({"neighbours", "analogy"})
TOGETHER = frozenset({"encode", "decode", "reconstruct", "classify"})
"""What may run for several callers at once: of each example by itself, without randomness."""
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 1e-3, 1e3  # logits divided by these are still numbers


@dataclass(frozen=True)
class Task:
    """What one caller wants of a model.

    values: (B, ...), or empty for what is made of nothing, of which count are wanted. words: words or texts
    in their place. known: of pictures, (B, 1, H, W), or of clips, (B, T), to be completed. keep: the given
    words may be among the answers. parts: takes what is generated as it is made. temperature, condition: as
    a Model's options, None and empty where not given.
    """

    capability: str
    values: Floats | None = None
    count: int = 0
    seed: int = 0
    words: tuple[str, ...] = ()
    known: Flags | None = None
    keep: bool = False
    parts: Parts | None = None
    temperature: float | None = None
    condition: str = ""

    @property
    def options(self) -> dict[str, Any]:
        """Those that were given, by name."""
        heat = {} if self.temperature is None else {"temperature": self.temperature}
        return {**heat, "condition": self.condition} if self.condition else heat

    @property
    def size(self) -> int:
        if self.capability in RANKING:
            return 1
        return len(self.words) or (self.count if self.values is None else len(self.values))


class Parts:
    """What a model makes on its thread, for the caller to take. Neither waits longer than need be."""

    def __init__(self) -> None:
        self._made: queue.SimpleQueue[Made] = queue.SimpleQueue()
        self._unwanted = threading.Event()

    def put(self, part: Made) -> bool:
        """Whether more are wanted."""
        self._made.put(part)
        return not self._unwanted.is_set()

    def until(self, done: Future[Any]) -> Iterator[Made]:
        """Each part, until the work is done. Raises what the work raises, DeadlinePassed."""
        try:
            while not done.done() or not self._made.empty():
                ensure_wanted()
                with suppress(queue.Empty):
                    yield self._made.get(timeout=POLL_S)
            done.result()
        finally:
            self._unwanted.set()
            done.cancel()


def _capability(task: Task) -> str:
    return task.capability


def _size(task: Task) -> int:
    return task.size


def _weight(task: Task) -> float:
    """What draws is a batch by itself: it gains nothing by company, which would wait for its end."""
    return task.size if task.capability in TOGETHER | RANKING else math.inf


def check_count(count: int, what: str, field: str) -> None:
    """Raises MalformedRequest."""
    if not 1 <= count <= MOST_AT_ONCE:
        raise MalformedRequest(f"{count} {what}; 1 to {MOST_AT_ONCE:,} are allowed", field)


def check_options(name: str, card: ArtifactCard, task: Task) -> None:
    """Raises MalformedRequest."""
    allowed = functions(card)[task.capability].options
    for option in task.options:
        if option not in allowed:
            raise MalformedRequest(
                f"{option} came; to {task.capability}, model {name!r} takes "
                f"{' and '.join(allowed) or 'no options'}",
                option,
            )
    heat = task.temperature
    if heat is not None and not LOWEST_TEMPERATURE <= heat <= HIGHEST_TEMPERATURE:
        raise MalformedRequest(
            f"temperature is {heat:g}; {LOWEST_TEMPERATURE:g} to {HIGHEST_TEMPERATURE:g} is allowed",
            "temperature",
        )


class Hosted:
    """A loaded model and its queue, warm. placement: where and how precisely it runs."""

    def __init__(
        self,
        name: str,
        model: Any,
        card: ArtifactCard,
        placement: Placement,
        settings: ModelHostSettings,
        statistics: Statistics,
    ) -> None:
        import torch

        self.card = card
        self._device, self._dtype = placement.device, getattr(torch, PRECISIONS[placement.precision])
        self._model = model.to(self._device)
        limits = Limits(
            settings.batch_examples,
            settings.batch_examples,
            settings.batch_delay_ms / 1000,
            settings.queue_sections,
        )
        self._warm_up(settings.batch_examples)
        watch = statistics.watch(name, _capability, _size)
        self._batcher = Batcher(f"model {name!r}", self._run, _weight, limits, watch=watch)

    def _warm_up(self, most: int) -> None:
        """Runs every size of batch that memory and kernels are kept ready for, so that no caller waits."""
        if hasattr(self._model, "warm_up"):
            self._model.warm_up()
        for function in functions(self.card).values():
            shape = function.inputs[0].shape[1:]
            if function.capability in TOGETHER and function.inputs[0].datatype == "FP32" and ANY not in shape:
                for power in range((most - 1).bit_length() + 1):
                    self._run(
                        [Task(function.capability, np.zeros((min(2**power, most), *shape), np.float32))]
                    )

    def ask(self, task: Task) -> Any:
        """Waits no longer than the caller of this service does. Raises Overloaded, DeadlinePassed."""
        return awaited(self._batcher.submit(task, time_remaining()))

    def begin(self, task: Task) -> Future[Any]:
        """Raises Overloaded."""
        return self._batcher.submit(task, time_remaining())

    def close(self) -> None:
        """Drops what waits."""
        self._batcher.close()

    def finish(self) -> None:
        """Returns when what waits is done."""
        self._batcher.finish()

    def _run(self, tasks: Sequence[Task]) -> list[Any]:
        import torch

        answers: list[Any] = []
        kind, reduced = self._device.partition(":")[0], self._dtype != torch.float32
        with torch.inference_mode(), torch.autocast(kind, self._dtype, enabled=reduced):
            for capability, group in itertools.groupby(tasks, key=lambda task: task.capability):
                some = list(group)
                if capability in TOGETHER:
                    answers += self._together(capability, some)
                else:
                    answers += [self._alone(task) for task in some]
        return answers

    def _together(self, capability: str, tasks: Sequence[Task]) -> list[Floats]:
        function = getattr(self._model, capability)
        if tasks[0].words:
            made = function([word for task in tasks for word in task.words]).cpu().numpy()
        else:
            given = np.concatenate([task.values for task in tasks if task.values is not None])
            made = self._out(function(self._in(given)))
        return np.split(made, np.cumsum([task.size for task in tasks])[:-1])

    def _alone(self, task: Task) -> Any:
        import torch

        function = getattr(self._model, task.capability)
        if task.capability == "neighbours":
            return function(*task.words, task.count)
        if task.capability == "analogy":
            return function(task.words, task.count, task.keep)
        if task.capability == "translate":
            return self._out(function(*self._given(task), **task.options))
        rng = torch.Generator(self._device).manual_seed(task.seed)
        made = function(*self._given(task), rng, **task.options)
        if task.parts is None:
            return self._out(made)
        for part in made:
            if not task.parts.put(self._out(part)):
                break
        return None

    def _given(self, task: Task) -> list[Any]:
        """What comes before the source of randomness."""
        if task.words:
            return [list(task.words)]
        if task.values is None:
            return [task.count]
        if task.capability == "describe":
            return [self._in(task.values[0])]
        return [self._in(values) for values in (task.values, task.known) if values is not None]

    def _in(self, values: Floats | Flags) -> Any:
        import torch

        return torch.from_numpy(values).to(self._device)

    def _out(self, made: Any) -> Any:
        """Tensors as float32 arrays; texts as they are."""
        import torch

        if isinstance(made, tuple):
            return tuple(map(self._out, made))
        return made.float().cpu().numpy() if isinstance(made, torch.Tensor) else made


class Models:
    """Every model that ships or lies below home/models.

    load: from a name to the model and its card. cards: what is offered now. encoders: where those that embed
    speech are loaded and run.
    """

    def __init__(
        self,
        cards: Callable[[], dict[str, ArtifactCard]],
        load: Callable[[str], tuple[Any, ArtifactCard]],
        settings: ModelHostSettings,
        encoders: Encoders | None = None,
    ) -> None:
        self.statistics = Statistics()
        self._encoders = encoders
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
        if self._encoders is not None and self._encoders.loaded(name):
            return True
        with self._lock:
            return name in self._hosted

    def able(self, name: str, capability: str) -> ArtifactCard:
        """The model's card. Raises UnknownModel, BadInput."""
        card = self.card(name)
        if capability not in functions(card):
            raise BadInput(f"model {name!r} cannot {capability}; it can {', '.join(functions(card))}")
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

    def begin(self, name: str, task: Task) -> Future[Any]:
        """As `ask`, without waiting. Raises what `able` and `get` raise, MalformedRequest, Overloaded."""
        while True:
            check_options(name, self.able(name, task.capability), task)
            with suppress(ShutDown):
                return self.get(name).begin(task)

    def ask(self, name: str, task: Task) -> Any:
        """Of the model that has the name now, were it changed a moment ago.

        Raises what `able` and `get` raise, MalformedRequest, Overloaded, DeadlinePassed.
        """
        while True:
            check_options(name, self.able(name, task.capability), task)
            with suppress(ShutDown):
                return self.get(name).ask(task)

    def load(self, name: str) -> None:
        """Takes the place of a loaded model whose artifact has changed; what waits ends with the old one.

        Raises UnknownModel, DamagedArtifact.
        """
        card = self._stored(name)
        if self._encoders is not None and EMBED in card.capabilities:
            self._encoders.renew(name, card.hash)
            return
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
        if self._encoders is not None and self._encoders.loaded(name):
            self._encoders.unload(name)
            _give_back()
            return
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
        import torch

        torch.set_num_threads(self._settings.torch_threads)
        model, card = self._load(name)
        placement = self._settings.placement(name)
        placement = replace(placement, device=_device(placement.device))
        hosted = Hosted(name, model, card, placement, self._settings, self.statistics)
        with self._lock:
            self._hosted[name] = hosted
        return hosted


def load_models(options: ModelHostSettings, encoders: Encoders | None = None) -> Models:
    """Those that ship and those below home/models; torch is imported at first use."""

    def cards() -> dict[str, ArtifactCard]:
        from wordspot.models import registry

        return registry.available(options.home)

    def load(name: str) -> tuple[Any, ArtifactCard]:
        from wordspot.models import registry

        return registry.load(name, options.home)

    return Models(cards, load, options, encoders)


def _device(wanted: str) -> str:
    """Raises FailedPrecondition where there is no such device."""
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise FailedPrecondition(
            f"the model is placed on {wanted!r}, and there is no CUDA device; cpu is allowed"
        )
    return wanted


def _give_back() -> None:
    """What was freed, to the system: glibc would keep it for later."""
    gc.collect()
    with suppress(OSError, AttributeError):  # another C library keeps less
        ctypes.CDLL("libc.so.6").malloc_trim(0)
