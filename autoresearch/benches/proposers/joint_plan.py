"""Which configurations of the joint space a table measures, in rounds. Deterministic in the seed and earlier rounds.

A third of a round is uniform over the menu, a third changes one to six knobs of the baseline, and a third changes one
to four knobs of the best configurations of the rounds before: proposers end there, and there a surrogate has to be
right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from autoresearch.core.values import Cfg, sha256_of
from autoresearch.errors import ConfigError
from autoresearch.proposers.cube import Array, Cube
from rails import Menu

ROUND = 100  # measured configurations of a round
BEST = 10  # configurations of the rounds before that a third of a round starts from
REACH = 0.35  # of a knob's range: how far a change may go from its start
BASELINE_CHANGES, BEST_CHANGES = 6, 4  # the most knobs of one configuration that are changed
DRAWS = 200  # for each wanted configuration, after which the space is taken for exhausted

Allowed = Callable[[Cfg], bool]


@dataclass(frozen=True, slots=True)
class JointPlan:
    """How much is measured: ``repeats`` more seeds of each ``repeated``-th configuration."""

    configurations: int
    baseline_seeds: int = 12
    repeats: int = 2
    repeated: int = 20
    seed: int = 0


def draw_round(menu: Menu, baseline: Cfg, number: int, seed: int, best: Sequence[Cfg]) -> Iterator[Cfg]:
    """An endless sequence of configurations for round ``number``; the same may occur twice.

    A knob that is not on the menu keeps the baseline's value.
    """
    rng = np.random.default_rng([seed, number])
    cube = Cube(menu)
    starts = cube.places([baseline, *best])
    while True:
        kind = int(rng.integers(3))
        if kind == 0:
            place = rng.random(len(cube.knobs))
        elif kind == 1 or not best:
            place = _change(starts[0], int(rng.integers(1, BASELINE_CHANGES + 1)), rng)
        else:
            place = _change(starts[1 + int(rng.integers(len(best)))], int(rng.integers(1, BEST_CHANGES + 1)), rng)
        yield {**baseline, **cube.config(cube.snap(place[None, :])[0])}


def _change(start: Array, changes: int, rng: np.random.Generator) -> Array:
    place = start.copy()
    knobs = rng.choice(len(place), min(changes, len(place)), replace=False)
    place[knobs] = np.clip(place[knobs] + rng.uniform(-REACH, REACH, len(knobs)), 0.0, 1.0)
    return place


def take_new(drawn: Iterator[Cfg], count: int, allowed: Allowed, crashes: Allowed, seen: set[str]) -> list[Cfg]:
    """Configurations that the menu allows, each once, until ``count`` of them do not crash.

    ``seen`` has the hashes of earlier ones and gets those of these. Raises ``ConfigError`` where the space has no more.
    """
    taken: list[Cfg] = []
    left = count
    for _ in range(DRAWS * count):
        cfg = next(drawn)
        key = sha256_of(cfg)
        if key in seen or not allowed(cfg):
            continue
        seen.add(key)
        taken.append(cfg)
        left -= not crashes(cfg)
        if left == 0:
            return taken
    what = f"{DRAWS * count:,} draws from the menu found {count - left} new configurations to measure of {count}"
    raise ConfigError(what, hint="fewer with --joint, a wider menu, or a larger limits.memory_gib")
