"""The check that the proposer can be built; ``llm.py`` checks its LLM server."""

from __future__ import annotations

from autoresearch.config.settings import Settings
from autoresearch.daemon.doctor.check import Check, fail, ok
from autoresearch.daemon.recording import read_recording
from autoresearch.daemon.service import refuse_nothing_to_replay
from autoresearch.errors import AutoresearchError
from autoresearch.proposers.factory import PROPOSERS, build_tpe
from autoresearch.proposers.space import Space


def proposer(settings: Settings, space: Space) -> Check:
    """Check the package that the proposer needs, or the recording that it repeats."""
    found: str = settings.proposer
    try:
        if settings.replay_from:  # a run reads it with every proposer
            recording = read_recording(settings.replay_from)
            found += f", {len(recording)} replies of {settings.replay_from}"
        if settings.proposer == "replay":
            refuse_nothing_to_replay(recording if settings.replay_from else ())
        if "optuna" in PROPOSERS[settings.proposer].packages:
            build_tpe(settings, space)
    except AutoresearchError as e:
        return fail("proposer", e)
    return ok("proposer", found)
