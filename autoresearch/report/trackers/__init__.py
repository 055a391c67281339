"""The candidates of a run for experiment trackers: MLflow, W&B, TensorBoard and Trackio, one run of theirs each.

>>> with open_tracker("mlflow", Place(path)) as tracker:  # doctest: +SKIP
...     for run in tracked_runs(stream_records(trajectory)):
...         tracker.write(run)
"""

from autoresearch.report.trackers.export import export_run
from autoresearch.report.trackers.table import STREAMED, TRACKERS, open_tracker
from autoresearch.report.trackers.tracked_run import TrackedRun, tracked_run, tracked_runs
from autoresearch.report.trackers.tracker import Place, Tracker

__all__ = [
    "STREAMED",
    "TRACKERS",
    "Place",
    "TrackedRun",
    "Tracker",
    "export_run",
    "open_tracker",
    "tracked_run",
    "tracked_runs",
]
