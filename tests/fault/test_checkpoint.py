"""A checkpoint that is cut off, damaged, of another trial, or too large for the disk: never a wrong number."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from autoresearch.core.measurement import Measurement, Suspended
from autoresearch.storage.checkpoint_files import remove_checkpoint
from autoresearch.training.checkpointing import checkpoint
from autoresearch.training.checkpointing.checkpoint import MANIFEST, Checkpoint, CheckpointUnusable
from autoresearch.training.checkpointing.train_state import TrainState
from autoresearch.trials.spec import Budget, TrialSpec
from tests.integration.test_pausing import build_spec, numbers, part
from tests.processes import no_file_above

STATE = {"masters": [torch.arange(1000.0)], "moments": {0: {"step": torch.tensor(3.0)}}}
LATER = {"masters": [torch.arange(1000.0) + 1], "moments": {0: {"step": torch.tensor(4.0)}}}


@pytest.fixture
def spec(small_corpus: Path) -> TrialSpec:
    return build_spec(small_corpus, "torch")


@pytest.fixture
def kept(tmp_path: Path, spec: TrialSpec) -> Checkpoint:
    """A checkpoint after step 3."""
    made = Checkpoint(tmp_path / "aside", spec)
    made.write(0, STATE)
    made.commit(TrainState(step=3, train_s=0.1))
    return made


def step_of(made: Checkpoint) -> int:
    """The step that it holds, once the tensors are found to belong to it."""
    so_far, state = made.read(0)
    expected = STATE if so_far.step == 3 else LATER
    assert torch.equal(state["masters"][0], expected["masters"][0])
    assert torch.equal(state["moments"][0]["step"], expected["moments"][0]["step"])
    return so_far.step


def killed_at(call: int, work: Callable[[], None]) -> bool:
    """Do the work in a process that kills itself at its ``call``th call that changes the disk; false if it got by."""
    pid = os.fork()
    if pid == 0:
        calls = 0

        def mortal(real: Callable[..., Any]) -> Callable[..., Any]:
            def call_or_die(*args: Any, **how: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls == call:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **how)

            return call_or_die

        for name in ("fsync", "rename", "unlink", "fchmod"):
            setattr(os, name, mortal(getattr(os, name)))
        torch.save = mortal(torch.save)
        work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def test_killed_at_any_moment_of_writing_it_is_the_old_one_or_the_new_one(kept: Checkpoint) -> None:
    def write() -> None:
        kept.write(0, LATER)
        kept.commit(TrainState(step=4))
        kept.tidy()

    call, seen = 1, []
    while killed_at(call, write):
        seen.append(step_of(kept))
        call += 1
    assert call > 5
    assert seen == sorted(seen)
    assert set(seen) == {3, 4}
    assert step_of(kept) == 4
    kept.tidy()
    assert len(os.listdir(kept.folder)) == 2, "nothing of all those attempts is left"


def test_cut_off_before_there_was_one_there_is_none(tmp_path: Path, spec: TrialSpec) -> None:
    first = Checkpoint(tmp_path / "aside", spec)
    first.write(0, STATE)
    with pytest.raises(CheckpointUnusable, match="No such file"):
        first.read(0)


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"budget": Budget(kind="steps", size=13)},
        {"trainer": "megatron"},
        {"data_parallel": 2},
        {"corpus": "/another"},
        {"threads": 2},
        {"compiled": True},
    ],
    ids=lambda other: next(iter(other)),
)
def test_of_another_trial_it_is_refused(kept: Checkpoint, spec: TrialSpec, other: dict[str, Any]) -> None:
    with pytest.raises(CheckpointUnusable, match="another configuration"):
        Checkpoint(kept.folder, spec.model_copy(update=other)).read(0)


@pytest.mark.parametrize("knob", ["lr", "d_ff", "lr_warmup", "grad_clip"])
def test_of_another_configuration_it_is_refused(kept: Checkpoint, spec: TrialSpec, knob: str) -> None:
    changed = spec.model_copy(update={"cfg": spec.cfg | {knob: 1}})
    with pytest.raises(CheckpointUnusable, match="another configuration"):
        Checkpoint(kept.folder, changed).read(0)


def test_how_much_memory_is_free_makes_no_other_trial(kept: Checkpoint, spec: TrialSpec) -> None:
    richer = spec.model_copy(update={"memory_limit_bytes": 1 << 40})
    assert step_of(Checkpoint(kept.folder, richer)) == 3


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a bit of the tensors": lambda folder: flip(folder / "0-rank-0.pt"),
    "half of the tensors": lambda folder: os.truncate(folder / "0-rank-0.pt", 1000),
    "the tensors are gone": lambda folder: (folder / "0-rank-0.pt").unlink(),
    "another format": lambda folder: (folder / "0-rank-0.pt").write_bytes(b"\x80\x02}q\x00."),
    "half of the manifest": lambda folder: os.truncate(folder / MANIFEST, 40),
    "no manifest": lambda folder: (folder / MANIFEST).write_bytes(b"\xff\x00"),
    "another version": lambda folder: (folder / MANIFEST).write_text(
        (folder / MANIFEST).read_text().replace('"version":1', '"version":2')
    ),
    "everything is gone": lambda folder: [path.unlink() for path in folder.iterdir()],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_with_a_damaged_one_the_trial_starts_over_and_measures_the_same(
    tmp_path: Path, spec: TrialSpec, damage: str, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = part(spec, tmp_path / "other", resumes=False)
    assert isinstance(part(spec, tmp_path / "aside", after=5, resumes=False), Suspended)
    DAMAGE[damage](tmp_path / "aside")
    end = part(spec, tmp_path / "aside")
    assert "the trial starts over" in capfd.readouterr().err
    assert isinstance(end, Measurement)
    assert isinstance(whole, Measurement)
    assert numbers(end) == numbers(whole)


def test_it_is_read_without_running_anything_that_lies_in_it(kept: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    class Deed:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(kept.folder / "done"),)

    kept.write(0, {"masters": Deed()})
    kept.commit(TrainState(step=4))
    with pytest.raises(CheckpointUnusable):
        kept.read(0)
    assert not (kept.folder / "done").exists()


class TestFullDisk:
    """A limit on the size of files, as on a full disk."""

    def test_the_trial_is_left_without_a_checkpoint_and_starts_over(self, tmp_path: Path, spec: TrialSpec) -> None:
        whole = part(spec, tmp_path / "other", resumes=False)
        folder = tmp_path / "aside"
        with no_file_above(1000):
            aside = part(spec, folder, after=5, resumes=False)
        assert isinstance(aside, Suspended)
        assert (aside.step, aside.resumes_at) == (5, None)
        assert "File too large" in aside.problem
        assert os.listdir(folder) == [], "what a full disk needs is space"
        end = part(spec, folder, resumes=False)
        assert isinstance(end, Measurement)
        assert isinstance(whole, Measurement)
        assert numbers(end) == numbers(whole)

    @pytest.mark.parametrize("full", ["tensors", "manifest"])
    def test_the_checkpoint_before_it_stays(
        self, tmp_path: Path, spec: TrialSpec, full: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = part(spec, tmp_path / "other", resumes=False)
        folder = tmp_path / "aside"
        assert isinstance(part(spec, folder, after=5, resumes=False), Suspended)
        before = sorted(os.listdir(folder))
        with monkeypatch.context() as disk:
            if full == "manifest":
                disk.setattr(checkpoint, "atomic_write", refuse)
            with no_file_above(1000) if full == "tensors" else contextlib.nullcontext():
                aside = part(spec, folder, after=3)
        assert isinstance(aside, Suspended)
        assert (aside.step, aside.resumes_at) == (8, 5)
        assert aside.problem
        assert sorted(os.listdir(folder)) == before
        end = part(spec, folder)
        assert isinstance(end, Measurement)
        assert isinstance(whole, Measurement)
        assert numbers(end) == numbers(whole)


def refuse(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


class TestPlantedByOthers:
    """Anyone of the group may write in the run directory: no link is followed, no file of another program removed."""

    def test_a_link_in_place_of_the_folder_reaches_nothing(self, tmp_path: Path, spec: TrialSpec) -> None:
        foreign = tmp_path / "foreign"
        foreign.mkdir()
        for name in (MANIFEST, "0-rank-0.pt", "notes.txt"):
            (foreign / name).write_text("mine")
        (tmp_path / "checkpoint").symlink_to(foreign)
        made = Checkpoint(tmp_path / "checkpoint", spec)
        with pytest.raises(OSError, match="is a link"):
            made.write(0, STATE)
        with pytest.raises(OSError, match="is a link"):
            made._sha256("0-rank-0.pt")
        with pytest.raises(CheckpointUnusable):
            made.read(0)
        made.tidy()
        remove_checkpoint(made.folder)
        assert {p.name: p.read_text() for p in foreign.iterdir()} == dict.fromkeys(
            (MANIFEST, "0-rank-0.pt", "notes.txt"), "mine"
        )
        assert (tmp_path / "checkpoint").is_symlink()

    @pytest.mark.parametrize("link", [os.symlink, os.link])
    def test_a_link_in_place_of_a_file_is_replaced_and_its_target_unchanged(
        self, link, kept: Checkpoint, tmp_path: Path
    ) -> None:
        target = tmp_path / "target"
        target.write_text("mine")
        link(target, kept.folder / "1-rank-0.pt")
        kept.write(0, LATER)
        kept.commit(TrainState(step=5))
        assert step_of(kept) == 5
        assert target.read_text() == "mine"

    def test_a_manifest_behind_a_link_is_not_read(self, kept: Checkpoint, tmp_path: Path) -> None:
        (kept.folder / MANIFEST).rename(tmp_path / "elsewhere")
        (kept.folder / MANIFEST).symlink_to(tmp_path / "elsewhere")
        with pytest.raises(CheckpointUnusable):
            kept.read(0)

    def test_only_our_files_are_removed(self, kept: Checkpoint) -> None:
        foreign = ["notes.txt", "0-rank-0.pt.bak", "weights.pt", ".checkpoint.json.swp", "rank-0.pt"]
        for name in foreign:
            (kept.folder / name).write_text("mine")
        (kept.folder / "folder").mkdir()
        (kept.folder / "3-rank-0.pt").write_bytes(b"half")
        (kept.folder / f".{MANIFEST}.0a1b2c3d").write_bytes(b"half")
        kept.tidy()
        assert sorted(os.listdir(kept.folder)) == sorted([*foreign, "folder", MANIFEST, "0-rank-0.pt"])
        remove_checkpoint(kept.folder)
        assert sorted(os.listdir(kept.folder)) == sorted([*foreign, "folder"])
