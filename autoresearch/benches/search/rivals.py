"""What others search with: random, a one-knob climb, and the samplers of Optuna over the joint space, as shipped."""

from __future__ import annotations

import importlib.util
import random
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from autoresearch.benches.search.problem import Best, Problem, Searcher
from autoresearch.core.ports import Exhausted
from autoresearch.core.values import Cfg
from autoresearch.proposers.space import Space, round_value
from rails import ChoiceKnob, FloatKnob, IntKnob, same_value

if TYPE_CHECKING:
    import optuna

MAX_DRAWS = 1000


@dataclass(slots=True)
class RandomSearcher:
    """Every knob drawn from its range, uniformly or on its logarithmic scale."""

    problem: Problem
    _rng: random.Random = field(init=False)
    _best: Best = field(init=False)

    def __post_init__(self) -> None:
        self._rng = random.Random(f"random:{self.problem.seed}")
        self._best = Best(self.problem.baseline, self.problem.baseline_value())

    def ask(self) -> Cfg:
        space = Space(self.problem.menu, self.problem.baseline, None)
        for _ in range(MAX_DRAWS):
            cfg = {name: space.draw(knob, self._rng) for name, knob in self.problem.menu.knobs.items()}
            if self.problem.allows(cfg):
                return cfg
        raise Exhausted(f"{MAX_DRAWS} configurations in a row break a constraint")

    def tell(self, cfg: Cfg, value: float | None) -> None:
        self._best.see(cfg, value)

    def pick(self) -> Cfg:
        return self._best.cfg


@dataclass(slots=True)
class ClimbSearcher:
    """One knob of the best so far is changed, and kept if a single measurement is better, as in karpathy's loop."""

    problem: Problem
    _rng: random.Random = field(init=False)
    _best: Best = field(init=False)

    def __post_init__(self) -> None:
        self._rng = random.Random(f"climb:{self.problem.seed}")
        self._best = Best(self.problem.baseline, self.problem.baseline_value())

    def ask(self) -> Cfg:
        space = Space(self.problem.menu, self._best.cfg, None)
        knobs = list(self.problem.menu.knobs.values())
        for _ in range(MAX_DRAWS):
            knob = self._rng.choice(knobs)
            near = space.neighbours(knob)
            value = self._rng.choice(near) if near and self._rng.random() < 0.7 else space.draw(knob, self._rng)
            cfg = {**self._best.cfg, knob.name: value}
            if not same_value(value, self._best.cfg[knob.name]) and self.problem.allows(cfg):
                return cfg
        raise Exhausted(f"{MAX_DRAWS} changes in a row break a constraint")

    def tell(self, cfg: Cfg, value: float | None) -> None:
        self._best.see(cfg, value)

    def pick(self) -> Cfg:
        return self._best.cfg


@dataclass(slots=True)
class OptunaSearcher:
    """A sampler over the joint space that begins with the baseline; a crash is a failed trial, without a penalty."""

    problem: Problem
    sampler: Any
    _study: optuna.Study = field(init=False)
    _trial: Any = None
    _best: Best = field(init=False)

    def __post_init__(self) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(direction="minimize", sampler=self.sampler)
        value = self.problem.baseline_value()
        self._best = Best(self.problem.baseline, value)
        distributions = self._distributions()
        params = {name: self.problem.baseline[name] for name in distributions}
        self._study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=value))

    def ask(self) -> Cfg:
        for _ in range(MAX_DRAWS):
            self._trial = self._study.ask(self._distributions())
            cfg = {**self.problem.baseline, **self._plain(self._trial.params)}
            if self.problem.allows(cfg):
                return cfg
            self._fail()
        raise Exhausted(f"{MAX_DRAWS} suggestions in a row break a constraint")

    def tell(self, cfg: Cfg, value: float | None) -> None:
        if value is None:
            self._fail()
        else:
            self._study.tell(self._trial, value)
        self._best.see(cfg, value)

    def pick(self) -> Cfg:
        return self._best.cfg

    def _fail(self) -> None:
        from optuna.trial import TrialState

        self._study.tell(self._trial, state=TrialState.FAIL)

    def _distributions(self) -> dict[str, Any]:
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        found: dict[str, Any] = {}
        for name, knob in self.problem.menu.knobs.items():
            match knob:
                case ChoiceKnob(choices=choices) if len(choices) > 1:
                    found[name] = CategoricalDistribution(list(choices))
                case IntKnob(low=low, high=high) if low < high:
                    found[name] = IntDistribution(low, high)
                case FloatKnob(low=low, high=high, log=log) if low < high:
                    found[name] = FloatDistribution(low, high, log=log)
        return found

    def _plain(self, params: dict[str, Any]) -> Cfg:
        knobs = {
            name: knob for name, knob in self.problem.menu.knobs.items() if name in params
        }  # without constant ones
        floats = {n: round_value(float(params[n]), k.low, k.high) for n, k in knobs.items() if isinstance(k, FloatKnob)}
        return {**params, **floats}


def _require(*packages: str) -> None:
    for name in packages:
        if importlib.util.find_spec(name) is None:
            raise ImportError(f"No module named {name!r}", name=name)


def build_random(problem: Problem) -> Searcher:
    return RandomSearcher(problem)


def build_climb(problem: Problem) -> Searcher:
    return ClimbSearcher(problem)


def build_tpe(problem: Problem) -> Searcher:
    """Raises ``ImportError``, as what follows."""
    import optuna

    return OptunaSearcher(problem, optuna.samplers.TPESampler(seed=problem.seed))


def build_tpe_multivariate(problem: Problem) -> Searcher:
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return OptunaSearcher(problem, optuna.samplers.TPESampler(seed=problem.seed, multivariate=True))


def build_gp(problem: Problem) -> Searcher:
    import optuna

    _require("scipy", "torch")  # which the sampler imports late
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return OptunaSearcher(problem, optuna.samplers.GPSampler(seed=problem.seed))


def build_cmaes(problem: Problem) -> Searcher:
    import optuna

    _require("cmaes")
    start = dict(problem.baseline)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # x0 is deprecated, and nothing replaces it
        sampler = optuna.samplers.CmaEsSampler(x0=start, seed=problem.seed, warn_independent_sampling=False)
    return OptunaSearcher(problem, sampler)
