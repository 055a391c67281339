"""What a worker of a cluster occupies: the ranks of a trial are its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from autoresearch.config.settings import Settings
from autoresearch.daemon import local_workers, slurm_workers
from autoresearch.daemon.local_workers import refuse_unfit_workers, threads_per_worker
from autoresearch.daemon.remote_workers import ray_fields
from autoresearch.daemon.slurm_workers import open_slurm
from autoresearch.data.corpus import Corpus
from autoresearch.testing.fake_slurm import FakeSlurm
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.trials.forked_trial import ForkedTrial
from autoresearch.trials.remote.ports import Node
from autoresearch.trials.remote.ray_cluster import Resources
from autoresearch.trials.spec import Device

Make = Callable[..., Settings]
RANKS = {"trainer": "megatron", "parallel.data": 2, "threads": 3}


@pytest.mark.parametrize(("device", "wanted"), [("cpu", Resources(6)), ("cuda", Resources(6, gpus=2))])
def test_a_ray_worker_has_the_gpus_and_cores_of_all_ranks(
    make_settings: Make, small_corpus: Path, tmp_path: Path, device: str, wanted: Resources
) -> None:
    settings = make_settings({**RANKS, "executor.kind": "ray", "executor.address": "head:6379", "device": device})
    refuse_unfit_workers(settings)
    first = ForkedTrial(cast("Any", SimpleNamespace()), cast("Any", None), 1.0, tmp_path, tmp_path / "c")
    found = Device(device=device, kind="k", precisions=("fp32",), free_bytes=1, versions={})
    fields = ray_fields(settings, tmp_path, first, found, Corpus.open(small_corpus), lambda _text: None)
    assert fields["fleet"].cluster.resources == wanted
    node = Node("id", "n0", {"CPU": 16.0, "GPU": 5.0})
    assert fields["fleet"].fleet.places(node) == 2


def test_a_slurm_job_asks_for_the_gpus_and_cores_of_all_ranks(
    make_settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []

    class Session(slurm_workers.SlurmSession):
        def open(self) -> None:
            asked.append((self.cpus, self.gpus))
            raise KeyboardInterrupt  # before it submits anything

    monkeypatch.setattr(slurm_workers, "SlurmSession", Session)
    for device in ("cpu", "cuda"):
        settings = make_settings({**RANKS, "executor.kind": "slurm", "device": device})
        refuse_unfit_workers(settings)
        with pytest.raises(KeyboardInterrupt):
            open_slurm(settings, tmp_path, lambda: False, FakeSlurm(lambda _aborted: FakeTrial()))
    assert asked == [(6, 0), (6, 2)]


def test_an_own_ray_cluster_shares_the_cores_among_the_ranks_of_all_workers(
    make_settings: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_workers, "usable_cpus", lambda: 8)
    ranks = {"trainer": "megatron", "parallel.data": 2, "executor.kind": "ray", "executor.workers": 2}
    assert threads_per_worker(make_settings(ranks)) == 2
    refuse_unfit_workers(make_settings(ranks))
    with pytest.raises(local_workers.ConfigError, match="2 workers of 6 threads on 8 cores"):
        refuse_unfit_workers(make_settings({**ranks, "threads": 3}))
