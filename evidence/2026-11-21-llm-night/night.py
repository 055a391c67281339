"""A night with an LLM server that is killed after iteration 3, back after 6, and has another model after 8.

python evidence/2026-11-21-llm-night/night.py DIRECTORY     # from the project's root, with the extra llm-server
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests import tiny_llm

CLOSERS = ("evaluated", "eval_failed", "blocked", "proposer_failed")


def closed(trajectory: Path) -> int:
    """How many iterations have been closed so far."""
    lines = trajectory.read_text().splitlines() if trajectory.exists() else []
    return sum(json.loads(line)["stage"] in CLOSERS for line in lines)


def main(home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    one = tiny_llm.write_model(home / "one.gguf", seed=1, name="tiny-one")
    two = tiny_llm.write_model(home / "two.gguf", seed=2, name="tiny-two")
    with tiny_llm.TinyServer(one, home / "llm.log", alias="tiny-one") as server:
        command = [sys.executable, "-m", "autoresearch", "run", "--dir", str(home / "run"), "--iters", "10"]
        command += ["--proposer", "hybrid", "--base-url", server.base_url, "--set", "llm.share=0.5"]
        deeds = {3: server.kill, 6: server.start, 8: lambda: server.swap(two, "tiny-two")}
        with (home / "terminal.txt").open("w") as out:
            night = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
            while night.poll() is None:
                time.sleep(0.2)
                for n in [n for n in deeds if n <= closed(home / "run/trajectory.jsonl")]:
                    deeds.pop(n)()
    print(f"exit code {night.returncode}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
