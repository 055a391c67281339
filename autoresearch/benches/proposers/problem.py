"""What a virtual night is run on: a surface, with what the loop records of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from autoresearch.benches.proposers.surface import Surface
from autoresearch.benches.proposers.table import MeasuredTable
from autoresearch.benches.proposers.table_file import RefusedChange, TableFile
from autoresearch.core.records import Yardstick
from autoresearch.core.values import Cfg, FrozenModel
from rails import Config, Menu, Rail, same_value


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
    over_budget: Callable[[Config], str] = lambda _cfg: ""  # why R7 refuses a configuration; empty if it does not


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
        over_budget=partial(refusal_where_measured, surface.baseline, table.refused),
    )
    return problem, surface


def refusal_where_measured(baseline: Cfg, refused: tuple[RefusedChange, ...], cfg: Config) -> str:
    """Why R7 refused this configuration on the machine that measured the table; empty if it did not."""
    for change in refused:
        if change.rail == Rail.R7_BUDGET and all(
            same_value(value, change.value if name == change.knob else baseline[name]) for name, value in cfg.items()
        ):
            return change.reason
    return ""


class Night(FrozenModel):
    """One virtual night: what proposes, with which seed, and how many trials it may spend."""

    proposer: str
    seed: int
    trials: int  # after those with which the baseline is measured first
    decision: str = "sequential"
    max_changes: int = 1  # of a proposal; a table of single changes knows no more
    confirm: str = "auto"  # decision.confirm
