"""How a trial ends whose job ends in each way, with the job's own code and without Slurm."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autoresearch.core.measurement import Cause, Failure, Measurement, Outcome, Suspended
from autoresearch.core.values import Cfg
from autoresearch.data.corpus import Corpus
from autoresearch.testing.fake_slurm import VERSIONS, FakeSlurm
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.stand_in_trainer import stand_in_spec
from autoresearch.trials.forked_trial import ForkedTrial
from autoresearch.trials.slurm import runner as runners
from autoresearch.trials.slurm.cluster import ControllerUnreachable
from autoresearch.trials.slurm.job_folder import Expected
from autoresearch.trials.slurm.runner import SlurmRunner
from autoresearch.trials.slurm.session import SlurmSession

CFG: Cfg = {"lr": 1e-3}
LOG = "slurmstepd-n0: error: Step 1.0 exceeded memory limit (1600 > 1500), being killed\nslurmstepd: error: bye\n"


@pytest.fixture
def slurm() -> Iterator[FakeSlurm]:
    """Jobs whose first one runs until it is ended, and whose next ones are over in a moment."""
    lengths = iter([60.0])
    slurm = FakeSlurm(lambda aborted: FakeTrial(takes_s=next(lengths, 0.0), aborted=aborted))
    yield slurm
    slurm.close()


@pytest.fixture
def session(slurm: FakeSlurm, tmp_path: Path) -> Iterator[SlurmSession]:
    session = SlurmSession(slurm, tmp_path, tmp_path, 1, look_interval_s=0.002, states_interval_s=0.005)
    session.open()
    yield session
    session.close()


@pytest.fixture
def measure(session: SlurmSession, tmp_path: Path) -> Callable[..., Outcome | Suspended]:
    """Measure, and call a function once the trial trains."""

    def measure(disturb: Callable[[], None]) -> Outcome | Suspended:
        spec, trains = stand_in_spec("corpus"), threading.Event()
        trial = ForkedTrial(SlurmRunner(session, "torch", lambda: False), spec, 60.0, tmp_path, tmp_path / "c")

        def progressed(phase: str, *_more: object) -> None:
            if phase == "train" and not trains.is_set():
                trains.set()
                disturb()

        return trial.measure(CFG, 0, progressed)

    return measure


@pytest.mark.parametrize(
    ("disturb", "cause", "says"),
    [
        (lambda slurm: slurm.end_at_limit("1"), Cause.TIMEOUT, "at its time limit"),
        (lambda slurm: slurm.cancel(["1"]), Cause.KILLED, "cancelled from outside"),
        (lambda slurm: slurm.lose("1"), Cause.HOST_LOST, "lost with its node"),
        (lambda slurm: slurm.lose("1", "TIMEOUT"), Cause.TIMEOUT, "at its time limit"),
        (lambda slurm: slurm.lose("1", "OUT_OF_MEMORY"), Cause.OUT_OF_MEMORY, "more memory"),
        (lambda slurm: slurm.lose("1", "FAILED"), Cause.KILLED, "failed without a result"),
    ],
    ids=["limit ahead", "scancel", "node", "limit", "memory", "failed"],
)
def test_each_end_has_its_cause(
    measure: Callable[..., Outcome], slurm: FakeSlurm, disturb: Callable[[FakeSlurm], None], cause: Cause, says: str
) -> None:
    failure = measure(lambda: disturb(slurm))
    assert isinstance(failure, Failure)
    assert (failure.cause, len(slurm.jobs)) == (cause, 1)
    assert says in failure.detail


def test_a_job_that_slurm_ended_for_its_memory_without_saying_so(
    measure: Callable[..., Outcome], slurm: FakeSlurm, session: SlurmSession
) -> None:
    def disturb() -> None:
        (folder,) = (path for path in session.path.iterdir() if path.name.endswith("trial"))
        (folder / "1_0_log.err").write_text(LOG)
        slurm.lose("1", "FAILED")

    failure = measure(disturb)
    assert isinstance(failure, Failure)
    assert failure.cause is Cause.OUT_OF_MEMORY


def test_a_preempted_job_is_submitted_again(measure: Callable[..., Outcome], slurm: FakeSlurm) -> None:
    assert isinstance(measure(lambda: slurm.lose("1", "PREEMPTED")), Measurement)
    assert len(slurm.jobs) == 2


def test_a_node_with_another_torch_is_refused_by_name_and_the_next_job_goes_elsewhere(
    measure: Callable[..., Outcome], slurm: FakeSlurm, session: SlurmSession, small_corpus: Path
) -> None:
    slurm.versions = {"n1": {"fake": "2"}}
    sha256 = Corpus.open(small_corpus).sha256
    session.expected = Expected(
        device="cpu", device_kind="fake", versions=VERSIONS, corpus=str(small_corpus), corpus_sha256=sha256
    )
    assert isinstance(measure(lambda: None), Measurement)
    assert session.refused == ["n1"]
    log = (session.logs / "slurm.log").read_text()
    assert "not on n1 any more: node n1: fake is 2 there and 1 here" in log
    assert len(slurm.jobs) == 2


def test_a_controller_that_does_not_answer_is_waited_for(
    measure: Callable[..., Outcome], slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch, session: SlurmSession
) -> None:
    monkeypatch.setattr(runners, "SUBMIT_AGAIN_S", 0.0)
    submit, failures = slurm.submit, iter(range(3))
    folders = list[Path]()

    def refuse(folder: Path, *more: object) -> str:
        folders.append(folder)
        if next(failures, None) is not None:
            raise ControllerUnreachable("sbatch reaches no controller: connect failure")
        return submit(folder, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(FakeSlurm, "submit", lambda _self, *arguments: refuse(*arguments))
    assert isinstance(measure(lambda: slurm.lose("1", "PREEMPTED")), Measurement)
    assert len(set(folders)) == len(folders) == 5, "each try has a folder of its own"
    assert [folder for folder in folders if folder.exists()] == []
