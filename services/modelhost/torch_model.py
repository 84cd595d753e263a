"""A torch model on its device: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from wordspot.models.cancellation import check_cancelled
from wordspot.services.modelhost.tasks import Flags, Floats
from wordspot.services.settings import PRECISIONS, Placement

if TYPE_CHECKING:
    import torch


class TorchModel:
    """A torch module where it is placed. Call it from one thread at a time.

    A call that nobody waits for any more is stopped before the module's next layer.

    Args:
        module: the model.
        placement: on a device of this machine.
    """

    def __init__(self, module: Any, placement: Placement) -> None:
        import torch

        self.module = module.to(placement.device)
        for layer in self.module.modules():
            layer.register_forward_pre_hook(_stop_if_cancelled)
        self._device = placement.device
        self._dtype: torch.dtype = getattr(torch, PRECISIONS[placement.precision])

    def warm_up(self) -> None:
        """Runs the module's own warm-up, where it has one."""
        if hasattr(self.module, "warm_up"):
            self.module.warm_up()

    @contextmanager
    def inference(self) -> Iterator[None]:
        """Runs calls of the module in the context without gradients, in the precision of the placement."""
        import torch

        kind, reduced = self._device.partition(":")[0], self._dtype != torch.float32
        with torch.inference_mode(), torch.autocast(kind, self._dtype, enabled=reduced):
            yield

    def rng(self, seed: int) -> torch.Generator:
        """Returns a generator of random numbers on the device."""
        import torch

        return torch.Generator(self._device).manual_seed(seed)

    def tensor(self, values: Floats | Flags | None) -> torch.Tensor:
        """Returns the array as a tensor on the device."""
        import torch

        assert values is not None
        return torch.from_numpy(values).to(self._device)

    def array(self, output: Any) -> Any:
        """Returns tensors as float32 arrays, texts as they are; tuples element by element."""
        import torch

        if isinstance(output, tuple):
            return tuple(map(self.array, output))
        return output.float().cpu().numpy() if isinstance(output, torch.Tensor) else output


def _stop_if_cancelled(layer: Any, inputs: Any) -> None:
    check_cancelled()
