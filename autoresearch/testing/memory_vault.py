"""A vault in memory."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from autoresearch.core.vault import VAULT_SEEDS


@dataclass(slots=True)
class MemoryVault:
    """Keeps the values in ``sealed``, by trial, and records in ``read`` which trials were asked for, call by call."""

    seeds: int = VAULT_SEEDS
    sealed: dict[int, float] = field(default_factory=dict)
    read: list[set[int]] = field(default_factory=list)

    def seal(self, trial: int, seed: int, test_bpb: float) -> None:
        """See ``ports.Vault``."""
        self.sealed[trial] = test_bpb

    def unseal(self, trials: Collection[int]) -> dict[int, float]:
        """See ``ports.Vault``."""
        self.read.append(set(trials))
        return {trial: self.sealed[trial] for trial in trials if trial in self.sealed}
