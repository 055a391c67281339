"""`run --track TOOL`: a process that reads the trajectory and hands each candidate to an experiment tracker."""

from autoresearch.daemon.tracking.observer import Tracking

__all__ = ["Tracking"]
