"""``factory.PROPOSERS`` is the one table of proposers: every other place that lists their names is held against it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from autoresearch.cli.settings import RUN_FLAGS
from autoresearch.config.settings import Settings
from autoresearch.core.llm_calls import LLM_SOURCE
from autoresearch.proposers.factory import LLM_PROPOSERS, PROPOSERS

ROOT = Path(__file__).parents[3]


def test_the_setting_takes_exactly_the_names_of_the_table() -> None:
    assert set(get_args(Settings.model_fields["proposer"].annotation)) == set(PROPOSERS)


def test_the_help_of_the_flag_names_each() -> None:
    (text,) = [text for flag, _name, _kind, text in RUN_FLAGS if flag == "--proposer"]
    names = re.sub(r"\(.*?\)", "", text).replace(" or ", ", ").split(",")
    assert {name.strip() for name in names} == set(PROPOSERS)


@pytest.mark.parametrize("name", PROPOSERS)
def test_the_readme_names_it(name: str) -> None:
    """In the list behind ``--proposer``, between its bars, or in backticks."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = {part for row in re.findall(r"--proposer ([a-z|]+)", readme) for part in row.split("|")}
    assert name in listed or f"`{name}`" in readme


@pytest.mark.parametrize("name", PROPOSERS)
def test_it_is_described_in_one_line(name: str) -> None:
    description = PROPOSERS[name].description
    assert description
    assert "\n" not in description


def test_the_records_of_the_llm_proposer_name_an_entry_that_asks_an_llm() -> None:
    assert LLM_SOURCE in LLM_PROPOSERS
