"""Every vault keeps the contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoresearch.storage.vault_file import VaultFile
from autoresearch.testing.contracts.vault import VaultContract
from autoresearch.testing.memory_vault import MemoryVault


class TestVaultFile(VaultContract):
    @pytest.fixture
    def vault(self, tmp_path: Path) -> VaultFile:
        return VaultFile(tmp_path / "vault.jsonl", lambda _message: None)


class TestMemoryVault(VaultContract):
    @pytest.fixture
    def vault(self) -> MemoryVault:
        return MemoryVault()
