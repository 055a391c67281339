"""Proposers while other candidates are measured: no repeats, and no batch that piles up on one point."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from autoresearch.config.settings import Settings
from autoresearch.core.records import Evaluated, Proposed, decode
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import sha256_of
from autoresearch.daemon.policy import build_policy
from autoresearch.proposers.pending import with_pending
from autoresearch.proposers.space import Space
from autoresearch.proposers.tpe import TpeProposer
from autoresearch.proposers.trust_region import TrustRegionProposer
from autoresearch.testing.fake_trial import FakeTrial
from tests.unit.core.test_parallel_loop import parallel

WORKERS = 8


def space_of(settings: Settings) -> Space:
    policy = build_policy(settings)
    return Space(policy.menu, policy.baseline, policy.steps, lambda _cfg: "", settings.max_changes)


@pytest.mark.parametrize("kind", [TpeProposer, TrustRegionProposer])
def test_a_batch_is_of_different_configurations(make_settings: Callable[..., Settings], kind: type) -> None:
    settings = make_settings({"baseline.lr": 3e-4}, iters=24)
    loop = parallel(settings, WORKERS, 1, kind(space_of(settings), 1), trial=FakeTrial())
    loop.run()
    records = [decode(p) for p in loop.journal.payloads]
    proposed = [r for r in records if isinstance(r, Proposed)]
    assert len(proposed) == 24
    assert len({sha256_of(r.candidate_cfg) for r in proposed}) == 24
    last = [r.candidate_cfg for r in proposed[-WORKERS:]]
    changed = {tuple(k for k in cfg if cfg[k] != loop.baseline_cfg[k]) for cfg in last}
    assert len(changed) >= 2, "not all of one knob"


def test_a_pending_candidate_counts_as_the_worst_result_and_no_longer_once_it_is_closed(
    make_settings: Callable[..., Settings],
) -> None:
    loop = parallel(make_settings({"baseline.lr": 3e-4}, iters=5), 3, 1)
    loop.run()
    records = [decode(p) for p in loop.journal.payloads]
    seen = 0
    for place in range(2, len(records)):
        before = Trajectory.fold(records[:place])
        lies = with_pending(before).results[len(before.results) :]
        assert [r.iter for r in lies] == before.candidates
        assert with_pending(before).known().pending == before.pending
        gains = [r.improvement_frac for r in before.iterations if isinstance(r, Evaluated)]
        assert all(r.improvement_frac == min([*gains, 0.0]) for r in lies)
        seen += len(lies)
    assert seen
    assert with_pending(before) is before or before.candidates
