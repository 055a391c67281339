"""Event files of TensorBoard: one folder per candidate, with its scalars and what the HPARAMS page shows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from autoresearch.report.trackers.tracked_run import CURVE, TrackedRun
from autoresearch.report.trackers.tracker import Place


class TensorboardLogs:
    """A ``Tracker``, written by the library of TensorBoard without TensorFlow."""

    def __init__(self, place: Place) -> None:
        self._path = place.path
        self._params: dict[str, None] = {}
        self._metrics: dict[str, None] = {}
        self._created: datetime | None = None

    def write(self, run: TrackedRun) -> None:
        from tensorboard.plugins.hparams import summary_v2 as hparams
        from tensorboard.plugins.scalar.summary_v2 import scalar_pb
        from tensorboard.plugins.text.summary_v2 import text_pb

        self._params |= dict.fromkeys(run.params)
        self._metrics |= dict.fromkeys(run.metrics)
        self._created = self._created or run.started
        writer = self._writer(run.id)
        started, ended = run.started.timestamp(), run.ended.timestamp()
        params = {name: run.params[name] for name in run.params}
        _add(writer, hparams.hparams_pb(params, trial_id=run.id, start_time_secs=started), started)
        for step, loss in enumerate(run.curve):
            _add(writer, scalar_pb(CURVE, loss), ended, step)
        for name, value in run.metrics.items():
            _add(writer, scalar_pb(name, value), ended, run.iter)
        text = "\n".join(f"    {name}: {value}" for name, value in {"name": run.name, **run.tags}.items())
        _add(writer, text_pb("candidate", text), ended, run.iter)  # four spaces: Markdown shows it as it is
        _add(writer, _session_end(run, ended), ended)
        writer.close()

    def close(self) -> None:
        """Write the columns of the HPARAMS page."""
        if self._created is None:
            return
        from tensorboard.plugins.hparams import summary_v2 as hparams

        names = [hparams.HParam(name) for name in self._params]
        metrics = [hparams.Metric(name) for name in self._metrics]
        writer, when = self._writer(""), self._created.timestamp()
        _add(writer, hparams.hparams_config_pb(names, metrics, time_created_secs=when), when)
        writer.close()

    def _writer(self, folder: str) -> Any:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        return EventFileWriter(str(self._path / folder))


def _session_end(run: TrackedRun, ended: float) -> Any:
    """What says that a trial is over; the library has it only in the module that needs TensorFlow."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import api_pb2, metadata
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

    status = api_pb2.STATUS_FAILURE if run.state == "failed" else api_pb2.STATUS_SUCCESS
    data = HParamsPluginData(session_end_info=SessionEndInfo(status=status, end_time_secs=ended))
    summary = Summary()
    summary.value.add(
        tag=metadata.SESSION_END_INFO_TAG,
        metadata=metadata.create_summary_metadata(data),
        tensor=metadata.NULL_TENSOR,
    )
    return summary


def _add(writer: Any, summary: Any, wall_time: float, step: int = 0) -> None:
    from tensorboard.compat.proto.event_pb2 import Event

    writer.add_event(Event(wall_time=wall_time, step=step, summary=summary))
