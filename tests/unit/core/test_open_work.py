"""What a start of the daemon makes of trials that never ended."""

from __future__ import annotations

import pytest

from autoresearch.core.open_work import OpenWork
from autoresearch.core.records import TrialStarted


def started(trial: int, n: int, seed: int, boot_id: str = "before") -> TrialStarted:
    fields = {"ts": "now", "cfg": {"lr": 1e-3}, "continues": False, "boot_id": boot_id}
    return TrialStarted(trial=trial, iter=n, seed=seed, **fields)


def at_work(*begun: TrialStarted) -> OpenWork:
    work = OpenWork(parallel=True)
    for record in begun:
        work.aim(record)
        work._begin_trial(record)
    return work


def losses(work: OpenWork, n: int) -> int:
    work.focus(n)
    return work.host_losses


def test_one_reboot_is_one_loss_of_an_iteration_however_many_of_its_trials_ran() -> None:
    work = at_work(started(1, 0, 0), started(2, 0, 1), started(3, 0, 2))
    work.lose_running("after")
    assert work.trials_at_work == []
    assert losses(work, 0) == 1


def test_it_is_one_loss_of_each_iteration_that_had_a_trial_at_work() -> None:
    work = at_work(started(1, 4, 0), started(2, 5, 0), started(3, 4, 1))
    work.lose_running("after")
    assert [losses(work, n) for n in (4, 5, 6)] == [1, 1, 0]


@pytest.mark.parametrize(("boot_ids", "expected"), [(("before", "after"), [1, 0]), (("after", "after"), [0, 0])])
def test_a_restart_of_the_daemon_alone_is_none(boot_ids: tuple[str, str], expected: list[int]) -> None:
    work = at_work(*(started(n, n, 0, boot_id) for n, boot_id in enumerate(boot_ids, 1)))
    work.lose_running("after")
    assert [losses(work, n) for n in (1, 2)] == expected
    assert work.trials_at_work == []
