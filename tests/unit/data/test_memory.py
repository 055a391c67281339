"""Memory does not grow with the text: a source larger than the memory that the process may have is prepared."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MEMORY_BYTES = 400 << 20
LIMITED = """
import resource, sys
from autoresearch.cli import main
resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[1]), int(sys.argv[1])))
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("line_end", ["", "\n"], ids=["one line", "lines"])
def test_half_a_gigabyte_in_one_file_fits_into_400_mib(tmp_path: Path, line_end: str) -> None:
    source = tmp_path / "large.txt"
    with source.open("w") as file:
        for i in range(512):
            file.write("".join(f"{i} and {j} are the numbers of these words{line_end} " for j in range(24_000)))
    assert source.stat().st_size > MEMORY_BYTES * 1.2
    path = {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry), "OPENBLAS_NUM_THREADS": "1"}
    arguments = ["prepare", str(source), "--tokenizer", "byte", "--out", str(tmp_path / "c")]
    command = [sys.executable, "-c", LIMITED, str(MEMORY_BYTES), *arguments]
    done = subprocess.run(command, env=os.environ | path, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]
