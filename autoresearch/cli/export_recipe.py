"""``autoresearch export recipe``: the best configuration of a run as a training script."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from autoresearch.cli.output import write_file
from autoresearch.cli.parsing import add_command
from autoresearch.cli.settings import add_run_path, run_path
from autoresearch.errors import AutoresearchError, CorpusError, MissingPackage


def add(kinds: Any) -> None:
    """The kind ``recipe`` of the command ``export``."""
    parser = add_command(kinds, "recipe", export_recipe, "the best configuration of a run as a training script")
    add_run_path(parser, "run directory or trajectory.jsonl")
    parser.add_argument(
        "--format",
        choices=("megatron-lm", "megatron-bridge"),
        default="megatron-lm",
        help="a bash script around pretrain_gpt.py (default), or a Python script for Megatron-Bridge",
    )
    parser.add_argument("--out", metavar="FILE", help="write to FILE instead of printing")
    parser.add_argument("--steps", type=int, metavar="N", help="optimizer steps (default: as many as the trial made)")
    parser.add_argument("--corpus", metavar="CORPUS", help="take the vocabulary from it (default: from the records)")
    parser.add_argument(
        "--no-check",
        dest="check",
        action="store_false",
        help="do not build the model of the script with Megatron-core where that is installed",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def export_recipe(args: argparse.Namespace) -> int:
    """``autoresearch export recipe``."""
    from autoresearch.report import stream_records
    from autoresearch.report.export import FORMATS, build_recipe, recipe_facts

    path, form = run_path(args), FORMATS[args.format]
    vocab = _vocab_of(Path(args.corpus), next(stream_records(path))) if args.corpus else None
    recipe = build_recipe(stream_records(path), steps=args.steps, vocab=vocab)
    text = form.render_script(recipe)
    checked, check_result = (
        _check_script(form.model_arguments(text), recipe.shape.params) if args.check else (False, "")
    )
    if args.out:
        write_file(Path(args.out), f"{text.rstrip()}\n", form.mode)
    if args.json:
        where = {"out": args.out} if args.out else {"script": text}
        print(json.dumps({"format": args.format, **recipe_facts(recipe), "checked": checked, **where}, indent=2))
        return 0
    if args.out:
        what = f"iteration {recipe.source.iter}" if recipe.source.iter else "the baseline: nothing was kept"
        print(f"{args.out}: {args.format}, {what}, val_bpb {recipe.source.val_bpb:.4f}, {recipe.steps} steps")
    else:
        print(text.rstrip())
    if check_result:
        print(check_result, file=sys.stdout if args.out else sys.stderr)
    return 0


def _vocab_of(path: Path, meta: Any) -> int:
    """The vocabulary of the run's own corpus."""
    from autoresearch.data.corpus import Corpus

    corpus, measured_on = Corpus.open(path), meta.yardstick.corpus_sha256
    if corpus.sha256 != measured_on:
        what = f"{path} is corpus {corpus.sha256[:16]}, the run was measured on {measured_on[:16]}"
        raise CorpusError(what, hint="name the run's own corpus, or leave --corpus out")
    return corpus.vocab


def _check_script(arguments: Any, params: int) -> tuple[bool, str]:
    """Build the model that the script describes; returns whether that was possible, and one line about it."""
    from math import prod

    from autoresearch.training.models.exported_model import parameter_shapes

    try:
        built = sum(map(prod, parameter_shapes(arguments).values()))
    except MissingPackage as e:
        return False, f"not checked: {e.what}"
    except (ValueError, TypeError, AssertionError) as e:
        what = f"Megatron-core cannot build the model of the script: {e}"
        raise AutoresearchError(what, hint="--no-check writes the script without this check") from e
    if built != params:
        raise AutoresearchError(f"the script describes a model of {built:,} parameters, the trial's has {params:,}")
    return True, f"checked: Megatron-core builds its GPTModel, with the {params:,} parameters of the trial"
