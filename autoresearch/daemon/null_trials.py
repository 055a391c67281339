"""Real null trials: the baseline trained with one seed after another, for ``autoresearch bench aa --trials``.

Nothing is changed between them, so that each is a candidate without a gain. Each is durable in null-trials.jsonl, with
its loss curve, once it is measured; the same command continues after the last one, also after a kill.
"""

from __future__ import annotations

from collections.abc import Callable

from autoresearch.config.settings import Settings
from autoresearch.core.ports import Observer
from autoresearch.daemon.fresh_trials import FreshTrial, FreshTrials, Wanted
from autoresearch.daemon.service import MakeBackend
from autoresearch.errors import BaselineFailed

NULL_TRIALS = "null-trials.jsonl"
SEED_OFFSET = 1000  # above the seeds that a run takes by itself


def measure_null_trials(
    settings: Settings,
    count: int,
    observer: Observer,
    *,
    on_trial: Callable[[int, FreshTrial], None] = lambda *_: None,
    make_backend: MakeBackend | None = None,
) -> list[FreshTrial]:
    """Measure ``count`` trials in the run directory of the settings, those of earlier calls included.

    The first signal ends it at once; it then returns what there is. Raises ``BaselineFailed`` if a trial fails, and
    an ``AutoresearchError`` for everything that the user must decide or repair.
    """
    found: list[FreshTrial] = []
    with FreshTrials(settings, NULL_TRIALS, observer, make_backend) as trials:
        baseline = trials.policy.baseline
        wanted = [Wanted(baseline, seed) for seed in range(SEED_OFFSET, SEED_OFFSET + count)]
        found += [trial for w in wanted if (trial := trials.known(w))]
        for w in (w for w in wanted if not trials.known(w)):
            outcome = trials.measure(w)
            if outcome is None:
                break
            if not isinstance(outcome, FreshTrial):
                text = f"the baseline with seed {w.seed} measured nothing: {outcome.detail}"
                raise BaselineFailed(text, hint="autoresearch doctor")
            found.append(outcome)
            on_trial(len(found), outcome)
    return found
