from __future__ import annotations

from pathlib import Path

import pytest

from wordspot.models.runtime.devices import may_have_cuda


@pytest.mark.parametrize("name", ["nvidiactl", "nvidia0", "dxg"])
def test_a_drivers_device_file_tells_of_a_device(tmp_path: Path, name: str) -> None:
    (tmp_path / "dev").mkdir()
    assert not may_have_cuda({}, tmp_path)
    (tmp_path / "dev" / name).touch()
    assert may_have_cuda({}, tmp_path)
    assert may_have_cuda({"CUDA_VISIBLE_DEVICES": "1"}, tmp_path)


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_devices_that_the_environment_hides_are_none(tmp_path: Path, hidden: str) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidiactl").touch()
    assert not may_have_cuda({"CUDA_VISIBLE_DEVICES": hidden}, tmp_path)
