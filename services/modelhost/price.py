"""The price of a call of a model: the bytes of its examples, known before they are decoded or sampled."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from google.protobuf.message import Message

from wordspot.models.artifact import ArtifactCard
from wordspot.oip import inference_pb2
from wordspot.services import wire
from wordspot.services.errors import MalformedRequest
from wordspot.services.limits import MAX_EXAMPLE_BYTES_PER_CALL, MAX_EXAMPLES_PER_CALL
from wordspot.services.modelhost.capability import Signature
from wordspot.services.modelhost.media import example_values
from wordspot.services.modelhost.tasks import Task
from wordspot.services.modelhost.tensors import ANY

BYTES_PER_VALUE = np.dtype(np.float32).itemsize
# Where requests hold examples: fields, and of each the list in its message.
EXAMPLE_LISTS = {"pictures": "png", "clips": "clips"}


def held_bytes(request: Message, card: ArtifactCard, *, streamed: bool) -> int:
    """Returns the bytes that a request of ModelService holds, with its examples and its answer as float32.

    streamed: whether examples are generated one by one.

    Raises:
        MalformedRequest: the examples take more than MAX_EXAMPLE_BYTES_PER_CALL.
    """
    count = _examples_of(request, streamed=streamed)
    size = BYTES_PER_VALUE * count * example_values(card)
    if size > MAX_EXAMPLE_BYTES_PER_CALL:
        raise MalformedRequest(
            f"the examples of a call must have at most {MAX_EXAMPLE_BYTES_PER_CALL:,} bytes as float32, got "
            f"{count:,} of {BYTES_PER_VALUE * example_values(card):,} bytes each"
        )
    return request.ByteSize() + 2 * size


def held_tensor_bytes(request: inference_pb2.ModelInferRequest) -> int:
    """Returns the bytes that a request of the Open Inference Protocol holds, with its tensors as arrays."""
    return 2 * request.ByteSize()


def check_answer(task: Task, signature: Signature, card: ArtifactCard) -> None:
    """Raises MalformedRequest where the tensor of so many examples would not fit into an answer."""
    kind = signature.outputs[0]
    if kind.datatype == "FP32" and not signature.capability.streamed:
        row = math.prod(size for size in kind.shape[1:] if size != ANY)
        values = row if kind.rate is None else example_values(card)
        wire.check_answer_bytes(BYTES_PER_VALUE * task.examples * values, "inputs")


def _examples_of(request: Message, *, streamed: bool) -> int:
    """Returns how many examples a request holds or asks for."""
    fields: Any = request  # of whatever type
    names = request.DESCRIPTOR.fields_by_name
    counts = [
        len(getattr(getattr(fields, name), items)) for name, items in EXAMPLE_LISTS.items() if name in names
    ]
    if "codes" in names:
        counts.append(len(fields.codes))
    if "count" in names and not streamed:
        counts.append(fields.count)
    return min(max([0, *counts]), MAX_EXAMPLES_PER_CALL)  # more are refused where they are read
