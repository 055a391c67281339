"""Where a baseline comes from: the section that best_config.toml has beside it. It is not typed by hand."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from autoresearch.config.section import Section, refuse_ambiguous

CfgTable = dict[str, Annotated[int | float | str, BeforeValidator(refuse_ambiguous)]]


class ClimbSettings(Section):
    """The run whose winner is the baseline, and the first baseline of the climb."""

    run_ids: tuple[str, ...] = Field(
        (), description="earlier runs of the climb, the first one first; best_config.toml has it, as all of [climb]"
    )
    iter: Annotated[int, Field(ge=1)] | None = Field(None, description="iteration of the last of them that won")
    gain_frac: float | None = Field(None, description="its gain there, with which it was confirmed")
    low_frac: float | None = Field(None, description="lower bound of that gain")
    high_frac: float | None = Field(None, description="upper bound of that gain")
    seeds: tuple[int, ...] = Field((), description="seeds of that gain")
    baseline_sha256: str | None = Field(None, description="hash of the winner's configuration")
    yardstick_sha256: str | None = Field(None, description="hash of the yardstick that measured it")
    yardstick: str | None = Field(None, description="that yardstick, as JSON")
    first_baseline: CfgTable = Field({}, description="baseline of the first run of the climb")
