"""What an attention decoder keeps between steps: the memory it attends to, and its recurrent state."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class AttentionMemory:
    """A memory as the steps need it.

    Attributes:
        values: (N, S, M).
        keys: (N, S, A), projected for the attention.
        padding: bool (N, S), which positions are none.
        source: int64 (N, S), the token at each position, or None.
        own_tokens: how many tokens of the source lie beyond the vocabulary.
    """

    values: Tensor
    keys: Tensor
    padding: Tensor
    source: Tensor | None
    own_tokens: int

    def repeated(self, times: int) -> AttentionMemory:
        """Returns each memory so many times, one after another."""
        values, keys, padding = (
            part.repeat_interleave(times, 0) for part in (self.values, self.keys, self.padding)
        )
        source = None if self.source is None else self.source.repeat_interleave(times, 0)
        return AttentionMemory(values, keys, padding, source, self.own_tokens)


@dataclass(frozen=True)
class DecoderState:
    """The recurrent state between two steps.

    Attributes:
        hidden: (N, H).
        context: (N, M), the attention's weighted mean of the memory.
    """

    hidden: Tensor
    context: Tensor

    def __getitem__(self, rows: Tensor) -> DecoderState:
        """Returns the state of rows, int64 (n,), of the batch."""
        return DecoderState(self.hidden[rows], self.context[rows])
