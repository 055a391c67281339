"""Who proposes in a run: the settings' choice, put together. The LLM server is met here for the first time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autoresearch.config.settings import Settings
from autoresearch.core.llm_calls import Classification
from autoresearch.core.ports import Interrupted, Proposer
from autoresearch.core.trajectory import Trajectory
from autoresearch.errors import ConfigError, MissingPackage, missing_extra
from autoresearch.llm.key import CREDENTIAL, VARIABLE
from autoresearch.proposers.hybrid import HybridProposer
from autoresearch.proposers.llm import LlmProposer
from autoresearch.proposers.random import RandomProposer
from autoresearch.proposers.replay import ExchangeReplay, Recording, ReplayProposer
from autoresearch.proposers.space import Space
from autoresearch.storage.exchange_log import ExchangeLog
from rails import Verdict

if TYPE_CHECKING:
    from autoresearch.llm.server import LlmServer
    from autoresearch.proposers.tpe import TpeProposer


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a proposer may know of the run that it is in."""

    space: Space
    judge: Callable[[str, Trajectory], Verdict]
    run_dir: Path
    stop_or_pause_requested: Callable[[], bool]  # whether the user wants a pause or a stop
    notify: Callable[[str], None]
    utc: Callable[[], str]


@contextmanager
def open_proposer(settings: Settings, around: Surroundings, recording: Recording) -> Iterator[Proposer]:
    """The proposer that the settings name, until the run ends. Raises ``MissingPackage`` and ``ConfigError``."""
    with ExitStack() as stack:
        match settings.proposer:
            case "random":
                yield RandomProposer(around.space, settings.seed)
            case "tpe":
                yield build_tpe(settings, around.space)
            case "replay":
                yield build_replay(settings, around.space, recording)
            case "auto":
                yield auto(settings, around, stack)
            case "nim" | "hybrid":
                llm = build_llm_server(settings, around.stop_or_pause_requested, around.notify)
                meet(llm, settings, around, stack)
                yield with_llm(llm, settings, around, stack, alone=settings.proposer == "nim")


def auto(settings: Settings, around: Surroundings, stack: ExitStack) -> Proposer:
    """``hybrid`` with the server that answers; where none does, TPE, and the server is looked for through the night."""
    try:
        llm = build_llm_server(settings, around.stop_or_pause_requested, around.notify)
    except MissingPackage as e:
        around.notify(f"{e.what}: tpe proposes alone ({e.hint})")
        return build_tpe(settings, around.space)
    is_there = meet(llm, settings, around, stack)
    proposer = with_llm(llm, settings, around, stack, alone=False)
    proposer.name = "hybrid" if is_there else "tpe"
    return proposer


def meet(llm: LlmServer, settings: Settings, around: Surroundings, stack: ExitStack) -> bool:
    """Say once and plainly whether there is a server; whether there is."""
    stack.enter_context(closing(llm))
    url = settings.llm.base_url
    try:
        failed = llm.meet()
    except Interrupted:  # the loop will see why
        around.notify(f"LLM server {url}: not asked yet, because a pause or a stop is wanted")
        return False
    if failed is None and llm.model is not None:
        schema = {"enforced": "it enforces a schema", "unknown": "whether it enforces a schema is not known yet"}
        how = schema.get(llm.structured, "it enforces no schema: the rails alone judge")
        around.notify(f"LLM server {url}: {llm.model.name}, {llm.max_model_len} tokens of context, {how}")
        return True
    why = f"{failed.classification}: {failed.detail}" if failed else "no model"
    if failed and failed.classification is Classification.REQUEST_REJECTED and llm.key is None:
        why += f"; there is no key: {VARIABLE}, or the credential {CREDENTIAL}"
    around.notify(f"NO LLM SERVER at {url} ({why}): tpe proposes until it answers; `autoresearch doctor` shows more")
    return False


def with_llm(
    llm: LlmServer, settings: Settings, around: Surroundings, stack: ExitStack, *, alone: bool
) -> LlmProposer | HybridProposer:
    """The LLM ``alone`` with TPE as its fallback, or TPE in control with the LLM beside it."""
    chosen = settings.llm
    optimizer = build_fallback(settings, around.space) if alone else build_tpe(settings, around.space)
    log = stack.enter_context(closing(ExchangeLog(around.run_dir)))
    nim = LlmProposer(
        llm=llm,
        space=around.space,
        fallback=optimizer,
        judge=around.judge,
        log=log,
        utc=around.utc,
        budget_left=lambda trajectory: budget_left(settings, trajectory),
        proposals=chosen.proposals,
        rounds=chosen.rounds,
        system=chosen.system,
    )
    if alone:
        return nim
    nim.beliefs = optimizer.beliefs  # type: ignore[attr-defined]
    return HybridProposer(optimizer, nim, chosen.share)


def build_llm_server(
    settings: Settings, stop_or_pause_requested: Callable[[], bool], notify: Callable[[str], None]
) -> LlmServer:
    """The server, not yet asked anything. Raises ``MissingPackage``, and ``ConfigError`` for an unusable key, for an
    address that is none, and for rounds that leave nothing to the fallback.
    """
    from autoresearch.llm.async_bridge import AsyncBridge
    from autoresearch.llm.key import llm_key

    try:
        from autoresearch.llm.client import Client  # openai takes half a second to import
        from autoresearch.llm.server import LlmServer
    except ImportError as e:
        raise missing_extra("an LLM proposer", e.name or "openai", "run", instead="use --proposer tpe") from e

    chosen, attempts = settings.llm, settings.limits.max_attempts
    if chosen.rounds >= attempts:
        what = f"llm.rounds = {chosen.rounds} leaves none of limits.max_attempts = {attempts} to the fallback"
        raise ConfigError(what, hint="raise limits.max_attempts, or lower llm.rounds")
    key = llm_key(os.environ)
    return LlmServer(
        client=Client(chosen.base_url, key),
        bridge=AsyncBridge(stop_or_pause_requested),
        notify=notify,
        key=key,
        wanted_model=chosen.model,
        context=chosen.max_model_len,
        deadline_s=chosen.deadline_s,
        temperature=chosen.temperature,
        max_tokens=chosen.max_tokens,
    )


def budget_left(settings: Settings, trajectory: Trajectory) -> str:
    """What is left of the run, in words."""
    left = settings.iters - trajectory.next_iter + 1
    until = f"; the run ends at {settings.until} at the latest" if settings.until else ""
    return f"{left} of {settings.iters} iterations{until}"


def build_replay(settings: Settings, space: Space, recording: Recording) -> Proposer:
    """A trajectory's replies in their order, or an LLM's by iteration with the fallback of that night beside it."""
    if isinstance(recording, Mapping):
        return ExchangeReplay(recording, build_fallback(settings, space))
    return ReplayProposer(recording)


def build_fallback(settings: Settings, space: Space) -> Proposer:
    """Who proposes where an LLM does not: TPE, or chance where optuna is not installed."""
    try:
        return build_tpe(settings, space)
    except MissingPackage:
        return RandomProposer(space, settings.seed)


def build_tpe(settings: Settings, space: Space) -> TpeProposer:
    """TPE with the run's seed. Raises ``MissingPackage``."""
    try:
        from autoresearch.proposers.tpe import TpeProposer  # optuna takes a second to import
    except ImportError as e:
        raise missing_extra("proposer tpe", e.name or "optuna", "run", instead="use --proposer random") from e

    return TpeProposer(space, settings.seed)
