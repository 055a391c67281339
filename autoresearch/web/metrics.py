"""`/metrics` for Prometheus: what the runs do now, read when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from autoresearch.report.summary import best_keep
from autoresearch.web.feed import RunFeed
from autoresearch.web.hub import Hub

STATES = (
    "running",
    "paused",
    "pausing",
    "starting",
    "stopped",
    "complete",
    "interrupted",
    "unreadable",
    "empty",
    "open",
)


def metrics_route(hub: Hub) -> Route:
    """The route; a scrape polls every run."""
    registry = CollectorRegistry()
    registry.register(_Collector(hub))

    async def metrics(_: Request) -> Response:
        await hub.refresh(everything=True)
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Route("/metrics", metrics)


class _Collector:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def collect(self) -> Iterable[Metric]:
        return list(_families(list(self._hub.feeds.values()), self._hub.viewers))

    def describe(self) -> Iterable[Metric]:
        return ()


def _families(feeds: list[RunFeed], viewers: int) -> Iterator[Any]:
    """Gauges with the label ``run``, the run's name; a number that is not known has no sample."""
    yield GaugeMetricFamily("autoresearch_runs", "Runs that are served.", value=len(feeds))
    yield GaugeMetricFamily("autoresearch_page_viewers", "Open pages.", value=viewers)
    state = GaugeMetricFamily("autoresearch_run_state", "1 for the state that the run is in.", labels=["run", "state"])
    names = {
        "iterations": "Closed iterations.",
        "iterations_requested": "Iterations that the last start asked for.",
        "keeps": "Iterations that were kept.",
        "best_gain_ratio": "Gain of the best keep over the baseline, a fraction.",
        "baseline_value": "Result of the baseline, in the run's metric.",
        "trial_progress_ratio": "Progress of the running trial, from 0 to 1.",
        "trials_joules": "Energy of the metered trials.",
    }
    gauges = {n: GaugeMetricFamily(f"autoresearch_run_{n}", text, labels=["run"]) for n, text in names.items()}
    labels = ["run", "scope", "device"]  # device is empty for all of them together
    watts = GaugeMetricFamily("autoresearch_device_power_watts", "Power now.", labels=labels)
    heat = GaugeMetricFamily("autoresearch_device_temperature_celsius", "Temperature now.", labels=labels)
    for feed in feeds:
        run = feed.place.name
        for word in STATES:
            state.add_metric([run, word], float(feed.overview.get("live") == word))
        for name, value in _numbers(feed).items():
            if value is not None:
                gauges[name].add_metric([run], float(value))
        for device, readings in (("", feed.readings), *feed.device_readings.items()):
            for reading in readings:
                for family, number in ((watts, reading.power_w), (heat, reading.temp_c)):
                    if number is not None:
                        family.add_metric([run, reading.scope, device], number)
    yield from (state, *gauges.values(), watts, heat)


def _numbers(feed: RunFeed) -> dict[str, float | None]:
    history = feed.snapshot.history if feed.snapshot else None
    best = best_keep(history.rows) if history else None
    progress = feed.snapshot.progress if feed.snapshot else None
    return {
        "iterations": len(history.rows) if history else None,
        "iterations_requested": history.iters_requested if history else None,
        "keeps": feed.keeps if history else None,
        "best_gain_ratio": best.improvement_frac if best else None,
        "baseline_value": history.baseline_val_bpb if history else None,
        "trial_progress_ratio": progress.fraction if progress else None,
        "trials_joules": history.energy_j if history else None,
    }
