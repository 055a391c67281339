"""An interrupted ``prepare`` leaves no process and no corpus, and the next one starts clean."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from autoresearch.data.corpus import Corpus

MEBIBYTES = 10  # enough for more than one process


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "source.txt"
    with path.open("w") as file:
        for i in range(MEBIBYTES * 24_000):
            file.write(f"{i} is the number of this line of the text\n")
    return path


def start(source: Path, out: Path, most_bytes: int = resource.RLIM_INFINITY) -> subprocess.Popen[str]:
    """``prepare`` in two processes, which may write files of at most ``most_bytes``."""
    path = {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry), "RAYON_NUM_THREADS": "2"}
    environ = {name: value for name, value in os.environ.items() if name != "TOKENIZERS_PARALLELISM"}
    command = [sys.executable, "-m", "autoresearch", "prepare", str(source), "--out", str(out), "--tokenizer", "byte"]
    limited = ["prlimit", f"--fsize={most_bytes}", *command] if most_bytes != resource.RLIM_INFINITY else command
    return subprocess.Popen(
        limited, env=environ | path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    )


def encoders(process: subprocess.Popen[str], out: Path) -> list[psutil.Process]:
    """Its children, once the first tokens are written."""
    deadline = time.monotonic() + 60
    while not any(file.stat().st_size for file in out.parent.glob(f".{out.name}.building-*/train.bin")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return psutil.Process(process.pid).children()


def await_end(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []


SLOW = [pytest.param(number, marks=pytest.mark.slow) for number in (signal.SIGTERM, signal.SIGINT)]


@pytest.mark.parametrize("signum", [signal.SIGKILL, *SLOW])
def test_the_next_one_starts_clean(tmp_path: Path, source: Path, signum: int) -> None:
    out = tmp_path / "c"
    with start(source, out) as process:
        children = encoders(process, out)
        os.killpg(process.pid, signum)  # as Ctrl-C does: the encoders are not in the group
        _, errors = process.communicate(timeout=60)
    assert len(children) == 2
    assert process.returncode not in (0, None)
    assert "Traceback" not in errors
    await_end(children)
    assert not out.exists()
    with start(source, out) as process:
        assert process.wait(120) == 0
    assert list(tmp_path.iterdir()) == [out]
    assert Corpus.open(out, verify=True).manifest.source.documents == 1


def test_a_disk_that_is_full_midway_is_named(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "c"
    with start(source, out, most_bytes=source.stat().st_size + (1 << 20)) as process:
        children = encoders(process, out)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 66
    assert f"cannot write the corpus to {out}: a file of this process may have " in errors
    assert "(RLIMIT_FSIZE)\n  try: ulimit -f" in errors
    assert "ulimit -f" in errors
    await_end(children)
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_that_is_killed_is_named(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "c"
    with start(source, out) as process:
        for child in encoders(process, out):
            child.kill()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 66
    assert "a process that encodes text has ended" in errors
    assert list(tmp_path.iterdir()) == []
