"""A gain with its interval in words. Pure."""

from __future__ import annotations


def format_gain(gain: float, low: float | None, high: float | None) -> str:
    """``+2.07% (interval +1.50 to +2.65%)``; without bounds the gain alone."""
    if low is None or high is None:
        return f"{100 * gain:+.2f}%"
    return f"{100 * gain:+.2f}% (interval {100 * low:+.2f} to {100 * high:+.2f}%)"
