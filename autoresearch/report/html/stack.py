"""The section of the page on keeps that were combined. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from autoresearch.report.stack import (
    ABLATION_NOTE,
    LEFT_OUT_COLUMNS,
    NOTE,
    UNION_COLUMNS,
    ablation_rows,
    describe_stack,
    union_rows,
)
from autoresearch.report.summary import Summary


@dataclass(frozen=True, slots=True)
class Table:
    """A table with the sentence above it."""

    title: str
    about: str
    heading: tuple[str, ...]
    rows: list[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class StackSection:
    """The section: sentences, then the tables that have rows."""

    sentences: list[str]
    tables: list[Table]


def build_stack(s: Summary) -> StackSection | None:
    """The section of this run; ``None`` where no union of keeps was tried."""
    if s.stack is None:
        return None
    unions = Table("Unions beside the sums of their parts", NOTE, tuple(UNION_COLUMNS), union_rows(s.stack))
    ablation = Table("The stack without one change", ABLATION_NOTE, tuple(LEFT_OUT_COLUMNS), ablation_rows(s.stack))
    return StackSection(list(describe_stack(s.stack)), [table for table in (unions, ablation) if table.rows])
