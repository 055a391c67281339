"""What a trial process reports: JSON objects with one of these keys each, one object per line.

``PROGRESS`` while it runs, at last one of the others. ``torchrun`` prints the same final message.
"""

from __future__ import annotations

from typing import Any

PROGRESS = "progress"  # [phase, fraction, step, tokens per second or null]
MEASURED = "measured"  # a Measurement, Speed or MatmulPeak, as the request asked for
SEALED = "sealed"  # beside "measured": bits per byte on the spec's span of the test split
SUSPENDED = "suspended"
STOPPED_EARLY = "stopped_early"
FAILED = "failed"
DEVICE = "device"  # the answers to a probe
NO_DEVICE = "no_device"
COMPILE_TIMES = "compile_times"

SUCCEEDED = frozenset({MEASURED, SUSPENDED, STOPPED_EARLY})  # of a rank: it has done all that it was to do

Message = dict[str, Any]
