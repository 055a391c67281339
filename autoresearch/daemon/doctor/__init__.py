"""Will tonight work? Everything that a run needs, looked at without starting one."""

from autoresearch.daemon.doctor.check import Check, State
from autoresearch.daemon.doctor.examine import examine

__all__ = ["Check", "State", "examine"]
