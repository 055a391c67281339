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


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``environ`` without secrets, for a trial, a hook or any other child process."""
    hidden = SECRETS.union(SD_NOTIFY_VARIABLES, *TRACKER_SECRETS.values())
    return {name: value for name, value in environ.items() if name not in hidden}


def tracker_environ(environ: Mapping[str, str], tool: str) -> dict[str, str]:
    """Return the environment of the process that tracks with ``tool``: of all secrets it has its own tool's."""
    own = {name: environ[name] for name in TRACKER_SECRETS.get(tool, ()) if name in environ}
    return without_secrets(environ) | own
