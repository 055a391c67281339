"""``autoresearch prepare``: turn text into a corpus."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch.cli.parsing import add_command
from autoresearch.core.text import escape_control

if TYPE_CHECKING:
    from autoresearch.data.corpus import Manifest


def add(commands: Any) -> None:
    """The command ``prepare``."""
    parser = add_command(commands, "prepare", prepare, "turn text into a tokenized, split and hashed corpus directory")
    kinds = "files or folders of .txt .md .py .jsonl (also .gz, .zst) .parquet"
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help=kinds)
    parser.add_argument("--out", required=True, metavar="CORPUS", help="the corpus directory to write")
    parser.add_argument("--stdlib", action="store_true", help="this Python's own standard library sources")
    parser.add_argument("--hf", metavar="NAME", help="a data set of the Hugging Face hub, NAME or NAME:CONFIG")
    parser.add_argument("--field", default="text", metavar="NAME", help="holds the text of a row (default: text)")
    parser.add_argument("--skip-bad-lines", action="store_true", help="leave out and count rows without usable text")
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
    from autoresearch.data.document import LeftOut
    from autoresearch.data.prepare import prepare as prepare_corpus
    from autoresearch.data.sources import Sources
    from autoresearch.data.tokenizer import TokenizerSpec

    paths = tuple(Path(p) for p in args.sources)
    sources = Sources(paths, args.stdlib, args.hf, field=args.field, skip_bad_lines=args.skip_bad_lines)
    left_out = LeftOut()
    file = Path(args.tokenizer_file) if args.tokenizer_file else None
    spec = TokenizerSpec(args.tokenizer, args.vocab_size, file)
    terminal = Terminal(0, sys.stderr)
    manifest = prepare_corpus(
        sources.documents(left_out),
        Path(args.out),
        names=sources.names,
        tokenizer=spec,
        fractions=args.fractions,
        progress=terminal.preparing,
        left_out=left_out,
        notify=terminal.notify,
    )
    if args.json:
        print(json.dumps(manifest.model_dump(mode="json", exclude={"token_bytes"}), indent=2))
        return 0
    _print(args.out, manifest)
    return 0


def _print(out: str, manifest: Manifest) -> None:
    from autoresearch.data.description import describe_preparation

    source = manifest.source
    print(f"{out}: {source.documents} documents, {source.bytes:,} bytes, split by {manifest.split_by}")
    for name, split in manifest.splits.items():
        print(f"  {name:<6}{split.documents:>8} documents {split.bytes:>14,} bytes {split.tokens:>14,} tokens")
    for sentence in describe_preparation(manifest.preparation):
        print(f"  {escape_control(sentence)}")
    sample = manifest.tokenizer.sample_bytes
    trained = f", trained on {sample:,} bytes spread over train" if sample else ""
    tokenizer = f"{manifest.tokenizer.kind}, {manifest.tokenizer.vocab} ids{trained}"
    print(f"  tokenizer {tokenizer}; corpus {manifest.sha256[:16]}")


def _fractions(text: str) -> tuple[float, float, float]:
    try:
        train, val, test = (float(part) for part in text.split(","))
    except ValueError as e:
        raise argparse.ArgumentTypeError(f"{text!r} is not three numbers, for example 0.9,0.05,0.05") from e
    return train, val, test
