"""What a night on the surrogate is made of: the problem, and the port of whatever searches it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from autoresearch.benches.search.surrogate import Surrogate
from autoresearch.core.values import Cfg
from rails import Menu, Steps

BASELINE_SEED = 1 << 30  # of the one measurement of the baseline that every searcher begins with


@dataclass(frozen=True, slots=True)
class Trial:
    """``value`` is ``None`` for a crash. A crash counts with the FLOPs of its configuration."""

    value: float | None
    flops: float


@dataclass(frozen=True)
class Problem:
    """One night: the surrogate with the luck of one seed."""

    surrogate: Surrogate
    seed: int

    @property
    def menu(self) -> Menu:
        return self.surrogate.cube.menu

    @property
    def baseline(self) -> Cfg:
        return self.surrogate.baseline

    @property
    def steps(self) -> Steps:
        """For constraints that use the steps of a trial; ``None`` leaves them out."""
        return None

    def baseline_value(self) -> float:
        """Its measurement, which costs no trial of the night."""
        value = self.surrogate.draw(self.baseline, BASELINE_SEED + self.seed)
        assert value is not None  # it never fails
        return value

    def run(self, cfg: Cfg) -> Trial:
        """One trial of the night."""
        return Trial(self.surrogate.draw(cfg, self.seed), self.surrogate.flops(cfg))

    def allows(self, cfg: Cfg) -> bool:
        """Whether the menu's constraints hold."""
        return not self.menu.broken_rule(cfg, self.steps)


class Searcher(Protocol):
    """Proposes a configuration, is told its value, and says which one it would hand over now."""

    def ask(self) -> Cfg: ...

    def tell(self, cfg: Cfg, value: float | None) -> None:
        """``None``: it crashed."""
        ...

    def pick(self) -> Cfg: ...


Build = Callable[[Problem], Searcher]


@dataclass(slots=True)
class Best:
    """The lowest single measurement so far: what a searcher without a model of the noise hands over."""

    cfg: Cfg
    value: float

    def see(self, cfg: Cfg, value: float | None) -> bool:
        """Whether it is better than all before."""
        if value is None or value >= self.value:
            return False
        self.cfg, self.value = cfg, value
        return True
