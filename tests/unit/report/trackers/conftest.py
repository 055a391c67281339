"""The nights of the exports."""

from tests.unit.report.trial_export.conftest import accuracy_night, everything

__all__ = ["accuracy_night", "everything"]
