"""``autoresearch export dataset``: a prepared corpus as Megatron's indexed data set."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from autoresearch.cli.parsing import add_command


def add(kinds: Any) -> None:
    """The kind ``dataset`` of the command ``export``."""
    parser = add_command(kinds, "dataset", export_dataset, "a prepared corpus as Megatron's indexed data set")
    parser.add_argument("corpus", metavar="CORPUS", help="a prepared corpus")
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="the directory to write: train and val, .bin and .idx"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def export_dataset(args: argparse.Namespace) -> int:
    """``autoresearch export dataset``."""
    from autoresearch.daemon.observers.terminal import Terminal
    from autoresearch.data.corpus import Corpus
    from autoresearch.training.megatron_dataset import export_dataset as write

    terminal = Terminal(0, sys.stderr)
    about = write(Corpus.open(Path(args.corpus), verify=True), Path(args.out), terminal.preparing)
    if args.json:
        print(json.dumps(about, indent=2))
        return 0
    for name, split in about["splits"].items():
        print(f"{args.out}/{name}: {split['documents']:,} documents, {split['tokens']:,} tokens")
    return 0
