"""What every section of the settings shares: frozen, unknown keys refused, no value that means something else."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator


def refuse_ambiguous(value: Any) -> Any:
    """Refuse what pydantic would convert to something else: true to 1, and an empty string to the current directory."""
    if isinstance(value, bool):
        raise ValueError("no setting takes true or false")
    if value == "":
        raise ValueError("it is empty; leave it out to take the default")
    return value


class Section(BaseModel):
    """Frozen; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    _every_field = field_validator("*", mode="before")(refuse_ambiguous)
