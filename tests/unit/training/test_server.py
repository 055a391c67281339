"""What the warm server may import, and how it knows that it can still be forked."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoresearch.training import worker
from autoresearch.training.server import holds_gpu


@pytest.mark.parametrize(
    ("installed", "imports_megatron"),
    [
        (set(), True),
        ({"transformer_engine"}, True),
        ({"flash_attn"}, True),
        ({"transformer_engine", "flash_attn"}, False),
    ],
    ids=lambda value: "+".join(sorted(value)) or "neither" if isinstance(value, set) else "",
)
def test_megatron_is_left_to_the_trial_where_its_import_asks_the_driver(
    installed: set[str], imports_megatron: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "find_spec", lambda name: name if name in installed else None)
    assert ("autoresearch.training.models.gpt_megatron" in worker.preload("megatron")) is imports_megatron
    assert worker.preload("torch") == worker.PRELOAD["torch"]


def test_an_open_device_of_cuda_is_seen(tmp_path: Path) -> None:
    assert not holds_gpu()
    (tmp_path / "nvidiactl").touch()
    (tmp_path / "nvidia-uvm").touch()
    with (tmp_path / "nvidiactl").open():
        assert not holds_gpu(), "NVML may count GPUs"
    with (tmp_path / "nvidia-uvm").open():
        assert holds_gpu()
    assert not holds_gpu()
