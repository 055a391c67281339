"""The few colours of a frame. All of them can be lost (NO_COLOR, a dull terminal) without losing a word."""

STYLES = {"keep": "green", "bad": "red", "dim": "dim", "revert": ""}
GOOD, WARN, BAD, PLAIN = "bold green", "bold yellow", "bold red", "bold"
BAR, REST = "cyan", "dim"
