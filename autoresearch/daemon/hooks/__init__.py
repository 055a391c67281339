"""`on_event`: a command of the user's that is told when something happens in the night. It can do the run no harm."""

from autoresearch.daemon.hooks.observer import Hooks

__all__ = ["Hooks"]
