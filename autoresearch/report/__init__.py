"""Reports of a run: its trajectory as text and JSON. Writes nothing but a cache; needs neither torch nor numpy.

>>> history = load(Path("runs/tonight"))  # doctest: +SKIP
>>> print(render_status(summarise(history), history))  # doctest: +SKIP
"""

from autoresearch.report.history import History, OpenTrial, Row
from autoresearch.report.load import load, load_records, raw_replies, stream_records
from autoresearch.report.summary import PairCount, Summary, summarise, summary_json
from autoresearch.report.text import render_report, render_status

__all__ = [
    "History",
    "OpenTrial",
    "PairCount",
    "Row",
    "Summary",
    "load",
    "load_records",
    "raw_replies",
    "stream_records",
    "render_report",
    "render_status",
    "summarise",
    "summary_json",
]
