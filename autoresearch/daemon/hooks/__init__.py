"""`on_event`: a command of the user that receives events of a run. It cannot disturb the run."""

from autoresearch.daemon.hooks.observer import Hooks

__all__ = ["Hooks"]
