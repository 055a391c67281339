"""The ``Vault`` port: values are kept by trial, and a missing one is never an error."""

from __future__ import annotations

from typing import Any

import pytest

from autoresearch.core.ports import Vault


class VaultContract:
    """For every implementation of ``autoresearch.core.ports.Vault`` that keeps values."""

    @pytest.fixture
    def vault(self) -> Any:
        """A vault that is empty."""
        raise NotImplementedError

    def test_it_needs_several_seeds(self, vault: Vault) -> None:
        assert vault.seeds >= 4

    def test_what_was_sealed_is_unsealed_to_the_last_bit(self, vault: Vault) -> None:
        values = {1: 1.9000000000000001, 2: 2.0, 7: 1 / 3}
        for trial, test_bpb in values.items():
            vault.seal(trial, trial % 2, test_bpb)
        assert vault.unseal([1, 2, 7]) == values

    def test_only_the_trials_in_question_are_unsealed(self, vault: Vault) -> None:
        vault.seal(1, 0, 1.5)
        vault.seal(2, 0, 1.25)
        assert vault.unseal({2}) == {2: 1.25}

    def test_a_trial_without_a_value_is_left_out(self, vault: Vault) -> None:
        assert vault.unseal({3}) == {}
        vault.seal(4, 0, 1.5)
        assert vault.unseal({3, 4}) == {4: 1.5}

    def test_the_later_value_of_a_trial_counts(self, vault: Vault) -> None:
        vault.seal(1, 0, 1.5)
        vault.seal(1, 0, 1.25)
        assert vault.unseal({1}) == {1: 1.25}
