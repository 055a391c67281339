"""The trust region beside a model that only fails proposes what it proposes alone."""

from __future__ import annotations

from autoresearch.core.measurement import Cause
from autoresearch.core.results import Result
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.policy import build_policy
from autoresearch.proposers.space import Space
from autoresearch.proposers.trust_region import TrustRegionProposer
from autoresearch.testing.contracts.proposer import settings_for
from rails import Tried


class Count(list):  # type: ignore[type-arg]
    """Stands for as many records of iterations."""

    def __init__(self, count: int) -> None:
        super().__init__([None] * count)


def trajectory_of(space: Space, results: list[Result]) -> Trajectory:
    found = Trajectory(results=results)
    found.tried = Tried(space.baseline)
    found.iterations = Count(len(results))  # type: ignore[assignment]
    return found


def test_failures_of_the_model_change_no_proposal_where_they_are_hidden() -> None:
    policy = build_policy(settings_for(1))
    space = Space(policy.menu, policy.baseline, policy.steps, max_changes=13)
    own = [Result(n, "evaluated", "trust-region", "lr", 1e-3 * n, 2.0, 0.001 * n, trials=1) for n in (1, 2)]
    failures = [
        Result(n, "eval_failed", "nim", "lr", 1e-4 * n, trials=0, cause=Cause.OUT_OF_MEMORY) for n in range(3, 9)
    ]
    alone = TrustRegionProposer(space, 3).propose(trajectory_of(space, own), [])
    hidden = TrustRegionProposer(space, 3, hides_failures_of="nim").propose(trajectory_of(space, own + failures), [])
    seen = TrustRegionProposer(space, 3).propose(trajectory_of(space, own + failures), [])
    assert hidden.raw == alone.raw
    assert seen.raw != alone.raw
