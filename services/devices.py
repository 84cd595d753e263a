"""The device that a model runs on."""

from __future__ import annotations

import os

from wordspot.indexer.errors import FailedPrecondition
from wordspot.models.runtime.devices import has_torch, may_have_cuda
from wordspot.services.limits import AUTO


def resolved_device(name: str) -> str:
    """Returns the device to run on: for `auto` cuda where there is such a device, else cpu.

    name: cpu, cuda, cuda:1 or auto. Raises FailedPrecondition where there is no such device.
    """
    if name == "cpu":
        return name
    available = _has_cuda()
    if name == AUTO:
        return "cuda" if available else "cpu"
    if name.startswith("cuda") and not has_torch():
        raise FailedPrecondition(
            f"device must be cpu, got {name!r}: torch is not installed: pip install 'wordspot[gpu]'"
        )
    if name.startswith("cuda") and not available:
        raise FailedPrecondition(f"device must be cpu, got {name!r}: there is no CUDA device")
    return name


def _has_cuda() -> bool:
    if not may_have_cuda(os.environ):
        return False
    import torch

    return torch.cuda.is_available()
