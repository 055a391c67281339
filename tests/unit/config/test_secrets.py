"""What children get of the environment."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

from autoresearch.config.secrets import KEY_VARIABLE, tracker_environ, without_secrets
from autoresearch.errors import AutoresearchError
from autoresearch.trials.server import TrialServer


def test_everything_but_the_secrets():
    environ = {"PATH": "/bin", KEY_VARIABLE: "sk-1", "CREDENTIALS_DIRECTORY": "/c", "NOTIFY_SOCKET": "@n"}
    assert without_secrets(environ) == {"PATH": "/bin"}


def test_a_password_in_a_tracker_s_address_reaches_that_tracker_alone():
    login = {"MLFLOW_TRACKING_URI": "https://alice:pw@desk.local"}
    assert without_secrets(login) == {}
    assert tracker_environ(login, "mlflow") == login
    assert tracker_environ(login, "wandb") == {}
    plain = {"MLFLOW_TRACKING_URI": "https://desk.local"}
    assert without_secrets(plain) == plain


def test_the_trial_server_does_not_know_the_key(tmp_path: Path, monkeypatch):
    started: list[dict[str, str]] = []

    class Watched(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            started.append(kwargs["env"])
            raise OSError("not today")

    monkeypatch.setenv(KEY_VARIABLE, "sk-1")
    monkeypatch.setattr(subprocess, "Popen", Watched)
    server = TrialServer("torch", tmp_path / "log")
    with suppress(OSError, AutoresearchError):
        server.fork({}, (0, 0, 0), lambda: False)
    assert started
    assert KEY_VARIABLE not in started[0]
