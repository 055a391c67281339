"""What the tests of the command line share: a command in this process, and a finished run."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

import pytest

from autoresearch.cli import main
from autoresearch.config.resolve import resolve
from autoresearch.core.records import Baseline, Evaluated, Meta, decode, encode
from autoresearch.daemon import service
from autoresearch.data.corpus import Corpus
from autoresearch.storage.journal import Journal, read
from autoresearch.storage.run_dir import TRAJECTORY
from autoresearch.testing.fake_backend import fake_backend
from autoresearch.testing.recording_observer import RecordingObserver
from autoresearch.trials.model_shape import ModelShape
from tests.conftest import ONE_SEED


@pytest.fixture(autouse=True)
def empty_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory without runs, and no setting in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in [n for n in os.environ if n.startswith("AUTORESEARCH_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]):
    """Runs a command in this process; its exit code, output and error output."""

    def call(*argv: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(argv)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def finished(finished_once: Path, tmp_path: Path) -> Path:
    """The directory of a finished run of three iterations, measured by a fake, with its report but no HTML page."""
    return Path(shutil.copytree(finished_once, tmp_path / "run"))


@pytest.fixture(scope="session")
def page_once(finished_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, opened again by a daemon that also writes the page."""
    run_dir = Path(shutil.copytree(finished_once, tmp_path_factory.mktemp("page") / "run"))
    flags = {**ONE_SEED, "dir": run_dir, "proposer": "random", "iters": 3, "reports": ["text", "html"]}
    assert service.run(resolve(flags, {}).settings, RecordingObserver(), make_backend=fake_backend) == "complete"
    return run_dir


@pytest.fixture
def finished_with_page(page_once: Path, tmp_path: Path) -> Path:
    """The directory of the finished run with its HTML page."""
    return Path(shutil.copytree(page_once, tmp_path / "run"))


@pytest.fixture
def measured(finished, small_corpus) -> Path:
    """The finished run as if it had been measured on the small corpus, by a trainer that counts parameters."""
    file = finished / TRAJECTORY
    corpus = Corpus.open(small_corpus)
    records = [decode(payload) for payload in read(file).payloads]
    file.unlink()
    with contextlib.closing(Journal(file)) as journal:
        for record in records:
            if isinstance(record, Meta):
                yardstick = record.yardstick.model_copy(update={"corpus_sha256": corpus.sha256})
                record = record.model_copy(update={"yardstick": yardstick})
            if isinstance(record, Evaluated | Baseline):
                cfg = record.candidate_cfg if isinstance(record, Evaluated) else record.baseline_cfg
                params = ModelShape.of(cfg, corpus.vocab).params
                metrics = record.eval_metrics.model_copy(update={"params": params})
                record = record.model_copy(update={"eval_metrics": metrics})
            journal.append(encode(record))
    return finished
