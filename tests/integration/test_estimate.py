"""R7's memory estimate never lies below what a trial then needs (on the CPU; not yet measured on a GPU)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autoresearch.config.resolve import resolve
from autoresearch.core.measurement import Measurement
from autoresearch.daemon.backend import real_backend
from autoresearch.daemon.policy import build_policy
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.testing.recording_observer import RecordingObserver
from rails import STRUCTURAL_KNOBS

# The corners of profile tiny's menu that need most, each in its own way.
CORNERS: list[dict[str, Any]] = [
    {},
    {"n_layer": 6},
    {"d_model": 256},
    {"d_ff": 2048},
    {"batch_size": 16},
    {"seq_len": 128, "batch_size": 16},
    {"n_layer": 6, "d_model": 256, "d_ff": 2048, "batch_size": 16, "seq_len": 128},
    {"batch_size": 16, "precision": "bf16"},
    {"n_layer": 6, "d_model": 256, "d_ff": 2048, "batch_size": 16, "seq_len": 128, "precision": "bf16"},
]


@pytest.fixture(
    scope="module",
    params=[("torch", "off"), ("torch", "on"), ("megatron", "off")],
    ids=["torch", "compiled", "megatron"],
)
def backend(
    request: pytest.FixtureRequest, small_corpus: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TrialBackend]:
    trainer, compiled = request.param
    flags = {"corpus": str(small_corpus), "budget.size": 12, "baseline.lr_warmup": 0, "menu.knobs.lr_warmup.high": 1}
    settings = resolve(
        {**flags, "eval.bytes": 4096, "threads": 2, "trainer": trainer, "compile": compiled}, {}
    ).settings
    made = real_backend(
        settings, build_policy(settings), tmp_path_factory.mktemp("run"), lambda: False, RecordingObserver()
    )
    yield made
    made.close()


ALL = {name: knob.others[0] for name, knob in STRUCTURAL_KNOBS.items()}
LARGE: dict[str, Any] = {"n_layer": 6, "d_model": 256, "d_ff": 2048, "batch_size": 16, "seq_len": 128}


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [{}, LARGE, {**LARGE, "precision": "bf16"}], ids=["baseline", "large", "bf16"])
@pytest.mark.parametrize("switches", [*({k: v} for k, v in ALL.items()), ALL], ids=lambda s: "+".join(s))
def test_the_estimate_of_another_structure_is_not_below_the_peak(
    backend: TrialBackend, switches: dict[str, Any], sizes: dict[str, Any]
) -> None:
    if backend.estimator and backend.estimator.trainer != "torch":
        pytest.skip("trainer megatron has the origin's structure only")
    test_the_estimate_is_not_below_the_measured_peak(backend, {**sizes, **switches})


@pytest.mark.slow
@pytest.mark.parametrize("changes", CORNERS, ids=lambda c: "+".join(f"{k}={v}" for k, v in c.items()) or "baseline")
def test_the_estimate_is_not_below_the_measured_peak(backend: TrialBackend, changes: dict[str, Any]) -> None:
    assert backend.estimator is not None
    cfg = {**backend.estimator.baseline, **changes}
    outcome = backend.trial.measure(cfg, 0, lambda *_: None)
    assert isinstance(outcome, Measurement), outcome
    estimate = backend.estimator(cfg)
    assert outcome.peak_bytes <= estimate.peak_bytes <= 1.6 * outcome.peak_bytes
