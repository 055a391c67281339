"""Logs of other programs, of our own words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TSV = """commit\tval_bpb\tmemory_gb\tstatus\tdescription
a1b2c3d\t1.000000\t10.0\tkeep\tbaseline
b2c3d4e\t1.010000\t10.0\tdiscard\twider "MLP"
c3d4e5f\t0.000000\t0.0\tcrash\tbatch too large
d4e5f6a\t0.980000\t10.1\tkeep\tlearning rate up
e5f6a7b\t0.979900\t10.1\tkeep\ta comment removed
f6a7b8c\t0.990000\t10.1\tdiscard\tno warmup
"""

PI = [
    {"type": "config", "name": "speed", "metricName": "wall_s", "metricUnit": "s", "bestDirection": "lower"},
    {"run": 1, "commit": "a", "metric": 12.0, "metrics": {}, "status": "keep", "description": "baseline"},
    {"run": 2, "commit": "b", "metric": 11.0, "status": "keep", "description": "a cache"},
    {"run": 3, "commit": "c", "metric": 0, "status": "crash", "description": "threads"},
    {"run": 4, "commit": "d", "metric": 11.5, "status": "discard", "description": "another cache"},
    {"type": "config", "name": "score", "metricName": "accuracy", "bestDirection": "higher"},
    {"run": 1, "commit": "e", "metric": 0.8, "status": "keep", "description": "baseline"},
    {"run": 2, "commit": "f", "metric": 0.9, "status": "keep", "description": "more data"},
    {"run": 3, "commit": "g", "metric": 0.95, "status": "checks_failed", "description": "test data"},
]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def make(text: str | list[Any], name: str = "log") -> Path:
        path = tmp_path / name
        lines = text if isinstance(text, str) else "".join(json.dumps(record) + "\n" for record in text)
        path.write_text(lines, encoding="utf-8")
        return path

    return make
