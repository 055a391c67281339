"""The real command under limits of the system: the error names the limit and what to try, without a traceback."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autoresearch.errors import JournalError, TrialServerError

SLOW = pytest.mark.slow
OTHER_USER = 54321  # RLIMIT_NPROC is per user, and does not hold for root
AS_OTHER_USER = (
    *("setpriv", f"--reuid={OTHER_USER}", f"--regid={OTHER_USER}", "--clear-groups"),
    *("--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--bounding-set=-all,+dac_override"),
)


def run_limited(
    limit: int, value: int, directory: Path, corpus: Path, trials: dict[str, Any], prefix: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """`autoresearch run` with one limit of the system."""
    settings = [f"--set={name}={value}" for name, value in trials.items() if isinstance(value, str | int | float)]
    command = [*prefix, sys.executable, "-m", "autoresearch", "run", f"--dir={directory}", f"--corpus={corpus}"]
    return subprocess.run(
        [*command, "--iters=1", "--proposer=random", *settings],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "HOME": str(directory.parent)},
        preexec_fn=lambda: resource.setrlimit(limit, (value, value)),
    )


@pytest.mark.parametrize("files", [pytest.param(6, marks=SLOW), 8, pytest.param(12, marks=SLOW)])
def test_too_few_files(files: int, small_corpus: Path, quick_trials: dict[str, Any], tmp_path: Path) -> None:
    done = run_limited(resource.RLIMIT_NOFILE, files, tmp_path / "run", small_corpus, quick_trials)
    assert done.returncode in (JournalError.exit_code, TrialServerError.exit_code), done.stderr
    assert f"this process may open {files} files (RLIMIT_NOFILE)" in done.stderr
    assert "try: ulimit -n" in done.stderr
    assert "Traceback" not in done.stderr


@SLOW
@pytest.mark.parametrize(
    ("limit", "value", "code", "words"),
    [
        (resource.RLIMIT_AS, 400_000 << 10, 71, ("409,600,000 bytes (RLIMIT_AS)", "ulimit -v unlimited")),
        (resource.RLIMIT_FSIZE, 8192, 74, ("may have 8,192 bytes (RLIMIT_FSIZE)", "ulimit -f unlimited")),
    ],
)
def test_too_little_of_something_else(
    limit: int,
    value: int,
    code: int,
    words: tuple[str, ...],
    small_corpus: Path,
    quick_trials: dict[str, Any],
    tmp_path: Path,
) -> None:
    done = run_limited(limit, value, tmp_path / "run", small_corpus, quick_trials)
    assert done.returncode == code, done.stderr
    assert all(text in done.stderr for text in words), done.stderr
    assert "Traceback" not in done.stderr


@SLOW
def test_a_trial_stays_below_a_limit_of_its_user(
    small_corpus: Path, quick_trials: dict[str, Any], tmp_path: Path
) -> None:
    """Its own limit on memory is not above the one that the daemon was started with, which it could not raise."""
    done = run_limited(resource.RLIMIT_DATA, 1 << 30, tmp_path / "run", small_corpus, quick_trials)
    assert done.returncode == 0, done.stderr


@SLOW
def test_prepare_with_too_little_memory_for_the_library(tmp_path: Path) -> None:
    """The library would abort the process."""
    pytest.importorskip("tokenizers", reason="the bpe tokenizer needs the package tokenizers")
    (tmp_path / "text.txt").write_text("some words and others\n" * 1000)
    for kib in (150_000, 250_000):
        done = subprocess.run(
            [sys.executable, "-m", "autoresearch", "prepare", tmp_path / "text.txt", "--out", tmp_path / "corpus"],
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            preexec_fn=lambda kib=kib: resource.setrlimit(resource.RLIMIT_AS, (kib << 10, kib << 10)),  # type: ignore[misc]
        )
        assert done.returncode in (66, 74), done.stderr
        assert f"this process may use {kib << 10:,} bytes (RLIMIT_AS)" in done.stderr
        assert not (tmp_path / "corpus").exists()


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root, to become another user")
@pytest.mark.parametrize("processes", [0, pytest.param(1, marks=SLOW), pytest.param(2, marks=SLOW)])
def test_too_few_processes(processes: int, small_corpus: Path, quick_trials: dict[str, Any], tmp_path: Path) -> None:
    """Not even the trial server; the server, but no trial."""
    tmp_path.chmod(0o777)
    done = run_limited(
        resource.RLIMIT_NPROC, processes, tmp_path / "run", small_corpus, quick_trials, prefix=AS_OTHER_USER
    )
    if "setpriv:" in done.stderr:
        pytest.skip(f"no other user here: {done.stderr.strip()}")
    assert done.returncode == TrialServerError.exit_code, done.stderr
    assert f"this user may have {processes} of them (RLIMIT_NPROC)" in done.stderr
    assert "try: end other programs of this user, ulimit -u" in done.stderr
    assert "OOM" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root, to become another user")
@pytest.mark.parametrize(("tokenizer", "processes", "code"), [("byte", 1, 0), ("byte", 3, 0), ("bpe", 1, 66)])
def test_prepare_with_too_few_processes(tokenizer: str, processes: int, code: int, tmp_path: Path) -> None:
    """It encodes on fewer cores and says so; where the tokenizer's library needs a thread, the limit is named."""
    if tokenizer == "bpe":
        pytest.importorskip("tokenizers", reason="the bpe tokenizer needs the package tokenizers")
    tmp_path.chmod(0o777)
    text = tmp_path / "text.txt"
    text.write_bytes(b"".join(b"%d of the words in line %d\n" % (n * n, n) for n in range(300_000)))
    command = [sys.executable, "-m", "autoresearch", "prepare", text, "--out", tmp_path / "corpus"]
    done = subprocess.run(
        [*AS_OTHER_USER, *command, "--tokenizer", tokenizer],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "HOME": str(tmp_path), "RAYON_NUM_THREADS": "4"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes)),
    )
    if "setpriv:" in done.stderr:
        pytest.skip(f"no other user here: {done.stderr.strip()}")
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert f"this user may have {processes} of them (RLIMIT_NPROC)" in done.stderr
    assert ("of 4 cores" if code == 0 else "the tokenizer cannot be trained") in done.stderr
