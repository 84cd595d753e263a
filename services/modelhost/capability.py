"""A capability: one thing that models can do, with its specification, its call and its forms on the wire."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from wordspot.models.artifact import ArtifactCard
from wordspot.models.cancellation import check_cancelled
from wordspot.services.errors import MalformedRequest
from wordspot.services.limits import MAX_EXAMPLES_AT_ONCE
from wordspot.services.modelhost.batcher import QueueLimits
from wordspot.services.modelhost.tasks import Floats, Task, check_count
from wordspot.services.modelhost.tensors import COUNT, SEED, TensorKind
from wordspot.services.modelhost.torch_model import TorchModel
from wordspot.services.settings import ModelHostSettings

Array = NDArray[Any]
Tensors = Mapping[str, Array]
Kinds = tuple[TensorKind, ...]
Call = Callable[[Any, Sequence[Task]], Sequence[Any]]


@dataclass(frozen=True)
class Rpc:
    """A method of ModelService.

    name: of the method.
    read: returns the task that a request asks for; raises MalformedRequest, BadInput.
    write: returns the response that holds the answer, or of what is streamed a part of it.
    """

    name: str
    read: Callable[[Any, ArtifactCard], Task]
    write: Callable[[Any, Task, ArtifactCard], Message]


def examples_of(task: Task) -> int:
    """Returns the number of examples of a task."""
    return task.examples


def _whole_batch(task: Task) -> float:
    """Returns a weight that makes the task a batch by itself.

    What samples gains nothing by a batch, whose other tasks would wait for its end.
    """
    return math.inf


def example_limits(settings: ModelHostSettings) -> QueueLimits:
    """Returns the limits of models whose work is counted in examples."""
    return QueueLimits(
        settings.batch_examples,
        settings.batch_examples,
        settings.batch_delay_ms / 1000,
        settings.queue_sections,
    )


def _task_of(signature: Signature, tensors: Tensors, options: Mapping[str, Any]) -> Task:
    task = Task(signature.capability.name, **_example_fields(signature.inputs[0], tensors), **options)
    if COUNT.name in tensors:
        count = int(tensors[COUNT.name][0])
        check_count(count, "examples", COUNT.name)
        task = replace(task, count=count)
    if SEED.name in tensors:
        task = replace(task, seed=int(tensors[SEED.name][0]))
    if "known" in tensors:
        _check_known_mask(tensors["known"], signature.inputs[0], tensors)
        task = replace(task, known_mask=tensors["known"])
    return task


def _batch_tensors(answer: Any, signature: Signature) -> dict[str, Array]:
    return {signature.outputs[0].name: batch(answer)}


@dataclass(frozen=True)
class Capability:
    """One thing that models can do.

    name: by which cards list it.
    media: modalities of the models that may have it.
    kinds: returns inputs and outputs, without loading the model.
    call: runs tasks of this capability on the thread of a loaded model, which is an `Encoder` for what
        embeds and else a TorchModel; returns as many answers as tasks, in their order.
    rpc: its method of ModelService; None where another service has it.
    batched: whether the first axis of every tensor is one of examples, each by itself and without randomness,
        so that those of several callers may run as one batch.
    streamed: whether parts of an answer come one by one.
    takes_options: whether a call may set the options of the card.
    size: examples in a task, for statistics.
    weight: of a task, in the unit of the limits.
    limits: of batches and the queue.
    from_tensors: returns the task that tensors of the Open Inference Protocol stand for; raises
        MalformedRequest.
    to_tensors: returns the tensors of an answer, or of a part of what is streamed.
    """

    name: str
    media: tuple[str, ...]
    kinds: Callable[[ArtifactCard], tuple[Kinds, Kinds]]
    call: Call
    rpc: Rpc | None = None
    batched: bool = False
    streamed: bool = False
    takes_options: bool = False
    size: Callable[[Task], int] = examples_of
    weight: Callable[[Task], float] = _whole_batch
    limits: Callable[[ModelHostSettings], QueueLimits] = example_limits
    from_tensors: Callable[[Signature, Tensors, Mapping[str, Any]], Task] = _task_of
    to_tensors: Callable[[Any, Signature], dict[str, Array]] = _batch_tensors


@dataclass(frozen=True)
class Signature:
    """A capability of one model.

    capability: the row of CAPABILITIES.
    inputs, outputs: its tensors.
    options: that a call may set.
    """

    capability: Capability
    inputs: Kinds
    outputs: Kinds
    options: tuple[str, ...] = ()


def together(method: str) -> Call:
    """Returns a call that runs the examples of all tasks at once. method: of the model."""

    def call(model: TorchModel, tasks: Sequence[Task]) -> Sequence[Floats]:
        function = getattr(model.module, method)
        if tasks[0].words:
            examples = replace(tasks[0], words=tuple(word for task in tasks for word in task.words))
        else:
            values = [task.values for task in tasks if task.values is not None]
            examples = replace(tasks[0], values=np.concatenate(values))
        with model.inference():
            parts = [model.array(function(part)) for part in example_chunks(model, examples)]
        return np.split(np.concatenate(parts), np.cumsum([task.examples for task in tasks])[:-1])

    return call


def example_chunks(model: TorchModel, task: Task) -> Iterator[Any]:
    """Yields the examples of a task as the model takes them, at most MAX_EXAMPLES_AT_ONCE at a time.

    Raises Cancelled before examples that nobody waits for.
    """
    for first in range(0, task.examples, MAX_EXAMPLES_AT_ONCE):
        check_cancelled()
        chunk = slice(first, first + MAX_EXAMPLES_AT_ONCE)
        if task.words:
            yield list(task.words[chunk])
        else:
            assert task.values is not None
            yield model.tensor(task.values[chunk])


def each(function: Callable[[TorchModel, Task], Any]) -> Call:
    """Returns a call that runs one task after another."""

    def call(model: TorchModel, tasks: Sequence[Task]) -> Sequence[Any]:
        with model.inference():
            return [model.array(function(model, task)) for task in tasks]

    return call


def in_parts(function: Callable[[TorchModel, Task], Any]) -> Call:
    """Returns a call that runs one task after another and hands parts to the caller as they come."""

    def call(model: TorchModel, tasks: Sequence[Task]) -> Sequence[None]:
        with model.inference():
            for task in tasks:
                assert task.parts is not None
                for part in function(model, task):
                    if not task.parts.put(model.array(part)):
                        break
        return [None] * len(tasks)

    return call


def _example_fields(kind: TensorKind, tensors: Tensors) -> dict[str, Any]:
    """Returns the examples of a task, by the names of its fields; empty where it takes none.

    Raises MalformedRequest.
    """
    if kind.datatype not in ("FP32", "BYTES"):
        return {}
    examples = tensors[kind.name]
    check_count(len(examples), "examples", "inputs")
    if not examples.size:
        raise MalformedRequest(
            f"input {kind.name!r} must have one value or more of each example, got the shape "
            f"{list(examples.shape)}",
            "inputs",
        )
    return {"values": examples} if kind.datatype == "FP32" else {"words": tuple(examples)}


def _check_known_mask(known_mask: Array, kind: TensorKind, tensors: Tensors) -> None:
    """Raises MalformedRequest."""
    if len(known_mask) != len(tensors[kind.name]):
        raise MalformedRequest(
            f"the number of masks must be that of {kind.name}, {len(tensors[kind.name])}, got "
            f"{len(known_mask)}",
            "known",
        )
    if known_mask.ndim == 2 and (known_mask[:, 1:] > known_mask[:, :-1]).any():
        raise MalformedRequest(
            "known frames must be the first of a clip, got one after an unknown one", "known"
        )


def batch(outputs: Any) -> Array:
    """Returns one text or one array for each example as one array."""
    return np.asarray(outputs, object if isinstance(outputs[0], str) else np.float32)
