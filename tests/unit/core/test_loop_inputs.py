"""A trial that may have read a changed input counts for nothing, and the run ends in good order."""

from __future__ import annotations

import pytest

from autoresearch.core.measurement import Cause, Failure, Suspended
from autoresearch.core.records import Baseline, Evaluated, Stopped, TrialEnded, TrialStarted
from autoresearch.errors import CorpusError
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import measurement
from autoresearch.testing.scripted_proposer import ScriptedProposer
from tests.unit.core.loop_world import BETTER, only, records, restarted, stages

CHANGED = "/corpus/val.bin has changed since the run read it"
CRASHED = Failure(cause=Cause.CRASHED, detail="ended by SIGBUS", exit_code=-7)
HALF = Suspended(step=3, resumes_at=3, train_wall_s=1.0, val_wall_s=0.0, trial_wall_s=2.0)


def changes_during(loop, trial: int, outcome) -> None:
    """The input changes during the ``trial``th trial, which ends with ``outcome``."""
    state = {"trials": 0, "changed": ""}
    original = loop.trial

    class Reads:
        def measure(self, cfg, seed, on_progress, *rest):
            state["trials"] += 1
            if state["trials"] != trial:
                return original.measure(cfg, seed, on_progress, *rest)
            state["changed"] = CHANGED
            return outcome

    loop.trial = Reads()
    loop.changed_input = lambda: state["changed"]


@pytest.mark.parametrize("outcome", [measurement(0.5), CRASHED, HALF], ids=["measured", "crashed", "suspended"])
@pytest.mark.parametrize("trial", [1, 2], ids=["baseline", "candidate"])
def test_neither_a_keep_nor_a_failure_comes_from_it(make_settings, outcome, trial: int) -> None:
    settings = make_settings(iters=2)
    loop = fake_loop(settings, ScriptedProposer([BETTER]))
    undisturbed = loop.trial
    changes_during(loop, trial, outcome)
    with pytest.raises(CorpusError, match=r"val\.bin has changed") as error:
        loop.run()
    assert error.value.exit_code == 66
    assert error.value.hint
    ended = only(TrialEnded, loop)
    assert [t.void for t in ended] == [False] * (trial - 1) + [True]
    assert only(Evaluated, loop) == []
    assert len(only(Baseline, loop)) == trial - 1
    (stop,) = only(Stopped, loop)
    assert stop.reason == CHANGED
    loop.trial = undisturbed
    again = restarted(loop, settings, [BETTER] if trial == 1 else [])
    again.iters = 1
    assert again.run() == "complete"
    (tried,) = only(Evaluated, again)
    assert tried.val_bpb > 1, "measured again, with the file restored"
    seeds = {t.seed for t in only(TrialStarted, again)}
    assert len(seeds) == 1


def test_a_change_between_two_trials_starts_no_trial(make_settings) -> None:
    loop = fake_loop(make_settings(), ScriptedProposer([BETTER]))
    loop.changed_input = lambda: CHANGED
    with pytest.raises(CorpusError):
        loop.run()
    assert stages(loop) == ["meta", "stopped"]
    assert records(loop)[-1].reason == CHANGED
