"""The environment of child processes: without the variables that only this process needs."""

from __future__ import annotations

from collections.abc import Mapping

KEY_VARIABLE = "AUTORESEARCH_LLM_KEY"  # the LLM server's key
# systemd passes the key in this directory; a child runs as the same user and could read it there.
SECRETS = frozenset({KEY_VARIABLE, "CREDENTIALS_DIRECTORY"})
# With these a child could send messages to systemd in the name of the daemon.
SD_NOTIFY_VARIABLES = frozenset({"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"})
# What the libraries of experiment trackers log in with: for the process of `run --track TOOL` alone.
TRACKER_SECRETS: Mapping[str, frozenset[str]] = {
    "wandb": frozenset({"WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"}),
    "mlflow": frozenset(
        {
            "MLFLOW_TRACKING_USERNAME",
            "MLFLOW_TRACKING_PASSWORD",
            "MLFLOW_TRACKING_TOKEN",
            "DATABRICKS_TOKEN",
            "DATABRICKS_CLIENT_SECRET",
        }
    ),
    "trackio": frozenset({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "TRACKIO_WRITE_TOKEN", "TRACKIO_SERVER_URL"}),
}
# Addresses of their servers, which may have a login in them: https://NAME:PASSWORD@HOST.
TRACKER_ADDRESSES: Mapping[str, str] = {"MLFLOW_TRACKING_URI": "mlflow", "WANDB_BASE_URL": "wandb"}


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``environ`` without secrets, for a trial, a hook or any other child process."""
    hidden = SECRETS.union(SD_NOTIFY_VARIABLES, *TRACKER_SECRETS.values())
    return {name: value for name, value in environ.items() if name not in hidden and not _has_login(name, value)}


def _has_login(name: str, value: str) -> bool:
    """Whether the variable is the address of a tracker's server with a user and a password in it."""
    return name in TRACKER_ADDRESSES and "@" in value


def tracker_environ(environ: Mapping[str, str], tool: str) -> dict[str, str]:
    """Return the environment of the process that tracks with ``tool``: of all secrets it has its own tool's."""
    names = {*TRACKER_SECRETS.get(tool, ()), *(a for a, of in TRACKER_ADDRESSES.items() if of == tool)}
    own = {name: environ[name] for name in names if name in environ}
    return without_secrets(environ) | own
