"""A table of measured configurations as a surface: measured values, measured noise, careful interpolation. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any

from autoresearch.benches.proposers.noise import MeasuredNoise, uniform_of
from autoresearch.benches.proposers.surface import Crash, NoData, Point
from autoresearch.benches.proposers.table_file import TableRow, canonical_cfg
from autoresearch.core.measurement import Cause
from autoresearch.core.values import Cfg, KnobValue, sha256_of
from autoresearch.errors import CorpusError
from rails import ChoiceKnob, FloatKnob, IntKnob, Menu, same_value

LEAVE_ONE_OUT_SDS = 2.0  # noise SDs: a neighbourhood that is predicted worse than that is not interpolated


@dataclass(frozen=True, slots=True)
class Cell:
    """One configuration: values and failures by seed. ``mean`` is ``None`` where every seed failed."""

    cfg: Cfg
    key: str
    values: Mapping[int, float]
    failures: Mapping[int, TableRow]
    rows: tuple[TableRow, ...]

    @property
    def mean(self) -> float | None:
        """The mean of the measured seeds, which stands for the truth."""
        return fmean(self.values.values()) if self.values else None

    @property
    def crash_frac(self) -> float:
        """The share of seeds that failed."""
        return len(self.failures) / (len(self.failures) + len(self.values))


@dataclass(frozen=True, slots=True)
class Knot:
    """A measured point on the line of one knob; ``fits``: the leave-one-out error, in noise SDs, or ``None``."""

    position: float
    value: KnobValue
    cell: Cell
    error_sds: float | None


@dataclass(slots=True)
class MeasuredTable:
    """See ``Surface``. The optimum is the measured configuration with the lowest mean, the baseline included."""

    menu: Menu
    baseline: Cfg
    noise: MeasuredNoise
    cells: Mapping[str, Cell]
    lines: Mapping[str, tuple[Knot, ...]] = field(default_factory=dict)  # by knob, in order of the position

    @classmethod
    def of(cls, menu: Menu, baseline: Cfg, rows: Iterable[TableRow]) -> MeasuredTable:
        """Raises ``CorpusError`` where the baseline, or the noise, is not measured."""
        cells = build_cells(menu, baseline, rows)
        try:
            noise = MeasuredNoise.of([list(cell.values.values()) for cell in cells.values()])
        except ValueError as e:
            raise CorpusError(f"the table: {e}", hint="measure with at least two seeds: bench table --seeds 3") from e
        start = cells.get(sha256_of(canonical_cfg(menu, baseline, baseline, "baseline_cfg")))
        if start is None or start.mean is None:
            raise CorpusError("the table has no value of its baseline", hint="a table begins with its baseline")
        table = cls(menu, start.cfg, noise, cells)
        table.lines = {name: table._line(name) for name, knob in menu.knobs.items() if not isinstance(knob, ChoiceKnob)}
        return table

    @property
    def baseline_mean(self) -> float:
        """The true mean of the baseline."""
        mean = self.cells[sha256_of(self.baseline)].mean
        assert mean is not None
        return mean

    @property
    def optimum(self) -> Cell:
        """The measured configuration with the lowest mean that never failed."""
        sound = [c for c in self.cells.values() if c.values and not c.failures]
        return min(sound or [c for c in self.cells.values() if c.values], key=lambda c: c.mean or math.inf)

    @property
    def optimum_mean(self) -> float:
        """Its true mean: what regret is measured from."""
        return self.optimum.mean or self.baseline_mean

    def point(self, cfg: Cfg, seed: int) -> Point:
        """See ``Surface``."""
        cell = self.cells.get(key := self._key(cfg))
        return self._measured(cell, seed) if cell else self._interpolated(cfg, key, seed)

    def true_mean(self, cfg: Cfg) -> float:
        """The true mean of a configuration. Raises ``Crash`` and ``NoData``."""
        cell = self.cells.get(key := self._key(cfg))
        if cell is None:
            return self._interpolated(cfg, key, 0).mean
        if cell.mean is None:
            raise self._crash(cell, 0)
        return cell.mean

    def _key(self, cfg: Cfg) -> str:
        try:
            canonical = canonical_cfg(self.menu, cfg, self.baseline, "the configuration")
        except ValueError as e:
            raise NoData(str(e)) from e
        return sha256_of(canonical)

    def _measured(self, cell: Cell, seed: int) -> Point:
        if seed in cell.failures or (seed not in cell.values and self._fails_by_hash(cell, seed)):
            raise self._crash(cell, seed)
        mean = cell.mean
        assert mean is not None  # else every seed fails
        value = cell.values.get(seed, mean * (1 + self.noise.draw(cell.key, seed)))
        return Point(value, mean, **_costs(cell.rows))

    def _fails_by_hash(self, cell: Cell, seed: int) -> bool:
        return uniform_of(cell.key, seed, "crash") < cell.crash_frac

    def _crash(self, cell: Cell, seed: int) -> Crash:
        row = cell.failures.get(seed) or next(iter(cell.failures.values()))
        cause = next((c for c in Cause if c.value == row.cause), Cause.ERROR)
        return Crash(row.detail or "the configuration failed", cause, _median_s(cell.failures.values()))

    def _interpolated(self, cfg: Cfg, key: str, seed: int) -> Point:
        left, right, share = self._ends(cfg)
        a, b = left.cell.mean, right.cell.mean
        assert a is not None
        assert b is not None
        mean = a + share * (b - a)
        value = mean * (1 + self.noise.draw(key, seed))
        return Point(value, mean, **_mixed(_costs(left.cell.rows), _costs(right.cell.rows), share))

    def _ends(self, cfg: Cfg) -> tuple[Knot, Knot, float]:
        """The knots on both sides of a configuration, and its place between them. Raises ``NoData``."""
        changed = [k for k in cfg if not same_value(cfg[k], self.baseline[k])]
        if len(changed) != 1:
            what = ", ".join(changed)
            raise NoData(f"the table has no measurement of this combination of {what}" if what else "not measured")
        name = changed[0]
        if name not in self.lines:
            raise NoData(f"the table has no measurement of {name} = {cfg[name]}")
        line, knob = self.lines[name], self.menu.knobs[name]
        position = position_of(knob, cfg[name])
        at = bisect_left([k.position for k in line], position)
        if at in (0, len(line)):
            raise NoData(f"{name} = {cfg[name]} is outside the measured range")
        left, right = line[at - 1], line[at]
        if why := self.why_not_between(left, right):
            raise NoData(f"{name} = {cfg[name]} is between {left.value} and {right.value}, where {why}")
        return left, right, (position - left.position) / (right.position - left.position)

    def why_not_between(self, left: Knot, right: Knot) -> str:
        """Why nothing is interpolated between these neighbours; empty where it is."""
        if left.cell.failures or right.cell.failures:
            return "a measured neighbour fails"
        errors = [k.error_sds for k in (left, right) if k.error_sds is not None]
        if not errors:
            return "too few points are measured to know how straight the line is"
        if max(errors) >= LEAVE_ONE_OUT_SDS:
            return f"measured points miss their neighbours' line by {max(errors):.1f} noise SDs"
        return ""

    def _line(self, name: str) -> tuple[Knot, ...]:
        """The measured points in which only this knob differs from the baseline, and the baseline itself."""
        knob = self.menu.knobs[name]
        others = {k: v for k, v in self.baseline.items() if k != name}
        on_line = [c for c in self.cells.values() if all(same_value(c.cfg[k], v) for k, v in others.items())]
        cells = sorted(on_line, key=lambda c: position_of(knob, c.cfg[name]))
        at = [position_of(knob, c.cfg[name]) for c in cells]
        errors = [self._leave_one_out(cells[i - 1 : i + 2], at[i - 1 : i + 2]) for i in range(1, len(cells) - 1)]
        padded: list[float | None] = [None, *errors, None] if len(cells) > 1 else [None]
        return tuple(Knot(p, c.cfg[name], c, e) for p, c, e in zip(at, cells, padded, strict=True))

    def _leave_one_out(self, cells: Sequence[Cell], at: Sequence[float]) -> float | None:
        """How far the middle one lies from the line through its neighbours, in noise SDs; ``None`` if one fails."""
        if any(c.failures or c.mean is None for c in cells):
            return None
        low, middle, high = (c.mean or 0.0 for c in cells)
        predicted = low + (at[1] - at[0]) / (at[2] - at[0]) * (high - low)
        sd = self.noise.sd_frac * middle
        return abs(predicted - middle) / sd if sd else (0.0 if math.isclose(predicted, middle) else math.inf)


def build_cells(menu: Menu, baseline: Cfg, rows: Iterable[TableRow]) -> dict[str, Cell]:
    """The rows by configuration."""
    by_key: dict[str, tuple[Cfg, list[TableRow]]] = {}
    for row in rows:
        cfg = canonical_cfg(menu, row.cfg, baseline, "cfg")
        by_key.setdefault(sha256_of(cfg), (cfg, []))[1].append(row)
    return {
        key: Cell(
            cfg,
            key,
            {r.seed: r.val_bpb for r in of_cfg if r.val_bpb is not None},
            {r.seed: r for r in of_cfg if r.val_bpb is None},
            tuple(of_cfg),
        )
        for key, (cfg, of_cfg) in by_key.items()
    }


def position_of(knob: object, value: KnobValue) -> float:
    """The position of a number on its knob's own scale: its logarithm for a log knob, else itself."""
    if isinstance(knob, FloatKnob) and knob.log:
        return math.log(float(value))
    assert isinstance(knob, IntKnob | FloatKnob)
    return float(value)


def _costs(rows: Sequence[TableRow]) -> dict[str, Any]:
    """What a trial of this configuration takes. Seconds are the median: other work slows single trials down."""
    measured = [r for r in rows if r.val_bpb is not None]
    first = measured[0]
    curves = [r.curve for r in measured if r.curve]
    whole = len(curves) == len(measured) and len({len(c) for c in curves}) == 1
    return {
        "trial_s": _median_s(measured),
        "steps": first.steps,
        "tokens": first.tokens,
        "flops": first.flops,
        "peak_bytes": first.peak_bytes,
        "curve": tuple(fmean(points) for points in zip(*curves, strict=True)) if whole else None,
    }


def _median_s(rows: Iterable[TableRow]) -> float:
    seconds = [r.trial_wall_s for r in rows if r.trial_wall_s is not None]
    return median(seconds) if seconds else 0.0


def _mixed(left: dict[str, Any], right: dict[str, Any], share: float) -> dict[str, Any]:
    """Costs between two neighbours; whole numbers stay whole."""
    mixed: dict[str, Any] = {}
    for name, a in left.items():
        b = right[name]
        if a is None or b is None:
            mixed[name] = None
        elif name == "curve":
            mixed[name] = tuple(x + share * (y - x) for x, y in zip(a, b, strict=True)) if len(a) == len(b) else None
        else:
            between = a + share * (b - a)
            mixed[name] = round(between) if isinstance(a, int) else between
    return mixed
