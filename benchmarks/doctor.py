"""Time of `autoresearch doctor` against a live LLM server: it requests three real proposals and starts the trainer.

python -m benchmarks.doctor

The server is llama.cpp's on a tiny model with random weights (extra ``llm-server``): what is timed is the doctor, not
the model. With a real 8B model, add three times the time of one proposal; after 20 s it makes no further requests.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import describe
from tests import tiny_llm

REPEATS = 5


def timed(run_dir: Path, base_url: str) -> float:
    """Seconds of one whole process."""
    command = [sys.executable, "-m", "autoresearch", "doctor", "--dir", str(run_dir), "--proposer", "hybrid"]
    began = time.perf_counter()
    subprocess.run([*command, "--base-url", base_url], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    print(f"### Time of `autoresearch doctor`\n\n{describe()}\n")
    if why := tiny_llm.missing():
        print(f"Not measured: {why}")
        return
    with tempfile.TemporaryDirectory() as folder:
        model = tiny_llm.write_model(Path(folder) / "tiny.gguf", seed=1)
        with tiny_llm.TinyServer(model, Path(folder) / "llm.log") as server:
            live = [timed(Path(folder) / "run", server.base_url) for _ in range(REPEATS)]
        dead = [timed(Path(folder) / "run", server.base_url) for _ in range(REPEATS)]
    print(f"`python -m benchmarks.doctor`: {REPEATS} whole processes each, profile tiny\n")
    print("| | median s | largest s |\n|---|---|---|")
    print(f"| a live server, three proposals | {statistics.median(live):.1f} | {max(live):.1f} |")
    print(f"| no server | {statistics.median(dead):.1f} | {max(dead):.1f} |")
    print("| target | | at most 15 |")


if __name__ == "__main__":
    main()
