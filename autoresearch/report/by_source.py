"""What each source of proposals has come to, over rows of any log: in numbers, in lines, and as a table. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

from autoresearch.core.text import plural
from autoresearch.core.values import FrozenModel
from autoresearch.report.format import pad, percent, safe
from autoresearch.report.history import Row
from autoresearch.report.table import paint

SOURCE_CELLS = 12
COLUMNS = {"share": 6, "tried": 6, "measured": 9, "failed": 7, "blocked": 8, "keeps": 6, "mean": 9, "best": 9, "in": 6}


class SourceNumbers(FrozenModel):
    """What the proposals of one source add up to. A field that `credit` has too means and says the same there.

    Every closed iteration belongs to one source, unless the proposer raised: summed over the sources, ``measured``,
    ``failed``, ``blocked`` and ``keeps`` are the run's.
    """

    source: str | None  # None where the log does not tell, as the origin's
    iterations: int  # closed with a candidate of this source: measured + failed
    blocked: int  # iterations that the rails ended, the last refusal being of this source
    share: float  # of all iterations that ended with a proposal: of iterations + blocked, over all sources
    measured: int
    failed: int
    keeps: int
    mean_improvement_frac: float | None  # over the measured ones
    best_improvement_frac: float | None
    best_iter: int | None


def source_numbers(rows: Sequence[Row]) -> list[SourceNumbers]:
    """One entry per source, in the order of their first proposals."""
    ended: dict[str | None, list[Row]] = {}
    for row in rows:
        if row.stage in ("evaluated", "eval_failed", "blocked"):
            ended.setdefault(row.source, []).append(row)
    of = sum(len(mine) for mine in ended.values())
    return [_of_one(source, mine, len(mine) / of) for source, mine in ended.items()]


def _of_one(source: str | None, rows: Sequence[Row], share: float) -> SourceNumbers:
    measured = [row for row in rows if row.stage == "evaluated"]
    blocked = sum(row.stage == "blocked" for row in rows)
    gains = [(row.improvement_frac, row.iter) for row in measured if row.improvement_frac is not None]
    best, best_iter = max(gains, key=lambda gain: (gain[0], -gain[1]), default=(None, None))  # of equal ones the first
    return SourceNumbers(
        source=source,
        iterations=len(rows) - blocked,
        blocked=blocked,
        share=share,
        measured=len(measured),
        failed=len(rows) - blocked - len(measured),
        keeps=sum(row.decision == "keep" for row in measured),
        mean_improvement_frac=fmean(gain for gain, _ in gains) if gains else None,
        best_improvement_frac=best,
        best_iter=best_iter,
    )


def source_lines(sources: Sequence[SourceNumbers]) -> Iterator[str]:
    """A line per source, to compare them by; none where there is nothing to compare."""
    for s in sources if len(sources) > 1 else ():
        parts = [f"{_name(s)} {100 * s.share:.0f}%: {s.iterations} tried"]
        parts += [f"{number} {word}" for number, word in ((s.failed, "failed"), (s.blocked, "blocked")) if number]
        parts.append(plural(s.keeps, "keep"))
        if s.best_iter is not None:
            mean, best = percent(s.mean_improvement_frac), percent(s.best_improvement_frac)
            parts.append(f"mean gain {mean}, best {best}")
        yield ", ".join(parts)


def source_table(sources: Sequence[SourceNumbers], color: bool) -> list[str]:
    """A heading and a line per source, 78 cells wide; empty where there is nothing to compare."""
    if len(sources) <= 1:
        return []
    heading = pad("source", SOURCE_CELLS) + "".join(name.rjust(cells) for name, cells in COLUMNS.items())
    return [paint(heading, "dim", color), *(_table_line(s) for s in sources)]


def _table_line(s: SourceNumbers) -> str:
    cells = (
        f"{100 * s.share:.0f}%",
        str(s.iterations),
        str(s.measured),
        str(s.failed),
        str(s.blocked),
        str(s.keeps),
        percent(s.mean_improvement_frac),
        percent(s.best_improvement_frac),
        "-" if s.best_iter is None else str(s.best_iter),
    )
    figures = (text.rjust(room) for text, room in zip(cells, COLUMNS.values(), strict=True))
    return pad(_name(s), SOURCE_CELLS) + "".join(figures)


def _name(s: SourceNumbers) -> str:
    return "unknown" if s.source is None else safe(s.source, SOURCE_CELLS - 1)
