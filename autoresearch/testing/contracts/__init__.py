"""What every implementation of a port must do, as pytest classes: inherit one, and override the fixtures that raise.

    from autoresearch.testing.contracts.journal import JournalContract

    class TestMyJournal(JournalContract):
        @pytest.fixture
        def journal(self, tmp_path):
            return MyJournal(tmp_path / "records")

Importing this package needs pytest; ``autoresearch.testing`` itself does not.
"""

import pytest

PORTS = ("control", "executor", "journal", "meter", "observer", "proposer", "sensor", "suite", "timer", "trial")

# A failed assertion of these modules is reported with its values, as one of a test file is.
pytest.register_assert_rewrite(*(f"{__name__}.{port}" for port in PORTS))
