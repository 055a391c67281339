"""The time and energy of the parts of one trial add up."""

from __future__ import annotations

import pytest

from autoresearch.core.measurement import Cause, Failure, Suspended
from autoresearch.testing.fake_trial import measurement
from autoresearch.trials.suspend import SuspendFailed, add_earlier_parts, suspended_at_last_checkpoint

BEFORE = Suspended(step=7, resumes_at=5, train_wall_s=3.0, val_wall_s=0.5, trial_wall_s=4.0, energy_j=10.0)
ENDED = measurement(2.0).model_copy(update={"trial_wall_s": 6.0, "energy_j": 15.0})


def test_a_trial_in_one_part_is_what_it_is() -> None:
    assert add_earlier_parts(ENDED, None) is ENDED


def test_seconds_and_joules_are_of_all_parts_and_the_measured_numbers_of_the_whole() -> None:
    assert add_earlier_parts(ENDED, BEFORE) == ENDED.model_copy(update={"trial_wall_s": 10.0, "energy_j": 25.0})


@pytest.mark.parametrize(("first", "second"), [(None, 15.0), (10.0, None), (None, None)])
def test_joules_that_are_not_known_of_every_part_are_not_known(first: float | None, second: float | None) -> None:
    before, ended = (m.model_copy(update={"energy_j": j}) for m, j in ((BEFORE, first), (ENDED, second)))
    assert add_earlier_parts(ended, before).energy_j is None


def test_a_failure_without_seconds_has_those_of_its_earlier_parts() -> None:
    assert add_earlier_parts(Failure(cause=Cause.CRASHED, detail=""), BEFORE).trial_wall_s == 4.0


def test_a_killed_trial_resumes_from_its_earlier_checkpoint() -> None:
    aside = suspended_at_last_checkpoint(SuspendFailed("it hangs", step=9), BEFORE, 2.0)
    assert (aside.step, aside.resumes_at, aside.problem, aside.trial_wall_s) == (9, 5, "it hangs", 2.0)
    starting = suspended_at_last_checkpoint(SuspendFailed("it compiles", step=None), BEFORE, 2.0)
    assert (starting.step, starting.resumes_at) == (7, 5)


def test_a_killed_trial_without_a_checkpoint_starts_over() -> None:
    aside = suspended_at_last_checkpoint(SuspendFailed("it compiles", step=None), None, 2.0)
    assert (aside.step, aside.resumes_at, aside.train_wall_s) == (0, None, 0.0)
