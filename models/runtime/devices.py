"""Whether there may be a CUDA device, without a library that would have to be loaded to ask."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
NOTHING_VISIBLE = ("", "-1", "none", "NoDevFiles")


def may_have_cuda(environment: Mapping[str, str], root: Path = Path("/")) -> bool:
    """Returns whether torch is installed, a driver's device files lie below root/dev, and the environment
    does not hide the devices.

    Where it is False there is no device that CUDA could use; where it is True, only CUDA can tell.
    """
    if not has_torch() or environment.get(VISIBLE, "0").strip() in NOTHING_VISIBLE:
        return False
    dev = root / "dev"
    # A driver of Linux, of the Windows subsystem for Linux, of a Tegra board.
    return any((dev / name).exists() for name in ("nvidiactl", "nvidia0", "dxg", "nvhost-gpu", "nvgpu"))


def has_torch() -> bool:
    """Returns whether torch is installed, without importing it."""
    return importlib.util.find_spec("torch") is not None
