"""One rank of a trial that torchrun starts.

torchrun --nproc-per-node 2 -m autoresearch.training.torchrun SPEC.json
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from autoresearch.training.worker import run_rank
from autoresearch.trials.messages import FAILED
from autoresearch.trials.spec import TrialSpec


def main() -> None:
    """Run one rank under torchrun. The argument is the file of the spec; rank 0 prints the final message."""
    spec = TrialSpec.model_validate_json(Path(sys.argv[1]).read_text())
    message = run_rank(spec, lambda _: None)
    if os.environ.get("RANK", "0") == "0":
        print(json.dumps(message))
    if FAILED in message:
        print(message[FAILED]["detail"], file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
