"""Processes of one trial: the rendezvous of ranks, and the type of a rank function."""

from __future__ import annotations

from collections.abc import Callable

from autoresearch.trials.messages import Message
from autoresearch.trials.spec import TrialSpec

STORE = "AUTORESEARCH_RANK_STORE"  # environment variable: the rendezvous file of forked ranks

Send = Callable[[Message], None]
RunRank = Callable[[TrialSpec, Send], Message]
