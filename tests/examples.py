"""How many examples Hypothesis tries: all in CI and where ``HYPOTHESIS_EXAMPLES=all`` is set, else a quarter.

The examples differ from run to run, so that many quick runs try what one long run tries.
"""

from __future__ import annotations

import os

TRIES_ALL = bool(os.environ.get("CI")) or os.environ.get("HYPOTHESIS_EXAMPLES") == "all"


def examples(count: int) -> int:
    """``count``, or a quarter of it."""
    return count if TRIES_ALL else -(-count // 4)
