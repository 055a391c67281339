"""Time to build the prompt of an LLM, and what it costs in tokens, in a run that has 10,000 iterations behind it.

python -m benchmarks.prompt
"""

from __future__ import annotations

import statistics
import time

from autoresearch.config.settings import Settings
from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg
from autoresearch.daemon.policy import build_policy
from autoresearch.proposers.prompting.answer_schema import answer_schema
from autoresearch.proposers.prompting.prompt import PromptInputs, build_prompt
from autoresearch.proposers.random import RandomProposer
from autoresearch.proposers.space import Space
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial
from benchmarks.machine import describe
from rails import default_menu

ITERATIONS = 10_000
REPEATS = 50
PROPOSALS = 4


def fails(cfg: Cfg) -> Failure | None:
    """One learning rate in twelve."""
    diverged = Failure(cause=Cause.NON_FINITE_LOSS, detail="the loss became nan in step 7 (train)", step=7)
    return diverged if float(cfg["lr"]) > 6e-3 else None


def night(iterations: int) -> tuple[Space, Trajectory]:
    """A run of the real loop and the real rails with random proposals and a fake trial."""
    settings = Settings(iters=iterations, baseline=default_menu().defaults)
    policy = build_policy(settings)
    space = Space(policy.menu, policy.baseline, policy.steps)
    loop = fake_loop(settings, RandomProposer(space, 0), FakeTrial(fail=fails))
    loop.run()
    return space, loop.trajectory


def main() -> None:
    space, trajectory = night(ITERATIONS)
    inputs = PromptInputs(space, trajectory, "2 h 30 min", PROPOSALS)
    print(f"### Time to build a prompt\n\n{describe()}\n")
    print(f"`python -m benchmarks.prompt`: {REPEATS} times each, a run with {ITERATIONS:,} iterations\n")
    print("| | median ms | largest ms | characters |\n|---|---|---|---|")
    for tokens in (2000, 6000, 30_000):
        times, text = [], ""
        for _ in range(REPEATS):
            began = time.perf_counter()
            text = build_prompt(inputs, tokens)
            times.append(1000 * (time.perf_counter() - began))
        print(f"| prompt of {tokens:,} tokens | {statistics.median(times):.1f} | {max(times):.1f} | {len(text):,} |")
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        answer_schema(space, trajectory, PROPOSALS)
        times.append(1000 * (time.perf_counter() - began))
    print(f"| schema of the answer | {statistics.median(times):.1f} | {max(times):.1f} | |")
    print("| target for 6,000 tokens | at most 50 | at most 50 | |")


if __name__ == "__main__":
    main()
