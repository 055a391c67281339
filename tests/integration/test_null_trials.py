"""Real null trials of a small model: they differ by their seed alone, and a second call trains nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoresearch.config.resolve import resolve
from autoresearch.daemon.null_trials import measure_null_trials
from autoresearch.testing.recording_observer import RecordingObserver

SMALL = {"baseline.n_layer": 1, "baseline.d_model": 64, "baseline.d_ff": 128, "baseline.n_head": 2, "threads": 1}
SHORT = {"budget.size": 20, "baseline.lr_warmup": 2}


@pytest.mark.slow
def test_real_null_trials_are_reproducible_and_resumed(small_corpus: Path, tmp_path: Path) -> None:
    def measure(count: int, folder: str) -> list[float]:
        flags = {**SMALL, **SHORT, "corpus": str(small_corpus), "dir": tmp_path / folder, "limits.deadline_s": 60}
        settings = resolve(flags, {}).settings
        return [t.val_bpb for t in measure_null_trials(settings, count, RecordingObserver())]

    first = measure(2, "a")
    assert len(set(first)) == 2
    assert measure(3, "b")[:2] == first
    assert measure(2, "a") == first
