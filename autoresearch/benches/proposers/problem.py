"""What a virtual night is run on: a surface, with what the loop records of it."""

from __future__ import annotations

from dataclasses import dataclass

from autoresearch.benches.proposers.surface import Surface
from autoresearch.benches.proposers.table import MeasuredTable
from autoresearch.benches.proposers.table_file import TableFile
from autoresearch.core.records import Yardstick
from autoresearch.core.values import FrozenModel
from rails import Menu


@dataclass(frozen=True, slots=True)
class Problem:
    """A surface with the menu, the yardstick and the texts that a run on it records and shows its proposer."""

    surface: Surface
    menu: Menu
    yardstick: Yardstick
    profile: str
    vocab: int
    setup: str = ""  # one line on what is trained, for the prompt of an LLM
    first_seed: int = 0  # of the measured trials; the first sample meets their noise


def problem_of(table: TableFile) -> tuple[Problem, MeasuredTable]:
    """The problem of a measured table, and its surface. Raises ``CorpusError``."""
    surface = MeasuredTable.of(table.parsed_menu, table.baseline_cfg, table.rows)
    problem = Problem(
        surface=surface,
        menu=surface.menu,
        yardstick=table.yardstick,
        profile=table.profile,
        vocab=table.vocab or 257,
        setup=table.setup,
        first_seed=min(row.seed for row in table.rows),
    )
    return problem, surface


class Night(FrozenModel):
    """One virtual night: what proposes, with which seed, and how many trials it may spend."""

    proposer: str
    seed: int
    trials: int  # after those with which the baseline is measured first
    decision: str = "sequential"
