"""Draw a joint search task of another family than ``search_tasks``, and write its table and menu for ``bench search``.

python -m benchmarks.gpt_tasks SEED DIRECTORY [--rows 1500]

14 knobs of a GPT: whole numbers, ordered choices, words, numbers on linear and logarithmic scales. The loss is a sum of
valleys that are quadratic near their bottom and straight beyond, steeper on one side, five of them bent by another
knob; words have an offset each. Two regions crash: memory that grows with products of knobs, and divergence (a corner
of three knobs, outside an ellipsoid). The noise is Student's t with 3 degrees of freedom. No formula and no constant is
taken from ``search_tasks``, so that what was tuned there is tried on something else.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass

import numpy as np

from autoresearch.core.values import Cfg
from autoresearch.proposers.cube import Array, Cube, value_at
from benchmarks.search_tasks import Rows, write_task
from rails import Menu, parse_menu

KNOBS: dict[str, dict[str, object]] = {
    "n_layer": {"type": "int", "low": 2, "high": 16},
    "n_embd": {"type": "int", "low": 128, "high": 1024},
    "head_dim": {"type": "choice", "choices": [32, 64, 128, 256]},
    "window": {"type": "choice", "choices": ["full", "half", "quarter", "alternate"]},
    "tokens_per_step": {"type": "int", "low": 2**14, "high": 2**20},
    "device_batch": {"type": "choice", "choices": [8, 16, 32, 64, 128]},
    "lr_matrix": {"type": "float", "low": 1e-3, "high": 0.5, "log": True},
    "lr_embed": {"type": "float", "low": 0.01, "high": 3.0, "log": True},
    "lr_head": {"type": "float", "low": 1e-4, "high": 0.1, "log": True},
    "weight_decay": {"type": "float", "low": 0.0, "high": 0.6, "log": False},
    "beta1": {"type": "float", "low": 0.5, "high": 0.98, "log": False},
    "beta2": {"type": "float", "low": 0.8, "high": 0.999, "log": False},
    "warmdown": {"type": "float", "low": 0.0, "high": 1.0, "log": False},
    "activation": {"type": "choice", "choices": ["relu2", "gelu", "swiglu"]},
}
LAYERS, WIDTH, BATCH = 0, 1, 5  # what memory grows with
DIVERGING = [6, 7, 11]  # lr_matrix, lr_embed, beta2
RADII = np.array([0.35, 0.6, 0.8])
WORDS = {3: 4, 13: 3}  # index to number of words
BOTTOM, GAIN, SOFT = 0.9755, 0.016, 0.25
NOISE, TAIL_DF = 0.0008, 3
STRAIGHT = 0.15  # distance at which a valley stops being quadratic
BENT = 5
REPEATED, REPEATS = 15, 4


@dataclass
class GptTask:
    """The truth."""

    cube: Cube
    optimum: Array
    weights: Array
    up: Array  # how steep each valley is above its bottom
    down: Array
    offsets: dict[int, Array]  # of words
    bends: list[tuple[int, int, float]]  # the optimum of the second knob moves with the first
    memory: Array
    limit: float = 0.0
    corner: Array | None = None
    radius: float = 0.0
    size: float = 1.0

    @property
    def baseline(self) -> Cfg:
        return self.cube.menu.defaults

    def height(self, places: Array) -> Array:
        """Above the bottom, before it is scaled."""
        off = places - self.optimum
        for by, of, slope in self.bends:
            off[:, of] = off[:, of] - slope * (places[:, by] - self.optimum[by])
        side = np.where(off > 0, self.up, self.down)
        total = (self.weights * (side * off**2 / (STRAIGHT + np.abs(off)))).sum(1)
        for index, offset in self.offsets.items():
            total = total + offset[np.rint(places[:, index] * (len(offset) - 1)).astype(int)]
        return np.asarray(total)

    def mean(self, cfg: Cfg) -> float:
        height = self.height(self.cube.places([cfg])) * self.size
        return float(BOTTOM + SOFT * np.tanh(height / SOFT)[0])

    def memory_at(self, place: Array) -> float:
        layers, width, batch = (self.memory[i] * place[i] for i in (LAYERS, WIDTH, BATCH))
        return float(np.exp(layers + width) + np.exp(batch) + np.exp(batch + width) * 0.5)

    def crashes(self, cfg: Cfg) -> bool:
        if cfg == self.baseline:
            return False
        place = self.cube.places([cfg])[0]
        off = (place[DIVERGING] - self.corner) / RADII
        return self.memory_at(place) > self.limit or bool(off[0] > 0 and (off**2).sum() > self.radius)

    def draw(self, cfg: Cfg, seed: int) -> float | None:
        """One measurement; ``None`` for a crash."""
        if self.crashes(cfg):
            return None
        rng = np.random.default_rng([seed, zlib.crc32(json.dumps(cfg, sort_keys=True).encode())])
        return self.mean(cfg) + float(NOISE * rng.standard_t(TAIL_DF))


def draw_task(seed: int) -> GptTask:
    rng = np.random.default_rng([77, seed])
    knobs = len(KNOBS)
    optimum = rng.uniform(0.08, 0.92, knobs)
    start = np.clip(optimum + rng.choice([-1, 1], knobs) * rng.gamma(2.0, 0.11, knobs), 0.04, 0.96)
    near = rng.random(knobs) < 0.3  # of the knobs begin close to their optimum
    start[near] = np.clip(optimum[near] + rng.normal(0, 0.03, near.sum()), 0.04, 0.96)
    cube = _cube(start)
    own = cube.places([cube.menu.defaults])[0]
    weights = np.exp(rng.normal(0, 1.1, knobs))
    up, down = np.exp(rng.normal(0, 0.6, knobs)), np.exp(rng.normal(0, 0.6, knobs))
    offsets = {index: rng.exponential(0.25, count) for index, count in WORDS.items()}
    offsets = {index: offset - offset.min() for index, offset in offsets.items()}
    weights[list(WORDS)] = 0
    ordered = [index for index in range(knobs) if index not in WORDS]
    bends = []
    for _ in range(BENT):
        by, of = rng.choice(ordered, 2, replace=False)
        bends.append((int(by), int(of), float(rng.uniform(-0.8, 0.8))))
    task = GptTask(cube, optimum, weights, up, down, offsets, bends, rng.uniform(1.0, 3.0, knobs))
    inside = max(task.memory_at(own), task.memory_at(optimum))
    task.limit = inside + rng.uniform(0.03, 0.12) * (task.memory_at(np.ones(knobs)) - inside)
    task.corner = np.minimum(own[DIVERGING], optimum[DIVERGING])
    far = [float(((place[DIVERGING] - task.corner) / RADII) ** 2 @ np.ones(3)) for place in (own, optimum)]
    task.radius = max(far) + rng.uniform(0.2, 0.5)
    task.size = GAIN / float(task.height(own[None, :].copy())[0])
    return task


def _cube(start: Array) -> Cube:
    """The menu whose defaults are nearest to ``start``."""
    lowest = {n: {**k, "default": k["choices"][0] if "choices" in k else k["low"]} for n, k in KNOBS.items()}  # type: ignore[index]
    probe = Cube(parse_menu({"version": 1, "knobs": lowest}))
    entries = {}
    for knob, place in zip(probe.knobs, start, strict=True):
        value = value_at(knob, float(place))
        entries[knob.name] = {**KNOBS[knob.name], "default": float(f"{value:.4g}") if type(value) is float else value}
    return Cube(parse_menu({"version": 1, "knobs": entries}))


def draw_rows(task: GptTask, count: int, seed: int) -> Rows:
    """Half of them random, half near the default or on the way to the optimum; some are repeated."""
    rng = np.random.default_rng([seed, 5])
    own = task.cube.places([task.baseline])[0]
    cfgs = []
    for number in range(count):
        if number % 2:
            place = rng.random(len(own))
        else:
            place = own + (rng.random() < 0.5) * rng.random() * (task.optimum - own)
            changed = rng.choice(len(own), rng.integers(1, 6), replace=False)
            place[changed] += rng.normal(0, 0.25, len(changed))
            place = np.clip(place, 0, 1)
        cfgs.append(task.cube.config(task.cube.snap(place[None, :])[0]))
    cfgs += [cfg for cfg in (task.baseline, *cfgs[: 2 * REPEATED : 2]) for _ in range(REPEATS)]
    return [{"cfg": cfg, "value": task.draw(cfg, 10_000 + number)} for number, cfg in enumerate(cfgs)]


def draw(seed: int, rows: int) -> tuple[Rows, Menu]:
    """The table of the task of ``seed``, and its menu."""
    task = draw_task(seed)
    return draw_rows(task, rows, seed), task.cube.menu


if __name__ == "__main__":
    write_task(__doc__, 1500, draw)
