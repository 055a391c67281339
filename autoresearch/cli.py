"""The command line: parse, call, print. The only place that turns errors into text and exit codes."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from autoresearch import __version__
from autoresearch.errors import AutoresearchError

EXIT_CODES = """\
exit codes: 0 done, or ended in good order; 1 unexpected; 2 usage; 65 damaged trajectory; 66 corpus;
69 package missing; 70 baseline failed; 71 trial server; 74 cannot read or write; 75 another daemon holds the run;
76 another yardstick, baseline, menu or rule; 78 configuration; 130 interrupted"""

# Flag, setting, type, help. Every other setting is reached with --set.
RUN_FLAGS: tuple[tuple[str, str, type, str], ...] = (
    ("--profile", "profile", str, "set of defaults: tiny (CPU, no download), gb10-354m, h100-354m"),
    ("--dir", "dir", str, "the run's directory (default runs/PROFILE)"),
    ("--corpus", "corpus", str, "a prepared corpus, or 'stdlib'"),
    ("--iters", "iters", int, "iterations of the whole run; raising it later continues"),
    ("--proposer", "proposer", str, "tpe, random or replay"),
    ("--replay-from", "replay_from", str, "trajectory that the replay proposer repeats"),
    ("--trainer", "trainer", str, "torch or megatron"),
    ("--device", "device", str, "auto, cpu or cuda"),
    ("--seed", "seed", int, "seed of initialisation, data order and proposer"),
    ("--on-pause", "on_pause", str, "what pause.flag does: wait or exit"),
    ("--until", "until", str, "end in good order at this local time, HH:MM"),
    ("--max-hours", "max_hours", float, "end in good order after this many hours"),
)
MAX_STEPS = 100_000  # of `envelope --steps`
ENVELOPE_FLAGS = ("profile", "dir", "corpus", "trainer", "device")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    args = build_parser().parse_args(argv, argparse.Namespace(argv=argv))
    command: Callable[[argparse.Namespace], int] = args.command
    try:
        code = command(args)
        sys.stdout.flush()  # so that a reader who has left is noticed here and not at exit
        return code
    except AutoresearchError as e:
        print(f"autoresearch: {e}", file=sys.stderr)
        return e.exit_code
    except KeyboardInterrupt:
        print("autoresearch: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `autoresearch report | head`
        _show_nobody()
        return 0


def _show_nobody() -> None:
    """What is still to be written to stdout has no reader: let it go, so that the end of the process is quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def build_parser() -> argparse.ArgumentParser:
    """Every command with its flags and help."""
    parser = argparse.ArgumentParser(
        prog="autoresearch", description=__doc_line__, epilog=EXIT_CODES, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _run_parser(commands)
    _prepare_parser(commands)
    for name, command, text in (
        ("status", status, "where a run stands: best, counts, last iterations"),
        ("report", report, "all that a run shows, one line per iteration"),
    ):
        sub = _command(commands, name, command, text)
        sub.add_argument(
            "path", nargs="?", metavar="RUN", help="run directory or trajectory.jsonl (default: the profile's)"
        )
        sub.add_argument("--json", action="store_true", help="print JSON")
        if name == "report":
            sub.add_argument("--out", metavar="FILE", help="write to FILE instead of printing")
    for name, command, text in (
        ("pause", pause, "pause a run after its running trial (touch pause.flag)"),
        ("resume", resume, "let a paused run go on (remove pause.flag)"),
    ):
        sub = _command(commands, name, command, text)
        sub.add_argument("path", nargs="?", metavar="RUN", help="run directory (default: the profile's)")
    _envelope_parser(commands)
    _export_parser(commands)
    sub = _command(commands, "config", config, "the effective settings and where each comes from")
    _setting_flags(sub)
    sub.add_argument("--json", action="store_true", help="print JSON")
    return parser


__doc_line__ = "Unattended training research on one machine: propose, gate, train, measure, keep or revert, record."


def run(args: argparse.Namespace) -> int:
    """``autoresearch run``."""
    from autoresearch import service
    from autoresearch.console import Terminal
    from autoresearch.report import raw_replies

    settings = _resolved(args).settings
    replies = raw_replies(settings.replay_from) if settings.replay_from else []
    terminal = Terminal(settings.iters, sys.stderr if args.json else sys.stdout)
    ending = service.run(settings, terminal, fresh=args.fresh, replies=replies)
    try:
        _print_summary(settings.run_dir, args.json)
        if not args.json:
            print(f"\ntrajectory  {settings.run_dir / service.TRAJECTORY}")
            print(f"report      {settings.run_dir / service.REPORT}")
            print(_how_to_go_on(args.argv, settings, ending == "complete"))
    except OSError:  # the terminal was closed, and because of that the run has ended, in good order
        _show_nobody()
    return 0


def _how_to_go_on(argv: Sequence[str], settings: Any, complete: bool) -> str:
    """The user's own command again, with more iterations if these are done."""
    words, skip = [], False
    for word in argv:
        if skip or word in ("--fresh", "--iters") or word.startswith("--iters="):
            skip = word == "--iters"
            continue
        words.append(word)
    words += ["--iters", str(2 * settings.iters)] if complete else []
    as_module = sys.argv[0].endswith("__main__.py")
    program = "autoresearch" if shutil.which("autoresearch") or as_module else sys.argv[0]
    return f"to {'go further' if complete else 'continue'}: {shlex.join([program, *words])}"


def prepare(args: argparse.Namespace) -> int:
    """``autoresearch prepare``."""
    from autoresearch.console import Terminal
    from autoresearch.training.prepare import prepare as prepare_corpus
    from autoresearch.training.sources import Sources
    from autoresearch.training.tokenizer import TokenizerSpec

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


def status(args: argparse.Namespace) -> int:
    """``autoresearch status``."""
    return _look(args, "status")


def report(args: argparse.Namespace) -> int:
    """``autoresearch report``."""
    return _look(args, "report")


def pause(args: argparse.Namespace) -> int:
    """``autoresearch pause``."""
    from autoresearch.control import pause as put_flag

    run_dir = _run_dir(args)
    print(f"{run_dir} {'pauses after its running trial' if put_flag(run_dir) else 'is pausing already'}")
    return 0


def resume(args: argparse.Namespace) -> int:
    """``autoresearch resume``."""
    from autoresearch.control import resume as take_flag

    run_dir = _run_dir(args)
    print(f"{run_dir} {'goes on' if take_flag(run_dir) else 'was not paused'}")
    return 0


def envelope(args: argparse.Namespace) -> int:
    """``autoresearch envelope``."""
    from autoresearch.console import Terminal
    from autoresearch.envelope import Axes, sweep
    from autoresearch.report.envelope import envelope_json, line, render_envelope
    from autoresearch.report.plot import check_plot
    from autoresearch.training.speed import Timing

    settings = _resolved(args).settings
    plot = Path(args.plot) if args.plot else None
    if plot:
        check_plot(plot)
    terminal = Terminal(0, sys.stderr if args.json else sys.stdout)
    found = sweep(
        settings,
        terminal,
        Axes(args.batch_size, args.seq_len, args.precision),
        Timing(steps=args.steps),
        fresh=args.fresh,
        on_point=lambda number, total, point: terminal.said(f"{number:>3}/{total}  {line(point, width=72)}"),
    )
    terminal.done()
    if args.json:
        print(envelope_json(found.points, found.peaks, found.conditions, found.ended))
    else:
        color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        print(f"\n{render_envelope(found.points, found.peaks, color=color)}\n")
    _where_it_is(found, _plotted(found, plot), sys.stderr if args.json else sys.stdout)
    return 130 if found.ended else 0


def _plotted(found: Any, asked: Path | None) -> Path | None:
    """The picture, where one was asked for or can be drawn; ``None`` if there is none."""
    from autoresearch.report.plot import check_plot, write_plot

    path = asked or found.path.with_suffix(".png")
    try:
        check_plot(path)
    except AutoresearchError:  # nobody asked for one; what was asked for has been checked
        return None
    if not any(p.speed for p in found.points):
        return None
    c = found.conditions
    write_plot(path, found.points, f"{c['device_kind']}, trainer {c['trainer']}, torch {c['versions'].get('torch')}")
    return path


def _where_it_is(found: Any, plot: Path | None, stream: Any) -> None:
    print(f"envelope  {found.path}", file=stream)
    if plot:
        print(f"plot      {plot}", file=stream)
    batch_size, seq_len, precision = found.baseline
    base = f"the baseline's {batch_size} x {seq_len} {precision}"
    r7 = "these speeds" if found.feeds_r7 else f"FLOPs alone: {base} is not measured"
    print(f"R7 prices time by {r7}", file=stream)
    if found.ended:
        left = found.planned - len(found.points)
        print(f"ended by {found.ended}, {left} of {found.planned} points to go: the same command goes on", file=stream)


def export_recipe(args: argparse.Namespace) -> int:
    """``autoresearch export recipe``."""
    from autoresearch.export import FORMATS, facts, recipe_of
    from autoresearch.report import load_records

    records = load_records(Path(args.path) if args.path else _resolved(args).settings.run_dir)
    vocab = _vocab_of(Path(args.corpus), records) if args.corpus else None
    recipe, form = recipe_of(records, steps=args.steps, vocab=vocab), FORMATS[args.format]
    text = form.script(recipe)
    checked, said = _check_script(form.model_arguments(text), recipe.shape.params) if args.check else (False, "")
    if args.out:
        _write_file(Path(args.out), f"{text.rstrip()}\n", form.mode)
    if args.json:
        where = {"out": args.out} if args.out else {"script": text}
        print(json.dumps({"format": args.format, **facts(recipe), "checked": checked, **where}, indent=2))
        return 0
    if args.out:
        what = f"iteration {recipe.origin.iter}" if recipe.origin.iter else "the baseline: nothing was kept"
        print(f"{args.out}: {args.format}, {what}, val_bpb {recipe.origin.val_bpb:.4f}, {recipe.steps} steps")
    else:
        print(text.rstrip())
    if said:
        print(said, file=sys.stdout if args.out else sys.stderr)
    return 0


def _vocab_of(path: Path, records: Sequence[Any]) -> int:
    """The vocabulary of the run's own corpus."""
    from autoresearch.errors import CorpusError
    from autoresearch.training.corpus import Corpus

    corpus, measured_on = Corpus.open(path), records[0].yardstick.corpus_sha256
    if corpus.sha256 != measured_on:
        what = f"{path} is corpus {corpus.sha256[:16]}, the run was measured on {measured_on[:16]}"
        raise CorpusError(what, hint="name the run's own corpus, or leave --corpus out")
    return corpus.vocab


def _check_script(arguments: Any, params: int) -> tuple[bool, str]:
    """Whether the model that the script describes was built, and what to say of it."""
    from math import prod

    from autoresearch.errors import MissingPackage
    from autoresearch.training.exported_model import weights_of

    try:
        built = sum(map(prod, weights_of(arguments).values()))
    except MissingPackage as e:
        return False, f"not checked: {e.what}"
    except (ValueError, TypeError, AssertionError) as e:
        what = f"Megatron-core builds no model of the script: {e}"
        raise AutoresearchError(what, hint="--no-check writes it all the same") from e
    if built != params:
        raise AutoresearchError(f"the script describes a model of {built:,} parameters, the trial's has {params:,}")
    return True, f"checked: Megatron-core builds GPTModel of it, with the trial's {params:,} parameters"


def export_dataset(args: argparse.Namespace) -> int:
    """``autoresearch export dataset``."""
    from autoresearch.console import Terminal
    from autoresearch.training.corpus import Corpus
    from autoresearch.training.indexed_dataset import export_dataset as write

    terminal = Terminal(0, sys.stderr)
    about = write(Corpus.open(Path(args.corpus), verify=True), Path(args.out), terminal.preparing)
    if args.json:
        print(json.dumps(about, indent=2))
        return 0
    for name, split in about["splits"].items():
        print(f"{args.out}/{name}: {split['documents']:,} documents, {split['tokens']:,} tokens")
    return 0


def config(args: argparse.Namespace) -> int:
    """``autoresearch config``."""
    from autoresearch.config import flat_settings

    resolved = _resolved(args)
    rows = flat_settings(resolved)
    if args.json:
        print(json.dumps({name: {"value": value, "from": origin} for name, value, origin, _ in rows}, indent=2))
        return 0
    for name, value, origin, about in rows:
        print(f"{name + ' = ' + json.dumps(value):<44} # {origin}{': ' + about if about else ''}")
    return 0


def _look(args: argparse.Namespace, kind: str) -> int:
    from autoresearch.report import load, render_report, render_status, summarise, summary_json

    path = Path(args.path) if args.path else _resolved(args).settings.run_dir
    history = load(path)
    summary = summarise(history)
    if args.json:
        text = summary_json(summary)
    else:
        render = render_status if kind == "status" else render_report
        text = render(summary, history, **_looks(path, bool(getattr(args, "out", None)))) + _flag_line(path)
    if getattr(args, "out", None):
        _write_file(Path(args.out), f"{text.rstrip()}\n")
    else:
        print(text.rstrip())
    return 0


def _write_file(path: Path, text: str, mode: int = 0o644) -> None:
    from autoresearch.files import atomic_write

    try:
        atomic_write(path, text.encode())
        path.chmod(mode)
    except OSError as e:
        raise AutoresearchError(f"cannot write {path}: {e.strerror}") from e


def _looks(path: Path, to_file: bool) -> dict[str, Any]:
    """How wide and how colourful, and what the records cannot know: whether a daemon is at work on them."""
    from autoresearch.files import is_locked

    lock = path / "run.lock"
    on_terminal = sys.stdout.isatty() and not to_file
    return {
        "width": shutil.get_terminal_size((100, 24)).columns if on_terminal else 100,
        "color": on_terminal and "NO_COLOR" not in os.environ,
        "writer_alive": is_locked(lock) if path.is_dir() else None,
    }


def _flag_line(path: Path) -> str:
    from autoresearch.control import FLAG

    asked = path.is_dir() and os.path.lexists(path / FLAG)
    return f"\n{FLAG} is there: `autoresearch resume` removes it\n" if asked else ""


def _print_summary(run_dir: Path, as_json: bool) -> None:
    from autoresearch.report import load, render_status, summarise, summary_json

    history = load(run_dir)
    summary = summarise(history)
    print(
        summary_json(summary) if as_json else f"\n{render_status(summary, history, **_looks(run_dir, False)).rstrip()}"
    )


def _run_dir(args: argparse.Namespace) -> Path:
    path = Path(args.path) if args.path else _resolved(args).settings.run_dir
    run_dir = path.parent if path.is_file() else path
    if not run_dir.is_dir():
        raise AutoresearchError(f"{path} is no run directory", hint="name it: autoresearch pause RUN")
    return run_dir


def _resolved(args: argparse.Namespace) -> Any:
    from autoresearch.config import parse_assignment, resolve

    flags = {name: getattr(args, f"flag_{name}", None) for _, name, _, _ in RUN_FLAGS}
    given = {name: value for name, value in flags.items() if value is not None}
    given |= dict(parse_assignment(text) for text in getattr(args, "assignments", None) or [])
    file = getattr(args, "config", None)
    return resolve(given, os.environ, Path(file) if file else None)


def _command(
    commands: Any, name: str, command: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(command=command)
    return parser


def _setting_flags(parser: argparse.ArgumentParser, only: Sequence[str] = ()) -> None:
    parser.add_argument("--config", metavar="FILE", help="your own TOML file of settings")
    for flag, name, kind, text in RUN_FLAGS:
        if only and name not in only:
            continue
        parser.add_argument(flag, dest=f"flag_{name}", type=kind, metavar=name.upper(), help=text)
    parser.add_argument(
        "--set",
        dest="assignments",
        action="append",
        metavar="NAME=VALUE",
        help="any other setting, as baseline.lr=1e-3",
    )


def _run_parser(commands: Any) -> None:
    parser = _command(commands, "run", run, "begin or continue a run; a second Ctrl-C stops at once")
    _setting_flags(parser)
    parser.add_argument(
        "--fresh", action="store_true", help="begin anew; the old run is moved to archive/, not deleted"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON at the end, progress to stderr")


def _envelope_parser(commands: Any) -> None:
    text = "how fast this device trains: batch_size x seq_len x precision; goes on where it was"
    parser = _command(commands, "envelope", envelope, text)
    _setting_flags(parser, ENVELOPE_FLAGS)
    for flag, kind in (("--batch-size", _sizes), ("--seq-len", _sizes), ("--precision", _words)):
        name = flag[2:].replace("-", "_")
        parser.add_argument(
            flag, type=kind, default=(), metavar="LIST", help=f"{name} to sweep, with commas (default: the menu's)"
        )
    parser.add_argument(
        "--steps", type=_steps, default=20, metavar="N", help="timed steps of each kind per point (default: 20)"
    )
    parser.add_argument("--fresh", action="store_true", help="measure anew; the old points are moved to archive/")
    parser.add_argument("--json", action="store_true", help="print every point as JSON, progress to stderr")
    parser.add_argument(
        "--plot", metavar="FILE", help="the picture, .png or .svg (default: envelope.png beside envelope.jsonl)"
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(","))


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in _words(text))
    except ValueError as e:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers as in 4,8,16") from e


def _steps(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_STEPS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MAX_STEPS}")
    return int(text)


def _prepare_parser(commands: Any) -> None:
    parser = _command(commands, "prepare", prepare, "turn text into a tokenized, split and hashed corpus directory")
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


def _export_parser(commands: Any) -> None:
    text = "the best configuration, or a corpus, for NVIDIA's own trainers"
    parser = commands.add_parser("export", help=text, description=text[0].upper() + text[1:] + ".")
    kinds = parser.add_subparsers(title="what to export", required=True, metavar="KIND")
    sub = _command(kinds, "recipe", export_recipe, "the best configuration of a run as a training script")
    sub.add_argument(
        "path", nargs="?", metavar="RUN", help="run directory or trajectory.jsonl (default: the profile's)"
    )
    sub.add_argument(
        "--format",
        choices=("megatron-lm", "megatron-bridge"),
        default="megatron-lm",
        help="a bash script around pretrain_gpt.py (default), or a Python script for Megatron-Bridge",
    )
    sub.add_argument("--out", metavar="FILE", help="write to FILE instead of printing")
    sub.add_argument("--steps", type=int, metavar="N", help="optimizer steps (default: as many as the trial made)")
    sub.add_argument("--corpus", metavar="CORPUS", help="take the vocabulary from it (default: from the records)")
    sub.add_argument(
        "--no-check",
        dest="check",
        action="store_false",
        help="do not build the model of the script with Megatron-core where that is installed",
    )
    sub.add_argument("--json", action="store_true", help="print JSON")
    sub = _command(kinds, "dataset", export_dataset, "a prepared corpus as Megatron's indexed data set")
    sub.add_argument("corpus", metavar="CORPUS", help="a prepared corpus")
    sub.add_argument("--out", required=True, metavar="DIR", help="the directory to write: train and val, .bin and .idx")
    sub.add_argument("--json", action="store_true", help="print JSON")


def _fractions(text: str) -> tuple[float, float, float]:
    try:
        train, val, test = (float(part) for part in text.split(","))
    except ValueError as e:
        raise argparse.ArgumentTypeError(f"{text!r} is not three numbers as in 0.9,0.05,0.05") from e
    return train, val, test
