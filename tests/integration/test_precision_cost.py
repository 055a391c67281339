"""A run on a CPU that emulates bf16: R7 refuses it with the measured number, and no proposer offers it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MASKS = {"masked": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}, "as it is": {}}

RUN = """
import json, sys
from autoresearch.config.resolve import resolve
from autoresearch.daemon import service
from autoresearch.daemon.backend import real_backend
from autoresearch.daemon.cost_check import refusal_for_cost
from autoresearch.storage.journal import read
from autoresearch.testing.recording_observer import RecordingObserver

settings = resolve(json.loads(sys.argv[1]), {}).settings
made, refused = [], []

def build(*arguments):
    made.append(real_backend(*arguments))
    baseline = made[0].estimator.baseline
    refused.append(refusal_for_cost(made[0], settings, {**baseline, "precision": "bf16"}))
    return made[0]

reply = json.dumps({"knob": "precision", "new_value": "bf16", "reason": "faster on newer chips"})
service.run(settings, RecordingObserver(), replies=((reply,),), make_backend=build)
records = [json.loads(payload) for payload in read(settings.run_dir / "trajectory.jsonl").payloads]
last = next(r for r in reversed(records) if r.get("iter") == 1)
facts = {"refused": refused[0], "rail": last.get("rail"), "text": json.dumps(records)}
print(json.dumps(facts | {"yardstick": made[0].yardstick.model_dump(mode="json")}))
"""


def run(mask: str, directory: Path, corpus: Path, trials: dict[str, Any]) -> dict[str, Any]:
    given = {**trials, "corpus": str(corpus), "dir": str(directory), "proposer": "replay", "iters": 1}
    command = [sys.executable, "-c", RUN, json.dumps(given)]
    done = subprocess.run(command, env={**os.environ, **MASKS[mask]}, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def has_bf16_instructions() -> bool:
    return any(name in Path("/proc/cpuinfo").read_text() for name in ("avx512_bf16", "amx_bf16"))


@pytest.mark.slow
def test_bf16_is_refused_by_its_measured_cost(small_corpus: Path, quick_trials: dict[str, Any], tmp_path: Path) -> None:
    facts = run("masked", tmp_path / "masked", small_corpus, quick_trials)
    assert facts["refused"].startswith("bf16 takes about ")
    assert facts["refused"].endswith(" times as long as fp32 on this device; at most 3.0 times is allowed")
    assert facts["rail"] == "R7_budget"
    assert "times as long as fp32 on this device; at most 3.0 times is allowed" in facts["text"], "as recorded"
    if not has_bf16_instructions():
        pytest.skip("this CPU emulates bf16 itself")
    plain = run("as it is", tmp_path / "plain", small_corpus, quick_trials)
    assert (plain["refused"], plain["rail"]) == ("", "passed")
    assert plain["yardstick"] == facts["yardstick"], "the measured cost is part of no yardstick"
