"""The files of an ``ns eval`` output directory: which belong to a benchmark, and which seeds did not finish.

Upstream writes ``eval-results/BENCHMARK/output-rsSEED.jsonl``, or ``output.jsonl`` for one greedy generation. While a
seed is generated its rows are in ``...jsonl-async``; a seed in chunks has ``..._chunk_N.jsonl``, each with a ``.done``
beside it when its job ends, until all are merged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autoresearch.benches.jsonl import shown
from autoresearch.core.text import plural
from autoresearch.errors import CorpusError
from autoresearch.hints import hint_after

HINT = "name the output directory of `ns eval`, its eval-results, one benchmark in it, or its output files"
GREEDY = -1  # stands for the seed of output.jsonl, which has none
MAX_SEEDS = 10_000
METRICS = "metrics.json"

_OUTPUT = re.compile(r"output(?:-rs(\d{1,9}))?\.jsonl")
_UNFINISHED = re.compile(r"output(?:-rs(\d{1,9}))?(?:_chunk_\d+)?\.jsonl(?:-async)?")
_CHUNK = re.compile(r"output(?:-rs(\d{1,9}))?_chunk_\d+\.jsonl(?:\.done)?")


@dataclass(slots=True)
class BenchmarkFiles:
    """The outputs of one benchmark by seed; ``unfinished`` says of each further seed why its samples are missing."""

    name: str
    outputs: dict[int, Path] = field(default_factory=dict)
    unfinished: dict[int, str] = field(default_factory=dict)

    @property
    def seeds(self) -> list[int]:
        """All planned seeds, in order."""
        return sorted({*self.outputs, *self.unfinished})


def find_files(paths: Sequence[Path]) -> tuple[list[BenchmarkFiles], list[Path]]:
    """The benchmarks that ``paths`` name, and their files of metrics. Raises ``CorpusError``."""
    benchmarks: dict[Path, BenchmarkFiles] = {}
    metrics: list[Path] = []
    for path in paths:
        if path.is_dir():
            for folder in _benchmark_folders(path):
                benchmarks[folder.resolve()] = _read_folder(folder)
            metrics += [file for file in _metrics_of(path) if file.is_file()]
        elif path.suffix == ".json":
            metrics.append(path)
        else:
            _add_file(benchmarks, path)
    for files in benchmarks.values():
        if GREEDY in files.seeds and len(files.seeds) > 1:
            what = f"{files.name} has both output.jsonl and output-rs{max(files.seeds)}.jsonl"
            raise CorpusError(what, hint="they are of two evaluations: name the files of one")
    if not benchmarks and not metrics:
        raise CorpusError(f"no output file found in {', '.join(map(str, paths))}", hint=HINT)
    return sorted(benchmarks.values(), key=lambda files: files.name), list(dict.fromkeys(metrics))


def _benchmark_folders(path: Path) -> list[Path]:
    """The folders with outputs: ``path`` itself, or those in its ``eval-results``, or those in it."""
    if _outputs_in(path):
        return [path]
    parent = path / "eval-results" if (path / "eval-results").is_dir() else path
    return [folder for folder in sorted(_listed(parent)) if folder.is_dir() and _outputs_in(folder)]


def _metrics_of(path: Path) -> list[Path]:
    """Where upstream's versions write metrics.json: beside the benchmarks, and in each."""
    if _outputs_in(path):
        return [path / METRICS, path.resolve().parent / METRICS]
    parent = path / "eval-results" if (path / "eval-results").is_dir() else path
    return [path / METRICS, *([parent / METRICS] if parent != path else []), *sorted(parent.glob(f"*/{METRICS}"))]


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as e:
        raise CorpusError(f"cannot list {folder}: {e.strerror}", hint=hint_after(e, folder, "read")) from e


def _outputs_in(folder: Path) -> list[Path]:
    return [file for file in _listed(folder) if _UNFINISHED.fullmatch(file.name)]


def _read_folder(folder: Path) -> BenchmarkFiles:
    files = BenchmarkFiles(folder.name)
    for file in _listed(folder):
        if match := _OUTPUT.fullmatch(file.name):
            files.outputs[_seed(match)] = file
    for file in sorted(_listed(folder)):
        match = _UNFINISHED.fullmatch(file.name) or _CHUNK.fullmatch(file.name)
        if match is None or _OUTPUT.fullmatch(file.name):
            continue
        seed = _seed(match)
        if not file.name.endswith(".done"):
            _refuse_both(files, seed, file)
        if seed not in files.outputs:
            files.unfinished[seed] = _why(folder, seed)
    seeds = files.seeds
    if seeds and seeds[0] >= 0 and seeds[-1] - seeds[0] < MAX_SEEDS:
        for seed in range(seeds[0], seeds[-1]):
            if seed not in seeds:
                files.unfinished[seed] = f"{_name(seed)} does not exist, though other seeds before and after it do"
    return files


def _why(folder: Path, seed: int) -> str:
    """Why a seed has no output."""
    stem = _name(seed).removesuffix(".jsonl")
    if (folder / f"{stem}.jsonl-async").exists():
        return f"{stem}.jsonl-async is there: its generation has not ended"
    chunks = sorted(folder.glob(f"{stem}_chunk_*.jsonl"))
    open_chunks = [chunk.name for chunk in chunks if not chunk.with_name(f"{chunk.name}.done").exists()]
    if open_chunks:
        return f"{open_chunks[0]} has no .done: its job has not ended"
    if chunks:
        return f"{plural(len(chunks), 'chunk')} not merged"
    return "it has files of chunks, and no output"


def _add_file(benchmarks: dict[Path, BenchmarkFiles], path: Path) -> None:
    match = _OUTPUT.fullmatch(path.name)
    if match is None:
        if _UNFINISHED.fullmatch(path.name):
            what = f"{path} belongs to a seed that has not finished"
            raise CorpusError(
                what, hint="let `ns eval` finish it; the directory can be imported: its samples are missing"
            )
        what = f"{shown(path.name)} is not an output of `ns eval`: output.jsonl or output-rsSEED.jsonl"
        raise CorpusError(what, hint=HINT)
    if not path.is_file():
        raise CorpusError(f"{path} does not exist", hint=HINT)
    folder = path.resolve().parent
    files = benchmarks.setdefault(folder, BenchmarkFiles(folder.name))
    working = path.with_name(f"{path.name}-async")
    files.outputs[_seed(match)] = path
    if working.exists():
        _refuse_both(files, _seed(match), working)


def _refuse_both(files: BenchmarkFiles, seed: int, file: Path) -> None:
    if seed in files.outputs:
        what = f"{file} stands beside {files.outputs[seed].name}: the seed was started again, or its merge was cut off"
        raise CorpusError(what, hint="let `ns eval` finish it, or remove the file that is not wanted")


def _seed(match: re.Match[str]) -> int:
    return GREEDY if match.group(1) is None else int(match.group(1))


def _name(seed: int) -> str:
    return "output.jsonl" if seed == GREEDY else f"output-rs{seed}.jsonl"
