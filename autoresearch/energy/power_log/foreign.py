"""Formats that hold no power over time, or not as a table. Each is refused by its name, with what to do instead."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from autoresearch.energy.power_log.refusal import refusal

LOG_INSTEAD = "log nvidia-smi --query-gpu=timestamp,uuid,power.draw --format=csv -l 1 instead"
TWO_COLUMNS = "write its times and watts as a CSV with the columns timestamp and power_w"


class Format(NamedTuple):
    """A format that is refused where ``pattern`` is found in the first lines."""

    name: str
    pattern: re.Pattern[str]
    hint: str


FORMATS = (
    Format("the output of tegrastats", re.compile(r"\bRAM \d+/\d+ ?MB\b"), TWO_COLUMNS),
    Format("CodeCarbon's emissions.csv, a row of which is the energy of a whole measurement, not power over time",
           re.compile(r"^(?=.*\bemissions\b)(?=.*\benergy_consumed\b)", re.MULTILINE | re.IGNORECASE),
           "its column energy_consumed is in kWh already"),
    Format("the table of nvidia-smi", re.compile(r"^\| NVIDIA-SMI |^\+-{20,}", re.MULTILINE), LOG_INSTEAD),
    Format("the output of nvidia-smi -q", re.compile(r"NVSMI LOG"), LOG_INSTEAD),
    Format("XML", re.compile(r"\A\s*<\?xml"), LOG_INSTEAD),
    Format("JSON", re.compile(r"\A\s*[\[{]\s*[\"{\[]"), TWO_COLUMNS),
    Format("the output of powermetrics", re.compile(r"Machine model:|\*\*\* Sampled system activity"), TWO_COLUMNS),
    Format("the output of perf stat", re.compile(r"power/energy-\w+/"), "its joules are energy already"),
    Format("a compressed file", re.compile(r"\A(\x1f[\x8b\ufffd]|PK\x03\x04|\(\ufffd/\ufffd)"), "decompress it"),
)  # fmt: skip


def refuse_foreign(name: str, first_lines: Sequence[str]) -> None:
    """Raise ``AutoresearchError`` where the first lines are of a format that has a name."""
    text = "\n".join(first_lines)
    for known in FORMATS:
        if known.pattern.search(text):
            raise refusal(name, f"this is {known.name}", known.hint)
