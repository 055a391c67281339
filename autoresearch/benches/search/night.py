"""One night on the surrogate: what a searcher would hand over at its marks, and along the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autoresearch.benches.search.problem import Build, Problem, Searcher
from autoresearch.benches.search.surrogate import Surrogate
from autoresearch.core.ports import Exhausted

STEP = 5  # trials between two points of a curve
CHEAPER = 4  # a night at equal FLOPs ends after that many times the trials of its last mark


@dataclass(frozen=True, slots=True)
class Mark:
    """A night after ``trials`` trials, or at the training FLOPs of that many trials of the default."""

    trials: int
    is_flops: bool
    mean_true: float
    crash_frac: float


@dataclass(frozen=True, slots=True)
class Night:
    """``curve``: the true mean after 0, 5, 10, ... trials. ``missing``: why this proposer could not run."""

    proposer: str
    seed: int
    marks: tuple[Mark, ...]
    missing: str = ""
    curve: tuple[float, ...] = ()


class NotHere(Exception):
    """The proposer cannot run on this table; the message says why."""


def run_night(surrogate: Surrogate, name: str, build: Build, seed: int, marks: Sequence[int]) -> Night:
    """One night until its last mark."""
    problem = Problem(surrogate, seed)
    try:
        searcher = build(problem)
    except ImportError as e:
        return Night(name, seed, (), f"package {e.name or e} is not installed")
    except NotHere as e:
        return Night(name, seed, (), str(e))
    course = _Course(problem, searcher, max(marks))
    found = tuple(_marks(course, marks))
    return Night(name, seed, found, "", tuple(course.curve))


class _Course:
    """A running night."""

    def __init__(self, problem: Problem, searcher: Searcher, last: int) -> None:
        self.problem, self.searcher, self.last = problem, searcher, last
        self.trials, self.crashes, self.spent, self.is_over = 0, 0, 0.0, False
        self.curve = [self.true()]

    def true(self) -> float:
        return self.problem.surrogate.mean(self.searcher.pick())

    def mark(self, at: int, is_flops: bool) -> Mark:
        return Mark(at, is_flops, self.true(), self.crashes / self.trials if self.trials else 0.0)

    def advance(self) -> None:
        try:
            cfg = self.searcher.ask()
        except Exhausted:
            self.is_over = True
            missing = self.last // STEP + 1 - len(self.curve)
            self.curve += [self.true()] * max(0, missing)
            return
        trial = self.problem.run(cfg)
        self.searcher.tell(cfg, trial.value)
        self.trials += 1
        self.crashes += trial.value is None
        self.spent += trial.flops
        if self.trials % STEP == 0 and self.trials <= self.last:
            self.curve.append(self.true())


def _marks(course: _Course, marks: Sequence[int]) -> Iterator[Mark]:
    surrogate = course.problem.surrogate
    unit = surrogate.flops(course.problem.baseline)
    by_trials, by_flops = sorted(marks), sorted(marks) if surrogate.costs is not None else []
    while True:
        while by_trials and (course.is_over or course.trials >= by_trials[0]):
            yield course.mark(by_trials.pop(0), False)
        is_last = course.is_over or course.trials >= CHEAPER * max(marks)
        while by_flops and (is_last or course.spent >= by_flops[0] * unit * (1 - 1e-9)):
            yield course.mark(by_flops.pop(0), True)
        if not by_trials and not by_flops:
            return
        course.advance()
