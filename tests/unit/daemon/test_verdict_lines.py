"""The lines that a run by rule sequential prints."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable

import pytest

from autoresearch.config.settings import Settings
from autoresearch.core.records import Evaluated, TrialEnded, decode
from autoresearch.daemon.observers.terminal import Terminal
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.scripted_proposer import ScriptedProposer

SCRIPT = (("weight_decay", 0.1), ("lr", 3e-3), ("beta1", 0.95), ("lr", 2e-3))
Make = Callable[..., Settings]


def lines_of(settings: Settings) -> tuple[list[str], list[object]]:
    """What the terminal shows of a run, and its records."""
    script = [json.dumps({"knob": k, "new_value": v, "reason": "a hunch"}) for k, v in SCRIPT]
    loop = fake_loop(settings, ScriptedProposer(script), trial=FakeTrial())
    stream = io.StringIO()
    terminal = Terminal(settings.iters, stream)
    terminal.opened(loop.trajectory)
    loop.observer = terminal
    loop.run()
    return stream.getvalue().splitlines(), [decode(p) for p in loop.journal.payloads]  # type: ignore[attr-defined]


@pytest.fixture
def shown(make_settings: Make) -> tuple[list[str], list[object]]:
    return lines_of(make_settings({"decision.rule": "sequential", "baseline.lr": 3e-4}, iters=len(SCRIPT)))


def test_the_baseline_has_a_line_per_seed_their_mean_and_what_the_noise_means(shown) -> None:  # type: ignore[no-untyped-def]
    lines, _ = shown
    assert [line[:20].split() for line in lines[:3]] == [["baseline", "seed", str(n)] for n in range(3)]
    assert lines[3].startswith("baseline  mean of 3 seeds")
    assert lines[4].strip().startswith("one trial's noise is about 0.")
    assert all(len(line) <= 100 for line in lines[:7])


def test_a_candidate_that_is_screened_out_has_one_line(shown) -> None:  # type: ignore[no-untyped-def]
    lines, _ = shown
    (line,) = (line for line in lines if "weight_decay" in line)
    assert re.search(r"^  1/4 .*  screened out +\d+\.\d s$", line)


def test_each_trial_of_a_candidate_has_a_line_with_the_gain_so_far(shown) -> None:  # type: ignore[no-untyped-def]
    lines, records = shown
    judged = next(r for r in records if isinstance(r, Evaluated) and r.iter == 2)
    n = len(judged.trials)
    trials = [line for line in lines if "lr = 0.003, seed" in line]
    assert len(trials) == n > 1
    assert trials[0].startswith("  2/4 ")
    assert trials[0].endswith("promising: more seeds follow")
    assert trials[-1].endswith(f"over {n} seeds")
    assert judged.evidence is not None
    assert any(
        line.startswith("  2/4 ") and f"{judged.evidence.label} " in line and f"{n} seeds" in line for line in lines
    )


def test_the_baselines_further_seeds_are_named_as_such(shown) -> None:  # type: ignore[no-untyped-def]
    lines, records = shown
    later = [r for r in records if isinstance(r, TrialEnded) and r.iter == 0][3:]
    named = [line for line in lines if "needed for lr = " in line]
    assert [re.search(r"baseline, seed (\d+)", line)[1] for line in named] == [str(r.seed) for r in later]  # type: ignore[index]


def test_every_iteration_is_numbered_by_its_verdict(shown) -> None:  # type: ignore[no-untyped-def]
    lines, _ = shown
    verdicts = [line for line in lines if re.search(r"confirmed|screened out|inconclusive|no gain", line)]
    assert [line.split("/")[0].strip() for line in verdicts if "/4" in line[:8]] == ["1", "2", "3", "4"]


def test_by_rule_threshold_the_lines_are_as_before(make_settings: Make) -> None:
    lines, _ = lines_of(make_settings({"baseline.lr": 3e-4}, iters=len(SCRIPT)))
    assert len(lines) == 1 + len(SCRIPT) + 1  # baseline, iterations, complete
    assert not any("seed" in line or "noise" in line for line in lines)
    assert [line.split()[7] for line in lines[1:-1]] == ["revert", "keep", "revert", "keep"]
