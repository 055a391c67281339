"""The checks of `autoresearch doctor`: everything that a run needs, examined without starting one."""

from autoresearch.daemon.doctor.check import Check, State
from autoresearch.daemon.doctor.examine import examine

__all__ = ["Check", "State", "examine"]
