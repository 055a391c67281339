"""Memory does not grow with the text: sources larger than the memory that each process may have are prepared."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

MEMORY_BYTES = 400 << 20
FRACTIONS = "0.5,0.25,0.25"  # the tables of windows grow until validation has 16 MiB: here it always has
LIMITED = """
import resource, sys
from autoresearch.cli import main
resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[1]), int(sys.argv[1])))
sys.exit(main(sys.argv[2:]))
"""


def write(path: Path, mebibytes: int, line_end: str) -> Path:
    """Text with many different words, as in a real source, in a file of one name."""
    with path.open("w") as file:
        for i in range(mebibytes):
            file.write("".join(f"{i} and {j} are the numbers of these words{line_end} " for j in range(24_000)))
    return path


def prepare(source: Path, out: Path, tokenizer: str) -> int:
    """Prepare under the limit. Returns the peak memory of all processes together, pages that they share once."""
    path = {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", LIMITED, str(MEMORY_BYTES), "prepare", str(source), "--out", str(out)]
    command += ["--tokenizer", tokenizer, "--fractions", FRACTIONS]
    with subprocess.Popen(command, env=os.environ | path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        peaks = [0]
        watcher = threading.Thread(target=_watch, args=(process, peaks))
        watcher.start()
        _, errors = process.communicate(timeout=900)
        watcher.join()
    assert process.returncode == 0, errors.decode()[-2000:]
    return max(peaks)


def _watch(process: subprocess.Popen[bytes], peaks: list[int]) -> None:
    while process.poll() is None:
        try:
            parent = psutil.Process(process.pid)
            peaks.append(sum(p.memory_full_info().pss for p in (parent, *parent.children())))
        except psutil.Error:
            pass  # one has just ended
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("line_end", ["", "\n"], ids=["one line", "lines"])
def test_half_a_gigabyte_in_one_file_fits_into_400_mib(tmp_path: Path, line_end: str) -> None:
    source = write(tmp_path / "large.txt", 512, line_end)
    assert source.stat().st_size > MEMORY_BYTES * 1.2
    assert prepare(source, tmp_path / "c", "byte") < 1 << 30


@pytest.mark.slow
@pytest.mark.parametrize("tokenizer", ["byte", "bpe"])
def test_the_peak_of_all_processes_does_not_grow_with_the_source(tmp_path: Path, tokenizer: str) -> None:
    pytest.importorskip("tokenizers", reason="the bpe tokenizer needs the package tokenizers")
    peaks = [prepare(write(tmp_path / f"{size}.txt", size, ""), tmp_path / f"{size}", tokenizer) for size in (70, 210)]
    assert peaks[1] < peaks[0] * 1.1 + (16 << 20), [f"{peak >> 20} MiB" for peak in peaks]
    assert peaks[1] < 1 << 30
