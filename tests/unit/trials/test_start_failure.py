"""The advice after a trial server that did not start names the cause that its last line shows."""

from __future__ import annotations

import pytest

from autoresearch.errors import TrialServerError
from autoresearch.trials.server import TrialServer
from autoresearch.trials.start_failure import advise

ROOT_S = {"HOME": "/var/lib/autoresearch"}


@pytest.mark.parametrize(
    ("line", "code", "environ", "words"),
    [
        (
            "PermissionError: [Errno 13] Permission denied: '/var/lib/autoresearch/.cache'",
            1,
            ROOT_S,
            "this user cannot create /var/lib/autoresearch/.cache (HOME is /var/lib/autoresearch): set HOME",
        ),
        ("PermissionError: [Errno 13] Permission denied: '/srv/home/.cache/x'", 1, {}, "(HOME is not set): set HOME"),
        ("OSError: [Errno 30] Read-only file system: '/h/.cache'", 1, {"HOME": "/h"}, "set HOME to a directory"),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/gone'", 1, {"HOME": "/gone"}, "set HOME to"),
        (
            "PermissionError: [Errno 13] Permission denied: '/c/torch'",
            1,
            {"HOME": "/h", "XDG_CACHE_HOME": "/c"},
            "(XDG_CACHE_HOME is /c): set XDG_CACHE_HOME",
        ),
        (
            "OSError: [Errno 28] No space left on device: '/h/.cache/a'",
            1,
            {"HOME": "/h"},
            "make room on",
        ),
        ("PermissionError: [Errno 13] Permission denied: '/opt/lib/x.so'", 1, ROOT_S, "ls -ld /opt/lib/x.so"),
        ("ModuleNotFoundError: No module named 'torch'", 1, ROOT_S, "torch is not installed: pip install"),
        ("ModuleNotFoundError: No module named 'megatron.core'", 1, ROOT_S, "megatron is not installed"),
        ("ImportError: libcudart.so.12: cannot open shared object file: No such file", 1, ROOT_S, "libcudart.so.12"),
        ("MemoryError", 1, ROOT_S, "the machine has no memory left: end other programs"),
        ("ImportError: libtorch_cpu.so: failed to map segment from shared object", 1, ROOT_S, "no memory left"),
        ("it printed nothing", -9, ROOT_S, "OOM killer uses SIGKILL"),
        ("it printed nothing", -24, ROOT_S, "CPU time is limited (RLIMIT_CPU): ulimit -t"),
        ("it printed nothing", None, ROOT_S, "still runs"),
        ("RuntimeError: odd", 1, ROOT_S, "import torch"),
    ],
)
def test_the_advice_follows_the_cause(line, code, environ, words):
    hint = advise(line, code, environ, "run", "server.log")
    assert words in hint
    assert hint.startswith("see server.log; ")
    assert ("installed" in hint) == ("ModuleNotFoundError" in line)


def test_a_server_that_does_not_start_quotes_its_own_last_line_and_no_older_one(tmp_path, monkeypatch):
    log = tmp_path / "server.log"
    log.write_text("ModuleNotFoundError: No module named 'torch'\n")
    monkeypatch.setenv("PYTHONHOME", "/nowhere")  # the interpreter itself fails at once
    with pytest.raises(TrialServerError) as error:
        TrialServer("torch", log).fork(None, [], lambda: False)  # type: ignore[arg-type]
    assert "No module named 'torch'" not in str(error.value)
    assert "no Python frame" in error.value.what
