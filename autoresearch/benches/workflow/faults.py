"""Faults that are injected into the requests of one attempt, drawn by hash."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field

from autoresearch.benches.workflow.task import Fault, Service


def fraction(*parts: object) -> float:
    """A number in [0, 1) that depends on ``parts`` alone."""
    digest = hashlib.sha256("\0".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:7], "big") / (1 << 56)


@dataclass(slots=True)
class FaultPlan:
    """The faults of one attempt. ``seed`` names run, task and sample, so that each attempt meets its own."""

    seed: str
    _requests: Counter[str] = field(default_factory=Counter)
    _injected: Counter[tuple[str, int]] = field(default_factory=Counter)

    def next_fault(self, service: Service, tool: str) -> Fault | None:
        """The fault of the next request to the endpoint of ``tool``, the first of the service that applies."""
        n = self._requests[tool]
        self._requests[tool] += 1
        for i, fault in enumerate(service.faults):
            key = (service.name, i)
            if fault.tool not in (None, tool) or self._injected[key] >= fault.limit:
                continue
            if fraction(self.seed, service.name, i, tool, n) < fault.rate:
                self._injected[key] += 1
                return fault
        return None
