"""Build the proposer that the settings name. ``PROPOSERS`` is the one table of them.

Everything else that knows a proposer by its name reads this table or is held against it by
``tests/unit/proposers/test_proposer_table.py``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autoresearch.config.settings import Settings
from autoresearch.core.llm_calls import LLM_SOURCE, Classification
from autoresearch.core.ports import Interrupted, Proposer
from autoresearch.core.trajectory import Trajectory
from autoresearch.errors import ConfigError, MissingPackage, missing_extra
from autoresearch.llm.key import CREDENTIAL, VARIABLE
from autoresearch.proposers.hybrid import HybridProposer
from autoresearch.proposers.llm import LlmProposer
from autoresearch.proposers.random import RandomProposer
from autoresearch.proposers.replay import REPLAY_SOURCE, ExchangeReplay, Recording, ReplayProposer
from autoresearch.proposers.space import Space
from autoresearch.proposers.stack import ComposeAtEnd, SearchAndStack, StackProposer
from autoresearch.proposers.trust_region import TrustRegionProposer
from autoresearch.storage.exchange_log import ExchangeLog
from rails import Verdict

if TYPE_CHECKING:
    from autoresearch.llm.server import LlmServer
    from autoresearch.proposers.tpe import TpeProposer


@dataclass(frozen=True, slots=True)
class ProposerContext:
    """What a proposer gets from the run that it proposes for."""

    space: Space
    judge: Callable[[str, Trajectory], Verdict]
    run_dir: Path
    stop_or_pause_requested: Callable[[], bool]  # by the user
    notify: Callable[[str], None]
    utc: Callable[[], str]
    setup: str = ""  # one line on what is trained, for the prompt


# The stack closes what a proposer holds open when the run ends.
Build = Callable[[Settings, ProposerContext, Recording, ExitStack], Proposer]


@dataclass(frozen=True, slots=True)
class ProposerSpec:
    """One value of the setting ``proposer``."""

    build: Build
    asks_llm: bool
    packages: tuple[str, ...]  # optional ones without which building it raises ``MissingPackage``
    description: str


@contextmanager
def open_proposer(settings: Settings, context: ProposerContext, recording: Recording) -> Iterator[Proposer]:
    """The proposer that the settings name, until the run ends. Raises ``MissingPackage`` and ``ConfigError``."""
    unions = StackProposer(context.space)
    with ExitStack() as stack:
        if settings.compose == "only":
            yield unions
            return
        proposer = PROPOSERS[settings.proposer].build(settings, context, recording, stack)
        yield ComposeAtEnd(proposer, unions, settings.iters) if settings.compose == "last" else proposer


def _build_auto(settings: Settings, context: ProposerContext, _recording: Recording, stack: ExitStack) -> Proposer:
    """``hybrid``, named ``trust-region`` while no LLM server answers: it proposes, and each LLM turn tries the server.

    Without the package openai it is ``trust-region`` alone.
    """
    try:
        llm = build_llm_server(settings, context.stop_or_pause_requested, context.notify)
    except MissingPackage as e:
        context.notify(f"{e.what}: trust-region proposes alone ({e.hint})")
        return TrustRegionProposer(context.space, settings.seed)
    has_server = discover_llm_server(llm, settings, context, stack)
    proposer = _combine(llm, settings, context, stack)
    proposer.name = "hybrid" if has_server else proposer.optimizer.name
    return proposer


def _build_hybrid(settings: Settings, context: ProposerContext, _recording: Recording, stack: ExitStack) -> Proposer:
    llm = build_llm_server(settings, context.stop_or_pause_requested, context.notify)
    discover_llm_server(llm, settings, context, stack)
    return _combine(llm, settings, context, stack)


def _build_llm(settings: Settings, context: ProposerContext, _recording: Recording, stack: ExitStack) -> Proposer:
    llm = build_llm_server(settings, context.stop_or_pause_requested, context.notify)
    discover_llm_server(llm, settings, context, stack)
    return build_llm_proposer(llm, settings, context, build_optimizer(settings, context.space, LLM_SOURCE), stack)


def _build_tpe(settings: Settings, context: ProposerContext, _recording: Recording, _stack: ExitStack) -> Proposer:
    return build_tpe(settings, context.space)


def _build_trust_region(
    settings: Settings, context: ProposerContext, _recording: Recording, _stack: ExitStack
) -> Proposer:
    return TrustRegionProposer(context.space, settings.seed)


def _build_stack(settings: Settings, context: ProposerContext, _recording: Recording, _stack: ExitStack) -> Proposer:
    return SearchAndStack(TrustRegionProposer(context.space, settings.seed), StackProposer(context.space))


def _build_random(settings: Settings, context: ProposerContext, _recording: Recording, _stack: ExitStack) -> Proposer:
    return RandomProposer(context.space, settings.seed)


def _build_replay(settings: Settings, context: ProposerContext, recording: Recording, _stack: ExitStack) -> Proposer:
    """A trajectory's replies in their order, or an LLM's by iteration with the recorded run's fallback for the rest."""
    if isinstance(recording, Mapping):
        return ExchangeReplay(recording, build_optimizer(settings, context.space, REPLAY_SOURCE))
    return ReplayProposer(recording)


PROPOSERS: Mapping[str, ProposerSpec] = {
    "auto": ProposerSpec(_build_auto, True, (), "hybrid where an LLM server answers, else trust-region"),
    "hybrid": ProposerSpec(
        _build_hybrid, True, ("openai",), "trust-region, and an LLM for a share of the iterations (llm.share)"
    ),
    "nim": ProposerSpec(
        _build_llm, True, ("openai",), "an LLM behind any OpenAI-compatible server, trust-region where it fails"
    ),
    "tpe": ProposerSpec(
        _build_tpe, False, ("optuna",), "Optuna's tree-structured Parzen estimator, one knob at a time"
    ),
    "trust-region": ProposerSpec(
        _build_trust_region,
        False,
        (),
        "a Gaussian process around the best known point; with max_changes, of many knobs",
    ),
    "stack": ProposerSpec(_build_stack, False, (), "unions of confirmed keeps, and trust-region until there are some"),
    "random": ProposerSpec(_build_random, False, (), "uniformly random changes, the control"),
    "replay": ProposerSpec(_build_replay, False, (), "the proposals of a recorded run (--replay-from)"),
}

LLM_PROPOSERS = frozenset(name for name, spec in PROPOSERS.items() if spec.asks_llm)


def discover_llm_server(llm: LlmServer, settings: Settings, context: ProposerContext, stack: ExitStack) -> bool:
    """Whether the server answers; the user is notified of it once. The stack closes the server."""
    stack.enter_context(closing(llm))
    url = settings.llm.base_url
    try:
        failed = llm.discover()
    except Interrupted:  # the loop finds out why
        context.notify(f"LLM server {url}: not asked yet, because a pause or a stop is requested")
        return False
    if failed is None and llm.model is not None:
        support = {"enforced": "it enforces a schema", "unknown": "whether it enforces a schema is not known yet"}
        schema = support.get(llm.structured, "it does not enforce a schema, so the rails alone judge")
        context.notify(f"LLM server {url}: {llm.model.name}, {llm.context_text}, {schema}")
        return True
    why = f"{failed.classification}: {failed.detail}" if failed else "no model"
    if failed and failed.classification is Classification.REQUEST_REJECTED and llm.key is None:
        why += f"; there is no key: {VARIABLE}, or the credential {CREDENTIAL}"
    context.notify(f"NO LLM SERVER at {url} ({why}): trust-region proposes until it answers; see `autoresearch doctor`")
    return False


def _combine(llm: LlmServer, settings: Settings, context: ProposerContext, stack: ExitStack) -> HybridProposer:
    """The optimizer with the LLM beside it: each reads the other's results, and the prompt shows its beliefs."""
    optimizer = build_optimizer(settings, context.space, LLM_SOURCE)
    proposer = build_llm_proposer(llm, settings, context, optimizer, stack)
    proposer.beliefs = optimizer.beliefs
    return HybridProposer(optimizer, proposer, settings.llm.share)


def build_llm_proposer(
    llm: LlmServer, settings: Settings, context: ProposerContext, fallback: Proposer, stack: ExitStack
) -> LlmProposer:
    """The LLM alone, with ``fallback`` where it fails. The stack closes its log of exchanges."""
    chosen = settings.llm
    log = stack.enter_context(closing(ExchangeLog(context.run_dir)))
    if log.removed:
        context.notify(log.removed)
    return LlmProposer(
        llm=llm,
        space=context.space,
        fallback=fallback,
        judge=context.judge,
        log=log,
        utc=context.utc,
        budget_left=lambda trajectory: budget_left(settings, trajectory),
        proposals=chosen.proposals,
        rounds=chosen.rounds,
        system=chosen.system,
        setup=context.setup,
    )


def build_llm_server(
    settings: Settings, stop_or_pause_requested: Callable[[], bool], notify: Callable[[str], None]
) -> LlmServer:
    """The server, before any request. Raises ``MissingPackage``, and ``ConfigError`` for an unusable key, for an
    address that is not a URL, and for rounds that leave no attempt to the fallback.
    """
    from autoresearch.llm.async_bridge import AsyncBridge
    from autoresearch.llm.key import llm_key

    try:
        from autoresearch.llm.client import Client  # openai takes half a second to import
        from autoresearch.llm.server import LlmServer
    except ImportError as e:
        raise missing_extra("an LLM proposer", e.name or "openai", "run", instead="use --proposer trust-region") from e

    chosen, attempts = settings.llm, settings.limits.max_attempts
    if chosen.rounds >= attempts:
        what = f"llm.rounds = {chosen.rounds} leaves none of limits.max_attempts = {attempts} to the fallback"
        lower = f", or --set llm.rounds={attempts - 1}" if attempts > 1 else ""
        raise ConfigError(what, hint=f"--set limits.max_attempts={chosen.rounds + 1}{lower}")
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
    """What is left of the run, as text for the prompt."""
    left = settings.iters - trajectory.new_iter + 1
    until = f"; the run ends at {settings.until} at the latest" if settings.until else ""
    return f"{left} of {settings.iters} iterations{until}"


def build_optimizer(settings: Settings, space: Space, beside: str) -> TrustRegionProposer:
    """What proposes where a model does not: ``beside`` is a source whose failures it does not see."""
    return TrustRegionProposer(space, settings.seed, hides_failures_of=beside)


def build_tpe(settings: Settings, space: Space) -> TpeProposer:
    """TPE with the run's seed. Raises ``MissingPackage``."""
    try:
        from autoresearch.proposers.tpe import TpeProposer  # optuna takes a second to import
    except ImportError as e:
        raise missing_extra("proposer tpe", e.name or "optuna", "run", instead="use --proposer trust-region") from e

    return TpeProposer(space, settings.seed)
