"""The environment of child processes: without the variables that only this process needs."""

from __future__ import annotations

from collections.abc import Mapping

KEY_VARIABLE = "AUTORESEARCH_LLM_KEY"  # the LLM server's key
# systemd passes the key in this directory; a child runs as the same user and could read it there.
SECRETS = frozenset({KEY_VARIABLE, "CREDENTIALS_DIRECTORY"})
# With these a child could send messages to systemd in the name of the daemon.
SD_NOTIFY_VARIABLES = frozenset({"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"})


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``environ`` without secrets, for a trial, a hook or any other child process."""
    return {name: value for name, value in environ.items() if name not in SECRETS | SD_NOTIFY_VARIABLES}
