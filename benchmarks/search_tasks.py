"""Draw a joint search task with a known truth, and write a table and a menu of it for ``autoresearch bench search``.

python -m benchmarks.search_tasks SEED DIRECTORY [--rows 2000]

A task has 14 knobs (lr on a logarithmic scale, whole numbers, ordered choices), a bowl with unequal curvatures and
interactions whose bottom is 2% below the default, three half-spaces of two or three knobs that crash (about 60% of all
configurations), and noise of Student's t with 2.5 degrees of freedom. It has the shape of the published task of
docs/search.md as far as that is known; it is not that task. Half of the rows are random, half are near the default.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autoresearch.proposers.cube import Array, Cube
from rails import Config, Menu, parse_menu

Rows = list[dict[str, object]]

CHOICES = {
    "aspect": [32, 48, 64, 80, 96, 128],
    "head": [32, 64, 128, 256],
    "total_batch": [16, 17, 18, 19, 20],
    "device_batch": [8, 16, 32, 64, 128],
}
RANGES = {
    "lr_matrix": (1e-3, 0.5, True),
    "lr_embed": (0.01, 2.0, True),
    "lr_unembed": (1e-4, 0.05, True),
    "lr_scalar": (0.02, 2.0, True),
    "weight_decay": (0.0, 0.5, False),
    "beta1": (0.5, 0.95, False),
    "warmup": (0.0, 0.4, False),
    "warmdown": (0.0, 1.0, False),
    "final_lr": (0.0, 0.4, False),
}
BOTTOM, GAIN, SOFT = 0.9729, 0.0185, 0.15
NOISE, TAIL_DF = 0.0008, 2.5
REPEATED, REPEATS = 30, 4


@dataclass(frozen=True)
class Task:
    """The truth, by place in the unit cube."""

    cube: Cube
    optimum: Array
    curvature: Array
    crashing: tuple[tuple[Array, Array, float], ...]  # knobs, weights, threshold
    size: float

    def mean(self, places: Array) -> Array:
        off = places - self.optimum
        bowl = self.size * 0.5 * np.einsum("ij,jk,ik->i", off, self.curvature, off)
        return BOTTOM + SOFT * np.log1p(bowl / SOFT)

    def crashes(self, places: Array) -> Array:
        return np.any([places[:, knobs] @ weights > most for knobs, weights, most in self.crashing], axis=0)

    def draw(self, cfg: Config, rng: np.random.Generator) -> float | None:
        """One measurement; ``None`` for a crash."""
        place = self.cube.places([cfg])
        if self.crashes(place)[0]:
            return None
        return float(self.mean(place)[0] + NOISE * rng.standard_t(TAIL_DF))


def draw_task(seed: int) -> Task:
    rng = np.random.default_rng(seed)
    knobs = 1 + len(CHOICES) + len(RANGES)
    optimum = rng.uniform(0.1, 0.9, knobs)
    start = np.clip(optimum + rng.choice([-1, 1], knobs) * rng.uniform(0.02, 0.32, knobs), 0.03, 0.97)
    cube = Cube(parse_menu({"version": 1, "knobs": _entries(start)}))
    own = cube.places([cube.menu.defaults])
    weights = np.exp(rng.normal(0, 0.9, knobs))
    mixed = np.triu(rng.normal(0, 1, (knobs, knobs)) * (rng.random((knobs, knobs)) < 0.15), 1)
    values, vectors = np.linalg.eigh(
        2 * np.diag(weights) + 0.5 * (mixed + mixed.T) * np.sqrt(np.outer(weights, weights))
    )
    curvature = (vectors * np.maximum(values, 0.05)) @ vectors.T
    off = own[0] - optimum
    crashing = tuple(_half_space(rng, own[0], optimum) for _ in range(3))
    return Task(cube, optimum, curvature, crashing, GAIN / float(0.5 * off @ curvature @ off))


def _entries(start: Array) -> dict[str, dict[str, object]]:
    entries: dict[str, dict[str, object]] = {
        "depth": {"type": "int", "low": 2, "high": 16, "default": round(2 + 14 * float(start[0]))}
    }
    for place, (name, choices) in zip(start[1:], CHOICES.items(), strict=False):
        default = choices[round(float(place) * (len(choices) - 1))]
        entries[name] = {"type": "choice", "choices": choices, "default": default}
    for place, (name, (low, high, log)) in zip(start[1 + len(CHOICES) :], RANGES.items(), strict=True):
        value = low * (high / low) ** place if log else low + place * (high - low)
        entries[name] = {"type": "float", "low": low, "high": high, "log": log, "default": float(f"{value:.4g}")}
    return entries


def _half_space(rng: np.random.Generator, own: Array, optimum: Array) -> tuple[Array, Array, float]:
    """Neither the default nor the optimum lies in it."""
    knobs = rng.choice(len(own), rng.integers(2, 4), replace=False)
    weights = rng.choice([-1, 1], len(knobs)) * rng.uniform(0.5, 1.5, len(knobs))
    inside = max(float(weights @ own[knobs]), float(weights @ optimum[knobs]))
    return knobs, weights, inside + 0.22 * (float(np.maximum(weights, 0).sum()) - inside)


def draw_rows(task: Task, count: int, rng: np.random.Generator) -> Rows:
    knobs = len(task.optimum)
    own = task.cube.places([task.cube.menu.defaults])[0]
    places = [rng.random(knobs) for _ in range(count // 2)]
    for _ in range(count - count // 2):
        place = own + (rng.random() < 0.5) * rng.random() * (task.optimum - own)
        changed = rng.choice(knobs, rng.integers(1, 7), replace=False)
        place[changed] += rng.uniform(-0.35, 0.35, len(changed))
        places.append(np.clip(place, 0, 1))
    cfgs = [task.cube.config(place) for place in places]
    cfgs += [cfg for cfg in (task.cube.menu.defaults, *cfgs[-REPEATED:]) for _ in range(REPEATS)]
    return [{"cfg": cfg, "value": task.draw(cfg, rng)} for cfg in cfgs]


def write_task(description: str | None, rows: int, draw: Callable[[int, int], tuple[Rows, Menu]]) -> None:
    """Write the table and the menu of the task that the command line names. ``draw`` takes its seed and its rows."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seed", type=int)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--rows", type=int, default=rows)
    args = parser.parse_args()
    table, menu = draw(args.seed, args.rows)
    args.directory.mkdir(parents=True, exist_ok=True)
    (args.directory / "table.json").write_text(json.dumps(table))
    (args.directory / "menu.json").write_text(json.dumps(dict(menu.source)))


def draw(seed: int, rows: int) -> tuple[Rows, Menu]:
    """The table of the task of ``seed``, and its menu."""
    task = draw_task(seed)
    return draw_rows(task, rows, np.random.default_rng([seed, 1])), task.cube.menu


if __name__ == "__main__":
    write_task(__doc__, 2000, draw)
