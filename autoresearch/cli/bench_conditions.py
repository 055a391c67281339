"""The conditions of a ``bench run`` from its flags: limits, sampling, the server's model, the record of them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from autoresearch.cli.parsing import number
from autoresearch.errors import ConfigError, missing_extra

if TYPE_CHECKING:
    from autoresearch.benches.cases import CaseSet
    from autoresearch.benches.ports import Suite
    from autoresearch.benches.records import BenchMeta
    from autoresearch.benches.run_directory import BenchDirectory
    from autoresearch.benches.server import BenchServer
    from autoresearch.config.settings import Settings


def limits_of(suite: Suite, bounds: Sequence[str]) -> dict[str, float]:
    """The suite's limits with those of ``--bound``. Raises ``ConfigError``."""
    limits = {name: float(value) for name, value in suite.default_limits.items()}
    for text in bounds:
        name, equals, value = text.partition("=")
        if name not in limits or not equals:
            known = ", ".join(limits) or "none"
            raise ConfigError(f"--bound {text}: {name!r} is not a limit of {suite.name}", hint=f"its limits: {known}")
        try:
            limits[name] = number(0, 1e12)(value)
        except argparse.ArgumentTypeError as e:
            raise ConfigError(f"--bound {text}: {e}", hint=f"--bound {name}={limits[name]:g}") from e
    return limits


def server_of(
    suite: Suite,
    cases: CaseSet,
    directory: BenchDirectory,
    args: argparse.Namespace,
    settings: Settings,
    stopped: Callable[[], bool],
    notify: Callable[[str], None],
) -> BenchServer | None:
    """The server where attempts need one; a run that has all of them needs none."""
    planned = len(cases.cases) * args.samples
    if not suite.needs_model or (directory.fold.meta and len(directory.fold.trials) >= planned):
        return None
    try:
        from autoresearch.benches.chat import Sampling
        from autoresearch.benches.server import find_server
    except ImportError as e:
        raise missing_extra(f"bench run {suite.name}", e.name or "openai", "llm") from e
    from autoresearch.core.ports import Interrupted
    from autoresearch.llm.key import llm_key

    chosen, old = settings.llm, directory.fold.meta
    try:
        return find_server(
            chosen.base_url,
            llm_key(os.environ),
            Sampling(**_sampling(args, settings)),
            wanted=chosen.model,
            recorded=old.model if old else None,
            context=chosen.max_model_len,
            deadline_s=args.deadline,
            notify=notify,
            stopped=stopped,
        )
    except Interrupted as e:
        raise KeyboardInterrupt from e


def _sampling(args: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """The sampling as asked for."""
    return {
        "temperature": settings.llm.temperature if args.temperature is None else args.temperature,
        "top_p": args.top_p,
        "max_tokens": args.max_tokens or settings.llm.max_tokens or None,
        "seed": args.seed,
    }


def meta_of(
    suite: Suite,
    cases: CaseSet,
    options: dict[str, Any],
    limits: dict[str, float],
    args: argparse.Namespace,
    settings: Settings,
    directory: BenchDirectory,
    server: BenchServer | None,
) -> BenchMeta:
    """The conditions of this start. A complete run, for which no server was asked, keeps what it knows of its own."""
    from autoresearch.benches.conditions import current_versions, sampling_record, sha256_of_text
    from autoresearch.benches.records import BenchMeta
    from autoresearch.machine import utc

    old = directory.fold.meta if server is None and suite.needs_model else None
    model = server.model.name if server else None
    refused = server.refused if server else ()
    if old is not None:
        wanted = settings.llm.model
        model = wanted if wanted and wanted not in (old.model or "") else old.model
        refused = tuple(old.sampling.get("refused") or ())
    return BenchMeta(
        ts=utc(),
        suite=suite.name,
        cases_sha256=cases.sha256,
        cases=len(cases.cases),
        samples=args.samples,
        model=model,
        base_url=server.base_url if server else old.base_url if old else None,
        sampling=sampling_record(_sampling(args, settings), refused) if server or old else {},
        prompt_sha256=sha256_of_text(suite.prompt_text),
        limits=limits,
        options=options,
        versions=old.versions if old else current_versions(),
    )
