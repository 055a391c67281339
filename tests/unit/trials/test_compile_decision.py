"""The daemon's side of torch.compile: what it has measured, stores and reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autoresearch.data.span import Span
from autoresearch.errors import ConfigError
from autoresearch.trials.child_output import ChildOutput
from autoresearch.trials.compile_decision import CompileTimes, decide_compiled, load_times, store_times
from autoresearch.trials.spec import Budget, Device, TrialSpec

DEVICE = Device(device="cpu", kind="a chip", precisions=("fp32",), free_bytes=None, versions={"torch": "9"})
SHAPE = {"n_layer": 1, "n_head": 1, "d_model": 8, "d_ff": 8, "batch_size": 4, "seq_len": 8, "precision": "fp32"}
LONG = CompileTimes(eager_step_s=1.0, compiled_step_s=0.5, compile_s=10.0)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Runner:
    """Answers as a child would, and counts its requests."""

    def __init__(self, answer: Any, stderr: str = "") -> None:
        self.answer, self.stderr, self.asked = answer, stderr, 0

    def run(self, *_: Any) -> tuple[ChildOutput, int, int]:
        self.asked += 1
        output = ChildOutput(lambda *_: None)
        output.answer, output.stderr = self.answer, bytearray(self.stderr.encode())
        return output, 0, 0


def spec(trainer: str = "torch", steps: int = 60, **changes: Any) -> TrialSpec:
    return TrialSpec(
        cfg={**SHAPE, "lr": 1.0} | changes,
        seed=0,
        corpus="c",
        trainer=trainer,
        device="cpu",
        threads=1,
        budget=Budget(kind="steps", size=steps),
        span=Span(start=0, tokens=1, bytes=1),
    )


def decide(runner: Any, wanted: str = "auto", **of: Any) -> tuple[bool, list[str]]:
    notes: list[str] = []
    return decide_compiled(wanted, spec(**of), 257, DEVICE, runner, 1.0, notes.append), notes


def test_on_and_off_measure_nothing() -> None:
    runner = Runner(None)
    assert decide(runner, "on") == (True, [])
    assert decide(runner, "off") == (False, [])
    assert runner.asked == 0


def test_auto_measures_once_and_stores_the_times() -> None:
    runner = Runner({"compile_times": LONG.model_dump()})
    assert decide(runner)[0] is True
    compiled, notes = decide(runner)
    assert compiled
    assert "compiled 0.5 s" in notes[0]
    assert runner.asked == 1
    assert decide(runner, steps=15)[0] is False, "the same times, a shorter trial"
    assert decide(runner, lr=2.0)[0] is True, "no other shape"
    assert runner.asked == 1
    decide(runner, d_ff=16)
    assert runner.asked == 2


def test_a_trial_that_was_too_short_to_try_is_tried_when_it_is_longer() -> None:
    runner = Runner({"compile_times": {"eager_step_s": 1.0}})
    assert decide(runner, steps=5)[0] is False
    assert decide(runner, steps=6)[0] is False
    assert runner.asked == 1
    decide(runner, steps=600)
    assert runner.asked == 2


@pytest.mark.parametrize("answer", [None, {}, {"compile_times": {"eager_step_s": "much"}}, {"compile_times": None}])
def test_where_it_cannot_be_measured_it_is_off_with_a_note(answer: Any, cache: Path) -> None:
    compiled, notes = decide(Runner(answer, "Traceback\nRuntimeError: no g++"))
    assert not compiled
    assert notes == ["not compiled: torch.compile cannot be tried here (RuntimeError: no g++)"]
    assert not (cache / "times.json").exists()


def test_megatrons_layers_are_not_compiled() -> None:
    assert decide(Runner(None), trainer="megatron") == (False, [])
    with pytest.raises(ConfigError, match="compile = 'on' with trainer megatron"):
        decide(Runner(None), "on", trainer="megatron")


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"x": 1}', "null"])
def test_a_damaged_file_of_times_is_ignored(cache: Path, damage: str) -> None:
    cache.mkdir()
    (cache / "times.json").write_text(damage)
    assert load_times(spec(), 257, DEVICE) is None
    store_times(spec(), 257, DEVICE, LONG)
    assert load_times(spec(), 257, DEVICE) == LONG


def test_a_folder_that_cannot_be_written_is_not_a_failure(cache: Path) -> None:
    cache.write_text("a file, not a folder")
    store_times(spec(), 257, DEVICE, LONG)
    assert load_times(spec(), 257, DEVICE) is None
    assert decide(Runner({"compile_times": LONG.model_dump()}))[0] is True


def test_the_stored_times_are_plain_json(cache: Path) -> None:
    store_times(spec(), 257, DEVICE, LONG)
    (only,) = json.loads((cache / "times.json").read_text()).values()
    assert only == {"eager_step_s": 1.0, "compiled_step_s": 0.5, "compile_s": 10.0}
