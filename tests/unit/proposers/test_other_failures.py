"""The optimizer beside a model that only runs out of memory proposes what it proposes alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.ports import Reply
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.policy import build_policy
from autoresearch.proposers.hybrid import HybridProposer
from autoresearch.proposers.space import Space, build_reply
from autoresearch.proposers.trust_region import TrustRegionProposer
from autoresearch.testing.contracts.proposer import settings_for
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial


@dataclass
class TooLarge:
    """A model of which no proposal fits."""

    space: Space
    name: str = "nim"

    def propose(self, trajectory: Trajectory, refused: Any) -> Reply:
        n = 1 + sum(r.source == "nim" for r in trajectory.results) + len(refused)
        return build_reply("grad_clip", 0.5 + 1.37e-5 * n, "bigger is better", self.name)


def out_of_memory(cfg: Any) -> Failure | None:
    is_of_model = round(cfg["grad_clip"], 4) != cfg["grad_clip"]  # the optimizer rounds to four digits
    return Failure(cause=Cause.OUT_OF_MEMORY, detail="too large") if is_of_model else None


def candidates(hybrid: Any, iters: int) -> list[Any]:
    chosen = settings_for(iters, decision={"rule": "threshold"}, limits={"max_attempts": 9})
    loop = fake_loop(chosen, hybrid, FakeTrial(fail=out_of_memory))
    loop.run()
    return [(r.source, r.changes) for r in loop.trajectory.results]


def test_what_failed_of_the_models_changes_nothing_of_the_optimizers_proposals():
    policy = build_policy(settings_for(1))
    space = Space(policy.menu, policy.baseline, policy.steps)
    alone = candidates(TrustRegionProposer(space, 3), 44)
    share: Any
    for share in ("auto", 0.3):
        both = candidates(
            HybridProposer(TrustRegionProposer(space, 3, hides_failures_of="nim"), TooLarge(space), share), 44
        )
        own = [found for found in both if found[0] == "trust-region"]
        assert all(changes for _, changes in both)  # each was tried
        assert own == alone[: len(own)]
        assert len(own) >= (42 if share == "auto" else 31)
