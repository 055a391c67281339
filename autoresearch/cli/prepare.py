"""``autoresearch prepare``: turn text into a corpus."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from autoresearch.cli.parsing import add_command


def add(commands: Any) -> None:
    """The command ``prepare``."""
    parser = add_command(commands, "prepare", prepare, "turn text into a tokenized, split and hashed corpus directory")
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help="files or folders of .txt .md .py .jsonl .parquet")
    parser.add_argument("--out", required=True, metavar="CORPUS", help="the corpus directory to write")
    parser.add_argument("--stdlib", action="store_true", help="this Python's own standard library sources")
    parser.add_argument("--hf", metavar="NAME", help="a data set of the Hugging Face hub, NAME or NAME:CONFIG")
    parser.add_argument("--tokenizer", choices=("byte", "bpe", "gpt2"), default="bpe", help="default: bpe")
    parser.add_argument("--vocab-size", type=int, default=4096, help="ids of a bpe tokenizer (default: 4096)")
    parser.add_argument("--tokenizer-file", metavar="FILE", help="a local tokenizer.json for gpt2")
    parser.add_argument(
        "--fractions", type=_fractions, default=(0.9, 0.05, 0.05), metavar="T,V,T", help="default: 0.9,0.05,0.05"
    )
    parser.add_argument("--json", action="store_true", help="print the manifest as JSON")


def prepare(args: argparse.Namespace) -> int:
    """``autoresearch prepare``."""
    from autoresearch.daemon.observers.terminal import Terminal
    from autoresearch.data.prepare import prepare as prepare_corpus
    from autoresearch.data.sources import Sources
    from autoresearch.data.tokenizer import TokenizerSpec

    sources = Sources(tuple(Path(p) for p in args.sources), stdlib=args.stdlib, hf=args.hf)
    file = Path(args.tokenizer_file) if args.tokenizer_file else None
    spec = TokenizerSpec(args.tokenizer, args.vocab_size, file)
    terminal = Terminal(0, sys.stderr)
    manifest = prepare_corpus(
        sources.documents(),
        Path(args.out),
        names=sources.names,
        tokenizer=spec,
        fractions=args.fractions,
        progress=terminal.preparing,
    )
    if args.json:
        print(json.dumps(manifest.model_dump(mode="json", exclude={"token_bytes"}), indent=2))
        return 0
    print(
        f"{args.out}: {manifest.source.documents} documents,",
        f"{manifest.source.bytes:,} bytes, split by {manifest.split_by}",
    )
    for name, split in manifest.splits.items():
        print(f"  {name:<6}{split.documents:>8} documents {split.bytes:>14,} bytes {split.tokens:>14,} tokens")
    print(f"  tokenizer {manifest.tokenizer.kind}, {manifest.tokenizer.vocab} ids; corpus {manifest.sha256[:16]}")
    return 0


def _fractions(text: str) -> tuple[float, float, float]:
    try:
        train, val, test = (float(part) for part in text.split(","))
    except ValueError as e:
        raise argparse.ArgumentTypeError(f"{text!r} is not three numbers, for example 0.9,0.05,0.05") from e
    return train, val, test
