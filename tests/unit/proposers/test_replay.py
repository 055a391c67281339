"""The recorded replies of a run, each proposed once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from autoresearch.config.settings import Settings
from autoresearch.core.records import Proposed
from autoresearch.core.values import sha256_of
from autoresearch.proposers.replay import ReplayProposer
from tests.unit.core.loop_world import records
from tests.unit.core.test_parallel_loop import CANDIDATES, parallel


@pytest.mark.parametrize("workers", [1, 3, 6])
def test_replies_of_iterations_that_are_still_open_are_not_replayed_again(
    make_settings: Callable[..., Settings], workers: int
) -> None:
    settings = make_settings({"baseline.lr": 3e-4, "decision.rule": "sequential"}, iters=len(CANDIDATES))
    loop = parallel(settings, workers, 1, ReplayProposer(tuple((reply,) for reply in CANDIDATES)))
    assert loop.run() == "complete"
    found = records(loop)
    proposed = [r for r in found if isinstance(r, Proposed)]
    assert [r.iter for r in proposed] == list(range(1, len(CANDIDATES) + 1))
    assert len({sha256_of(r.candidate_cfg) for r in proposed}) == len(CANDIDATES)
    assert not any(r.stage == "blocked" for r in found)
