"""``autoresearch bench``: proofs of the verdicts, on simulated trials or on anyone's measurements."""

from __future__ import annotations

from typing import Any

from autoresearch.cli import bench_stop
from autoresearch.cli.parsing import as_sentence


def add(commands: Any) -> None:
    """The command ``bench`` with its proofs."""
    text = "prove the verdicts on measurements: what the rules keep, lose and save"
    parser = commands.add_parser("bench", help=text, description=as_sentence(text))
    kinds = parser.add_subparsers(title="what to prove", required=True, metavar="PROOF")
    bench_stop.add(kinds)
