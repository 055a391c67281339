"""Will tonight work? Everything that a run needs, looked at without starting one."""

from autoresearch.doctor.check import Check, State
from autoresearch.doctor.examine import examine

__all__ = ["Check", "State", "examine"]
