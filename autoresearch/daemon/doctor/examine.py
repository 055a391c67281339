"""Run the checks in order; later checks use what earlier ones found."""

from __future__ import annotations

from collections.abc import Callable

from autoresearch.config.settings import Settings
from autoresearch.core.ports import Observer
from autoresearch.core.records import Yardstick
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.backend import build_estimator
from autoresearch.daemon.command_backend import find_device
from autoresearch.daemon.cost_check import limits_now
from autoresearch.daemon.doctor import machine, training
from autoresearch.daemon.doctor.check import Check, fail, ok
from autoresearch.daemon.doctor.command import CommandExamination
from autoresearch.daemon.doctor.history import history
from autoresearch.daemon.doctor.llm import LLM_MAX_S, llm
from autoresearch.daemon.doctor.proposer import proposer
from autoresearch.daemon.doctor.tracker import tracker
from autoresearch.daemon.policy import Policy, build_policy
from autoresearch.daemon.service import build_control, build_meta
from autoresearch.daemon.setup_text import describe_setup
from autoresearch.errors import AutoresearchError
from autoresearch.proposers.space import Space
from autoresearch.trials.estimate import Estimator
from autoresearch.trials.spec import Device
from rails import Config, Verdict, gate
from rails import over_budget as find_over_budget

# The LLM prompt of a run that has not started needs a meta record, and that a yardstick: this one is never recorded.
PLACEHOLDER_YARDSTICK = Yardstick(
    corpus_sha256="",
    tokenizer_sha256="",
    span_start_token=0,
    span_tokens=0,
    span_bytes=0,
    evaluator_version=0,
    trainer="",
    versions={},
    threads=0,
    device_kind="",
    budget_kind="steps",
    budget_size=0,
)


def examine(
    settings: Settings, on_check: Callable[[Check], None] = lambda _check: None, *, llm_max_s: float = LLM_MAX_S
) -> list[Check]:
    """Run every check; ``on_check`` receives each as soon as it is done. Errors become failed checks.

    No further LLM proposal is requested once ``llm_max_s`` have passed.
    """
    checks: list[Check] = []

    def note(check: Check) -> None:
        checks.append(check)
        on_check(check)

    try:
        policy = build_policy(settings)
    except AutoresearchError as e:
        note(fail("configuration", e))
        return checks
    note(ok("configuration", f"profile {settings.profile}, proposer {settings.proposer}"))
    note(machine.directory(settings.run_dir))
    checked, run, ends = history(settings, policy)
    note(checked)
    note(machine.disk(settings.run_dir, settings.limits.min_free_disk_mib))
    when = build_control(settings, settings.run_dir, Observer(), ends).describe_end()
    note(machine.clock(ends, machine.utc_now(), ends=when))
    device: Device | None = None
    estimator: Estimator | None = None
    yardstick = PLACEHOLDER_YARDSTICK
    if settings.trainer == "command":
        examination = CommandExamination(settings, policy, run)
        for check in examination.checks():
            note(check)
        yardstick = examination.yardstick or yardstick
        note(machine.energy(settings.model_copy(update={"device": find_device(settings.device)}), None))
    else:
        policy, device, estimator = _training(settings, policy, run, note)
        note(machine.energy(settings, device))
    note(proposer(settings, Space(policy.menu, policy.baseline, policy.steps, max_changes=settings.max_changes)))
    note(_llm(settings, policy, run, device, estimator, llm_max_s, yardstick))
    if settings.track:
        note(tracker(settings.track))
    return checks


def _training(
    settings: Settings, policy: Policy, run: Trajectory, note: Callable[[Check], None]
) -> tuple[Policy, Device | None, Estimator | None]:
    """The checks of a built-in trainer: corpus, device, memory, yardstick."""
    checked, corpus, span = training.corpus(settings, policy)
    policy = policy.with_vocab(corpus.vocab if corpus else None)
    note(checked)
    checked, device = training.device(settings)
    estimator = build_estimator(settings, policy, device, corpus, span) if device else None
    if device and estimator:
        checked = training.add_precision_costs(checked, settings, policy, device, estimator)
    note(checked)
    if device and estimator:
        note(training.memory(settings, policy, device, estimator))
    if device and corpus and span:
        note(training.yardstick(settings, policy, corpus, span, device, run))
    return policy, device, estimator


def _llm(
    settings: Settings,
    policy: Policy,
    run: Trajectory,
    device: Device | None,
    estimator: Estimator | None,
    max_s: float,
    yardstick: Yardstick = PLACEHOLDER_YARDSTICK,
) -> Check:
    """Request proposals from the LLM for the run as it stands, or for a new one."""
    limits = limits_now(device.free_bytes if device else None, settings)  # once: a prompt asks for hundreds of values

    def judge(raw: str, trajectory: Trajectory) -> Verdict:
        return gate(
            raw,
            policy.baseline,
            policy.menu,
            steps=policy.steps,
            known=trajectory.known(),
            estimate=estimator,
            limits=limits,
            max_changes=settings.max_changes,
        )

    def over_budget(cfg: Config) -> str:
        return (find_over_budget(estimator(cfg), limits) or "") if estimator else ""

    budget = {"budget_kind": settings.budget.kind, "budget_size": settings.budget.size}
    yardstick = yardstick.model_copy(update=budget)
    trajectory = run if run.meta else Trajectory.fold([build_meta(settings, policy, yardstick)])
    space = Space(policy.menu, policy.baseline, policy.steps, over_budget, settings.max_changes)
    return llm(settings, space, judge, trajectory, max_s, describe_setup(estimator))
