"""The colours of a frame. They carry no information of their own: without colour (NO_COLOR) nothing is lost."""

STYLES = {"keep": "green", "bad": "red", "dim": "dim", "revert": ""}
GOOD, WARN, BAD, PLAIN = "bold green", "bold yellow", "bold red", "bold"
BAR, REST = "cyan", "dim"
