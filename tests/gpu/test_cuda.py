"""What only a CUDA device can show. Skipped, with the reason, where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from autoresearch.bench import Bench, real_bench
from autoresearch.config import Settings, resolve
from autoresearch.policy import policy_of
from autoresearch.records import Measurement
from autoresearch.testing import SilentWatcher

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"),
]


@pytest.fixture(scope="module")
def settings(small_corpus: Path) -> Settings:
    flags = {"corpus": str(small_corpus), "device": "cuda", "budget.size": 40, "baseline.lr_warmup": 5}
    return resolve({**flags, "menu.knobs.lr_warmup.high": 15, "eval.bytes": 4096}, {}).settings


@pytest.fixture(scope="module")
def bench(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = real_bench(settings, policy_of(settings), tmp_path_factory.mktemp("run"), lambda: False, SilentWatcher())
    yield made
    made.close()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_trial_trains_on_the_device_and_repeats_to_the_bit(bench: Bench, settings: Settings, precision: str) -> None:
    cfg = {**policy_of(settings).baseline, "precision": precision}
    one, two = (bench.trial.measure(cfg, 0, lambda *_: None) for _ in range(2))
    assert isinstance(one, Measurement), one
    assert isinstance(two, Measurement), two
    assert one.val_bpb == two.val_bpb
    assert one.train_loss_last < one.train_loss_first


def test_the_estimate_knows_what_other_processes_hold(bench: Bench) -> None:
    _free, total = torch.cuda.mem_get_info()
    assert bench.free_accelerator_bytes is not None
    assert 0 < bench.free_accelerator_bytes <= total
