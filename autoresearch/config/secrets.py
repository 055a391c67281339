"""The environment that child processes get: without what only this process needs to know."""

from __future__ import annotations

from collections.abc import Mapping

KEY_VARIABLE = "AUTORESEARCH_LLM_KEY"  # the LLM server's key
# The directory is systemd's: a child runs as the same user and could read the key in it.
SECRETS = frozenset({KEY_VARIABLE, "CREDENTIALS_DIRECTORY"})
# What lets a process speak for this one to the service manager.
OWN_VOICE = frozenset({"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"})


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` for a trial, a hook, or whatever else is started."""
    return {name: value for name, value in environ.items() if name not in SECRETS | OWN_VOICE}
