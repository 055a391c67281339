"""Processes of one trial: death with the parent, the rendezvous of ranks, and the type of a rank function."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable

from autoresearch.trials.messages import Message
from autoresearch.trials.spec import TrialSpec

STORE = "AUTORESEARCH_RANK_STORE"  # environment variable: the rendezvous file of forked ranks

Send = Callable[[Message], None]
RunRank = Callable[[TrialSpec, Send], Message]

PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Have the kernel send this process SIGKILL when ``parent`` ends; exit now if it has ended already."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
