"""The result of one check, and what to do where it is not ok."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from autoresearch.core.values import FrozenModel
from autoresearch.errors import AutoresearchError

State = Literal["ok", "warn", "fail"]


class Check(FrozenModel):
    """``fail``: the run would not start. ``warn``: it would, but perhaps not as intended."""

    name: str
    state: State
    found: str
    hint: str = ""  # what to do; never empty where the state is not ok
    exit_code: int = 0  # of `autoresearch run` with this failure
    facts: dict[str, Any] = Field(default_factory=dict)


def ok(name: str, found: str, **facts: Any) -> Check:
    return Check(name=name, state="ok", found=found, facts=facts)


def warn(name: str, found: str, hint: str, **facts: Any) -> Check:
    return Check(name=name, state="warn", found=found, hint=hint, facts=facts)


def fail(name: str, error: AutoresearchError, default_hint: str = "see README.md") -> Check:
    """A check that failed with the error that would end the run."""
    return Check(
        name=name, state="fail", found=error.what, hint=error.hint or default_hint, exit_code=error.exit_code or 1
    )
