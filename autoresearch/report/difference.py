"""A recorded value that does not follow from the records before it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Difference:
    """A recorded value that its basis does not give."""

    iter: int  # 0: the baseline
    field: str
    recorded: Any
    recomputed: Any
    basis: str = "its trials"  # what gives the other value

    def __str__(self) -> str:
        where = f"iteration {self.iter}" if self.iter else "the baseline"
        return f"{where}: {self.field} is recorded as {self.recorded!r}; {self.basis} give {self.recomputed!r}"
