"""Whether the proposer can be put together. Its LLM server is looked for elsewhere (``llm.py``)."""

from __future__ import annotations

from autoresearch.config.settings import Settings
from autoresearch.daemon.doctor.check import Check, fail, ok
from autoresearch.daemon.recording import read_recording
from autoresearch.daemon.service import refuse_nothing_to_replay
from autoresearch.errors import AutoresearchError
from autoresearch.proposers.factory import PROPOSERS, build_tpe
from autoresearch.proposers.space import Space


def proposer(settings: Settings, space: Space) -> Check:
    """What it proposes from: the package that it needs, or what it repeats."""
    found: str = settings.proposer
    try:
        if settings.replay_from:  # read whoever proposes
            recording = read_recording(settings.replay_from)
            found += f", {len(recording)} replies of {settings.replay_from}"
        if settings.proposer == "replay":
            refuse_nothing_to_replay(recording if settings.replay_from else ())
        if PROPOSERS[settings.proposer].requires_tpe:
            build_tpe(settings, space)
    except AutoresearchError as e:
        return fail("proposer", e)
    return ok("proposer", found)
