"""One thing that was looked at, and what to do where it is not as it should be."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from autoresearch.core.values import FrozenModel
from autoresearch.errors import AutoresearchError

State = Literal["ok", "warn", "fail"]


class Check(FrozenModel):
    """``fail``: the run would not begin. ``warn``: it would, but somebody may have meant it differently."""

    name: str
    state: State
    found: str
    hint: str = ""  # what to do; never empty where the state is not ok
    exit_code: int = 0  # what `autoresearch run` would end with
    facts: dict[str, Any] = Field(default_factory=dict)


def ok(name: str, found: str, **facts: Any) -> Check:
    return Check(name=name, state="ok", found=found, facts=facts)


def warn(name: str, found: str, hint: str, **facts: Any) -> Check:
    return Check(name=name, state="warn", found=found, hint=hint, facts=facts)


def fail(name: str, error: AutoresearchError, otherwise: str = "see README.md") -> Check:
    """The failure that a run would end with."""
    return Check(
        name=name, state="fail", found=error.what, hint=error.hint or otherwise, exit_code=error.exit_code or 1
    )
