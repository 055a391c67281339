"""Statistics of the proposals by their source, over rows of any log: as numbers, as lines and as a table. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from autoresearch.core.source_stats import SourceOutcome, compute_source_stats
from autoresearch.core.text import plural
from autoresearch.core.values import FrozenModel
from autoresearch.report.format import format_percent, format_share, pad, safe
from autoresearch.report.history import Row
from autoresearch.report.table import paint

SOURCE_CELLS = 12
COLUMNS = {"share": 6, "tried": 6, "measured": 9, "failed": 7, "blocked": 8, "keeps": 6, "mean": 9, "best": 9, "in": 6}


class SourceNumbers(FrozenModel):
    """The statistics of one source. A field that a record's ``credit`` has too means the same in both.

    Every closed iteration belongs to one source, unless the proposer raised: summed over the sources, ``measured``,
    ``stopped_early``, ``failed``, ``blocked`` and ``keeps`` are the run's.
    """

    source: str | None  # None where the log does not record it, for example the origin's
    iterations: int  # closed with a candidate of this source: measured + stopped early + failed
    blocked: int  # iterations that the rails ended, the last refusal being of this source
    share: float  # of all iterations that ended with a proposal: of iterations + blocked, over all sources
    measured: int
    failed: int
    keeps: int
    mean_improvement_frac: float | None  # over the measured ones
    best_improvement_frac: float | None
    best_iter: int | None
    stopped_early: int = 0


def source_numbers(rows: Sequence[Row]) -> list[SourceNumbers]:
    """One entry per source, in the order of their first proposals."""
    found = compute_source_stats(
        SourceOutcome(row.source, row.iter, row.stage, row.decision == "keep", row.improvement_frac)
        for row in rows
        if row.stage in ("evaluated", "stopped_early", "eval_failed", "blocked")
    )
    total = sum(stats.iterations + stats.blocked for stats in found)
    return [SourceNumbers(share=(stats.iterations + stats.blocked) / total, **asdict(stats)) for stats in found]


def source_lines(sources: Sequence[SourceNumbers]) -> Iterator[str]:
    """A line per source; none for a single source, because there is nothing to compare."""
    for s in sources if len(sources) > 1 else ():
        parts = [f"{_name(s)} {format_share(s.share)}: {s.iterations:,} tried"]
        parts += [f"{number:,} {word}" for number, word in _rest(s) if number]
        parts.append(plural(s.keeps, "keep"))
        if s.best_iter is not None:
            mean, best = format_percent(s.mean_improvement_frac), format_percent(s.best_improvement_frac)
            parts.append(f"mean gain {mean}, best {best}")
        yield ", ".join(parts)


def source_table(sources: Sequence[SourceNumbers], color: bool) -> list[str]:
    """A heading and a line per source, 78 cells wide; empty for a single source."""
    if len(sources) <= 1:
        return []
    heading = pad("source", SOURCE_CELLS) + "".join(name.rjust(cells) for name, cells in COLUMNS.items())
    return [paint(heading, "dim", color), *(_table_line(s) for s in sources)]


def _rest(s: SourceNumbers) -> tuple[tuple[int, str], ...]:
    return (s.stopped_early, "stopped early"), (s.failed, "failed"), (s.blocked, "blocked")


def _table_line(s: SourceNumbers) -> str:
    cells = (
        format_share(s.share),
        str(s.iterations),
        str(s.measured),
        str(s.failed),
        str(s.blocked),
        str(s.keeps),
        format_percent(s.mean_improvement_frac),
        format_percent(s.best_improvement_frac),
        "-" if s.best_iter is None else str(s.best_iter),
    )
    figures = (text.rjust(room) for text, room in zip(cells, COLUMNS.values(), strict=True))
    return pad(_name(s), SOURCE_CELLS) + "".join(figures)


def _name(s: SourceNumbers) -> str:
    return "unknown" if s.source is None else safe(s.source, SOURCE_CELLS - 1)
