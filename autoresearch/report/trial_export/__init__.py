"""The trials of a run for other tools: one row per trial as CSV or Parquet, one Optuna trial per candidate.

>>> rows = TrialTable(stream_records(path))  # doctest: +SKIP
>>> write_csv(rows, Path("trials.csv"))  # doctest: +SKIP
"""

from autoresearch.report.trial_export.optuna_study import other_studies, write_optuna
from autoresearch.report.trial_export.rows import TrialTable
from autoresearch.report.trial_export.tables import write_csv, write_parquet

__all__ = ["TrialTable", "other_studies", "write_csv", "write_optuna", "write_parquet"]
