"""The vault of a whole run: sealed in its own private file, unsealed in the trajectory, and its loss ends nothing."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoresearch.config.settings import Settings
from autoresearch.core.ports import Observer
from autoresearch.core.records import Evaluated, Event, TrialEnded, Unsealed, decode
from autoresearch.daemon import service
from autoresearch.daemon.policy import Policy
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.storage.journal import read
from autoresearch.storage.run_dir import REPORT, TRAJECTORY, VAULT
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.recording_observer import RecordingObserver

BETTER = json.dumps({"knob": "lr", "new_value": 3e-3, "reason": "a hunch"})
TEST_BPB = 1.234567890123456


def backend(has_vault: bool) -> Callable[..., TrialBackend]:
    def make(_s: Settings, _p: Policy, _dir: Path, aborted: Callable[[], bool], _observer: Observer) -> TrialBackend:
        trial = FakeTrial(aborted=aborted, test_bpb=lambda cfg, seed: TEST_BPB + cfg["lr"] * (1 + seed))
        return TrialBackend(trial, YARDSTICK, None, has_vault=has_vault)

    return make


@pytest.fixture
def settings(make_settings) -> Settings:
    """One iteration whose candidate is kept: a gain of 2.5%, at an alpha that eight baseline seeds can confirm."""
    rule = {"decision.rule": "sequential", "decision.alpha": 0.4, "decision.baseline_seeds": 8, "baseline.lr": 3e-4}
    return make_settings(rule, iters=1, proposer="replay")


@pytest.fixture
def with_report(settings: Settings) -> Settings:
    """The same, and the run writes its text report."""
    return settings.model_copy(update={"reports": ("text",)})


def night(settings: Settings, *, has_vault: bool = True, observer: Observer | None = None) -> list[Any]:
    make, watcher = backend(has_vault), observer or RecordingObserver()
    assert service.run(settings, watcher, replies=((BETTER,),), make_backend=make) == "complete"
    records = [decode(payload) for payload in read(settings.run_dir / TRAJECTORY).payloads]
    assert [r.decision for r in records if isinstance(r, Evaluated)] == ["keep"]
    return records


def only_unsealed(records: list[Any]) -> Unsealed:
    (unsealed,) = (r for r in records if isinstance(r, Unsealed))
    return unsealed


def test_each_trial_has_a_line_and_the_keep_a_record(settings: Settings) -> None:
    records = night(settings)
    lines = [json.loads(line) for line in (settings.run_dir / VAULT).read_text().splitlines()]
    trials = [(r.trial, r.seed) for r in records if isinstance(r, TrialEnded)]
    assert [(line["trial"], line["seed"]) for line in lines] == trials
    unsealed = only_unsealed(records)
    assert len(unsealed.seeds) >= 4
    assert unsealed.test_gain_frac is not None
    assert unsealed.test_gain_frac < 0, "on the test split of this fake a larger lr is worse"


def test_sealed_values_are_in_no_other_file_of_the_run_and_their_file_is_private(with_report: Settings) -> None:
    night(with_report)
    sealed = [str(json.loads(line)["test_bpb"]) for line in (with_report.run_dir / VAULT).read_text().splitlines()]
    others = [p for p in with_report.run_dir.rglob("*") if p.is_file() and p.name != VAULT]
    assert {TRAJECTORY, REPORT} <= {p.name for p in others}
    assert [(p.name, v) for p in others for v in sealed if v in p.read_text(errors="replace")] == []
    assert stat.S_IMODE((with_report.run_dir / VAULT).stat().st_mode) == 0o600


def test_the_report_shows_the_gain_on_test(with_report: Settings) -> None:
    night(with_report)
    text = " ".join((with_report.run_dir / REPORT).read_text().split())
    assert "vault iteration 1, lr = 0.003: +2.4" in text
    assert "may be fitted to the validation span" in text


def test_without_a_vault_there_is_no_file_and_no_record(settings: Settings) -> None:
    records = night(settings, has_vault=False)
    assert not (settings.run_dir / VAULT).exists()
    assert not any(isinstance(r, Unsealed) for r in records)


def test_a_file_that_is_deleted_meanwhile_is_said_and_ends_nothing(settings: Settings) -> None:
    class Deletes(RecordingObserver):
        def recorded(self, event: Event) -> None:
            if isinstance(event, TrialEnded) and event.trial == 3:
                (settings.run_dir / VAULT).unlink()

    observer = Deletes()
    unsealed = only_unsealed(night(settings, observer=observer))
    assert unsealed.missing == (1, 2, 3)
    assert [m for m in observer.messages if "has no line of trial 1, 2, 3" in m]


def test_a_folder_in_its_place_is_said_and_ends_nothing(settings: Settings) -> None:
    (settings.run_dir / VAULT).mkdir(parents=True)
    observer = RecordingObserver()
    unsealed = only_unsealed(night(settings, observer=observer))
    assert (unsealed.seeds, unsealed.test_gain_frac) == ((), None)
    assert sum("cannot be sealed" in m for m in observer.messages) == 1, "not for every trial"
    assert observer.messages[0].startswith("the value of trial 1 cannot be sealed: ")
