"""The origin's case with real trials: a batch of twice the size under equal steps, which is twice the text."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from autoresearch.core.records import Evaluated
from autoresearch.daemon.service import run
from autoresearch.report import load, summarise
from autoresearch.report.text import describe_best
from autoresearch.storage.decode import decode_trajectory
from autoresearch.storage.journal import Journal
from autoresearch.storage.run_dir import TRAJECTORY
from autoresearch.testing.recording_observer import RecordingObserver

SMALL = {"baseline.n_layer": 1, "baseline.d_model": 64, "baseline.d_ff": 128, "baseline.n_head": 2}
REPLY = json.dumps({"knob": "batch_size", "new_value": 16, "reason": "more text for each step"})


@pytest.mark.slow
def test_a_keep_of_twice_the_text_says_what_it_would_be_at_equal_flops(
    make_settings, quick_trials: dict[str, Any], small_corpus: Path
) -> None:
    changes = {"budget.kind": "steps", "budget.size": 150, "decision.accept_delta_frac": 0, "iters": 1}
    settings = make_settings({**quick_trials, **SMALL, **changes, "corpus": str(small_corpus), "proposer": "replay"})
    assert run(settings, RecordingObserver(), replies=((REPLY,),)) == "complete"
    with closing(Journal(settings.run_dir / TRAJECTORY)) as journal:
        (judged,) = (r for r in decode_trajectory(journal, journal.path) if isinstance(r, Evaluated))
    assert judged.decision == "keep", judged.reason
    said = "trained on 2.00 x the baseline's FLOPs; at equal FLOPs, read from the loss curves: about "
    assert f"; it {said}" in judged.reason
    history = load(settings.run_dir)
    (row,) = history.rows
    assert row.equal_flops_gain is not None
    low, high = row.equal_flops_gain
    assert low <= high < judged.improvement_frac, "part of the gain is twice the text"
    assert "At equal FLOPs, read from the loss curves: about " in " ".join(describe_best(summarise(history), history))
    (ratios,) = summarise(history).cost_ratios
    assert (ratios.equal_flops_gain_low, ratios.equal_flops_gain_high) == row.equal_flops_gain
