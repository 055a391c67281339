"""What is to be run on a cluster, and what the executor knows of each worker there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from autoresearch.core.executor import TrialOrder
from autoresearch.trials.remote.ports import Node, NodeFacts, WorkerPlan

SILENT_S = 120.0  # of a worker with a trial, which reports every second; Ray itself needs a minute for a node


@dataclass(slots=True)
class Worker:
    """A worker on a node. ``greeting`` is the future of its handshake, ``step`` that of its running trial."""

    name: str
    node: Node
    handle: Any
    life: Any
    greeting: Any | None
    began: float
    order: TrialOrder | None = None
    step: Any | None = None
    silence_s: float = 0.0  # for which its report was waited for
    is_cancelled: bool = False
    free_bytes: int | None = None  # that a trial may take there

    @property
    def is_ready(self) -> bool:
        return self.greeting is None

    def futures(self) -> list[Any]:
        return [future for future in (self.life, self.greeting, self.step) if future is not None]


@dataclass(frozen=True, slots=True)
class Fleet:
    """What is to be run where: at most ``workers`` of ``plan``, on each node as many as ``places`` allows."""

    plan: WorkerPlan
    workers: int
    places: Callable[[Node], int]
    expected: NodeFacts
    payload: Callable[[TrialOrder], Any] = lambda _order: None
    silent_s: float = SILENT_S  # after which a worker that does not report its trial is lost
