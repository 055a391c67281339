"""What each tracker's own library reads back; one that is not installed is skipped: `dev` has none of the extras."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch.errors import AutoresearchError, JournalError, MissingPackage
from autoresearch.report.trackers import TRACKERS, Place, export_run, open_tracker, tracked_runs
from autoresearch.report.trackers.export import describe

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries

STATES = Counter({"measured": 3, "failed": 1, "stopped early": 1})


def needs(tool: str) -> None:
    for package in TRACKERS[tool].packages:
        pytest.importorskip(package, reason=f"pip install 'autoresearch[{TRACKERS[tool].extra}]'")


@pytest.mark.parametrize("tool", TRACKERS)
def test_without_its_library_the_extra_is_named(tool, everything, tmp_path, monkeypatch):
    monkeypatch.setattr("autoresearch.report.trackers.table.find_spec", lambda _name: None)
    with pytest.raises(MissingPackage, match=rf"autoresearch\[{TRACKERS[tool].extra}\]"):
        export_run(tool, iter(everything), tmp_path / "out")


class TestMlflow:
    def test_its_client_reads_every_run(self, everything, tmp_path):
        needs("mlflow")
        from mlflow.tracking import MlflowClient

        assert export_run("mlflow", iter(everything), tmp_path / "ml.db") == STATES
        client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'ml.db'}")
        experiment = client.get_experiment_by_name("autoresearch")
        runs = sorted(client.search_runs([experiment.experiment_id]), key=lambda run: run.data.tags["autoresearch.id"])
        assert [run.info.status for run in runs] == ["FINISHED", "FINISHED", "FINISHED", "FAILED", "KILLED"]
        assert [run.data.metrics.get("val_bpb") for run in runs[:3]] == [
            3.4,
            pytest.approx(3.37),
            pytest.approx(3.3955),
        ]
        assert runs[1].data.params["lr"] == "0.001"
        assert runs[1].data.tags["autoresearch.decision"] == "keep"
        curve = client.get_metric_history(runs[4].info.run_id, "train_loss")
        assert [(m.step, m.value) for m in sorted(curve, key=lambda m: m.step)] == [(0, 5.5), (1, 5.41)]
        assert all(run.info.start_time <= run.info.end_time for run in runs)

    def test_writing_again_doubles_nothing_and_completes_what_a_kill_left(self, everything, tmp_path):
        needs("mlflow")
        from mlflow.tracking import MlflowClient

        runs = list(tracked_runs(iter(everything)))
        with open_tracker("mlflow", Place(tmp_path / "ml.db")) as tracker:
            for run in [*runs, *runs]:
                tracker.write(run)
            client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'ml.db'}")
            (experiment,) = [e for e in client.search_experiments() if e.name == "autoresearch"]
            found = client.search_runs([experiment.experiment_id])
            assert len(found) == 5
            killed = next(r for r in found if r.data.tags["autoresearch.id"] == runs[4].id)
            client.update_run(killed.info.run_id, status="RUNNING")
            tracker.write(runs[4])
        assert client.get_run(killed.info.run_id).info.status == "KILLED"
        assert len(client.get_metric_history(killed.info.run_id, "train_loss")) == 2


class TestTensorboard:
    def test_its_accumulator_reads_the_scalars_and_the_hparams(self, everything, tmp_path):
        needs("tensorboard")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        from tensorboard.plugins.hparams import api_pb2, metadata

        assert export_run("tensorboard", iter(everything), tmp_path / "tb") == STATES
        found = {}
        for folder in sorted(p for p in (tmp_path / "tb").iterdir() if p.is_dir()):
            found[folder.name] = events = EventAccumulator(str(folder)).Reload()
            contents = events.summary_metadata
            start = metadata.parse_session_start_info_plugin_data(
                contents["_hparams_/session_start_info"].plugin_data.content
            )
            assert start.group_name == folder.name
        assert sorted(found) == [f"night-1-0000{n}" for n in (0, 1, 2, 3, 5)]
        (value,) = found["night-1-00001"].Tensors("val_bpb")
        assert value.tensor_proto.float_val[0] == pytest.approx(3.37)
        assert value.step == 1
        failed = metadata.parse_session_end_info_plugin_data(
            found["night-1-00003"].summary_metadata["_hparams_/session_end_info"].plugin_data.content
        )
        assert failed.status == api_pb2.STATUS_FAILURE
        assert "val_bpb" not in found["night-1-00003"].Tags()["tensors"]
        root = EventAccumulator(str(tmp_path / "tb")).Reload()
        assert "_hparams_/experiment" in root.summary_metadata


class TestTrackio:
    def test_its_api_reads_every_run_and_writing_again_doubles_nothing(self, everything, tmp_path):
        """One test: its library reads its directory from the environment once per process."""
        needs("trackio")
        assert export_run("trackio", iter(everything), tmp_path / "t") == STATES
        import trackio

        runs = {run.name: run for run in trackio.Api().runs("autoresearch")}
        assert sorted(runs)[:2] == ["night-1 000 baseline", "night-1 001 lr = 0.001"]
        assert len(runs) == 5
        assert runs["night-1 001 lr = 0.001"].config["lr"] == 0.001
        stopped = trackio.SQLiteStorage.get_logs("autoresearch", sorted(runs)[4])
        assert [entry.get("train_loss") for entry in stopped[:2]] == [5.5, 5.41]
        with open_tracker("trackio", Place(tmp_path / "t")) as tracker:
            for run in tracked_runs(iter(everything)):
                tracker.write(run)
            trackio.SQLiteStorage.delete_run("autoresearch", "night-1 000 baseline")
            tracker.write(next(tracked_runs(iter(everything))))
        assert len(trackio.Api().runs("autoresearch")) == 5
        logs = trackio.SQLiteStorage.get_logs("autoresearch", "night-1 001 lr = 0.001")
        assert [entry["val_bpb"] for entry in logs if "iter" in entry] == [pytest.approx(3.37)]


class TestWandb:
    def test_its_records_have_every_run(self, everything, tmp_path):
        """Read with its own protobuf classes. Its reader of these files in Python is gone in 0.31, so the framing of
        LevelDB's log is read here."""
        needs("wandb")
        assert export_run("wandb", iter(everything), tmp_path / "w") == STATES
        found = {}
        for file in sorted((tmp_path / "w").rglob("run-*.wandb")):
            records = list(wandb_records(file))
            found[file.stem.removeprefix("run-")] = records
            assert [r.WhichOneof("record_type") for r in records][-1] in ("exit", "final", "footer")
        assert sorted(found) == [f"night-1-0000{n}" for n in (0, 1, 2, 3, 5)]
        kept = found["night-1-00001"]
        config = {item.key: item.value_json for r in kept if r.HasField("run") for item in r.run.config.update}
        assert config["lr"] == "0.001"
        summary = {
            item.key or ".".join(item.nested_key): item.value_json
            for r in kept
            if r.HasField("summary")
            for item in r.summary.update
        }
        assert float(summary["val_bpb"]) == pytest.approx(3.37)
        history = [
            {item.key or ".".join(item.nested_key): item.value_json for item in r.history.item}
            for r in found["night-1-00005"]
            if r.HasField("history")
        ]
        assert [float(row["train_loss"]) for row in history] == [5.5, 5.41]
        assert [r.exit.exit_code for r in found["night-1-00003"] if r.HasField("exit")] == [1]

    def test_writing_again_replaces_what_a_kill_left(self, everything, tmp_path):
        needs("wandb")
        runs = list(tracked_runs(iter(everything)))[:2]
        theirs = tmp_path / "w" / "wandb" / f"offline-run-20260101_000000-x-{runs[0].id}"
        theirs.mkdir(parents=True)
        with open_tracker("wandb", Place(tmp_path / "w")) as tracker:
            for run in [*runs, *runs]:
                tracker.write(run)
        folders = [p.name.partition("-run-")[2][16:] for p in (tmp_path / "w" / "wandb").glob("offline-run-*")]
        assert sorted(folders) == sorted([*(run.id for run in runs), f"x-{runs[0].id}"])


def wandb_records(file: Path) -> Iterator[object]:
    """The records of a .wandb file: a header of 7 bytes, then blocks of 32 KiB of LevelDB's log format."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, whole = file.read_bytes(), 7, b""
    while place + 7 <= len(data):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        length, kind = struct.unpack("<HB", data[place + 4 : place + 7])
        if not kind:
            break
        whole = (b"" if kind in (1, 2) else whole) + data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            record = Record()
            record.ParseFromString(whole)
            yield record


class _Broken:
    def __init__(self, _place: Place) -> None:
        self.closed = False

    def write(self, _run: object) -> None:
        raise ValueError("no\nspace \x1b[31m")

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def broken(monkeypatch):
    from dataclasses import replace

    spec = replace(TRACKERS["trackio"], packages=(), open=_Broken)
    monkeypatch.setattr("autoresearch.report.trackers.table.TRACKERS", {"trackio": spec})


def test_an_error_of_a_library_names_the_iteration(broken, everything, tmp_path):
    with pytest.raises(AutoresearchError, match="trackio could not write iteration 0: ValueError: no space") as error:
        export_run("trackio", iter(everything), tmp_path / "t")
    assert "\x1b" not in str(error.value)


def test_a_run_without_a_baseline_is_refused(broken, everything, tmp_path):
    with pytest.raises(JournalError, match="no measurement yet"):
        export_run("trackio", iter(everything[:2]), tmp_path / "t")


def test_an_error_is_bounded():
    assert len(describe(ValueError("x" * 10_000))) < 500
