"""Menu, baseline, decision rule and budget, fixed for a whole run; a run is not continued with others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from autoresearch.config.settings import Settings
from autoresearch.core.records import DecisionRule, Yardstick
from autoresearch.core.stopped_trial import EarlyStopRule
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg
from autoresearch.errors import ConfigError, YardstickMismatch
from autoresearch.trials.spec import Budget
from autoresearch.trials.trial_budget import trial_budget, trial_steps
from autoresearch.verdicts.early_stop import StopRule
from autoresearch.verdicts.rule import SequentialRule
from rails import STRUCTURAL_KNOBS, ChoiceKnob, Config, FloatKnob, Menu, MenuError, default_menu, is_finite, load_menu

# How a menu's error names its entry: knobs.NAME: or knobs.NAME.FIELD: (rails/menu.py).
ENTRY = re.compile(r"knobs\.(\w+)(?:\.(\w+))?: ")
KNOB_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")  # as rails/menu.py has it
VOCABULARIES = {"byte": 257, "gpt2": 50257}  # of the tokenizers whose size is not a setting


@dataclass(frozen=True, slots=True)
class Policy:
    """What is fixed for a whole run and does not depend on the device.

    ``vocab`` is the corpus's; before the corpus is known, the one that the settings request.
    """

    menu: Menu
    baseline: Cfg
    rule: DecisionRule
    budget: Budget
    vocab: int
    own_menu: bool = False  # of a command, whose knobs this program knows nothing of

    def steps(self, cfg: Config) -> int | None:
        """Optimizer steps of a configuration, for the cross constraints; ``None`` for a budget in seconds."""
        if self.own_menu:
            return int(self.budget.size) if self.budget.kind == "steps" else None
        return trial_steps(self.budget, cfg, self.baseline, self.vocab)

    def trial_budget(self, cfg: Config) -> Budget:
        """The budget of a trial of ``cfg``, in steps, tokens or seconds."""
        return trial_budget(self.budget, cfg, self.baseline, self.vocab)

    def with_vocab(self, vocab: int | None) -> Policy:
        """The policy on a corpus of that vocabulary; ``None`` if there is no corpus."""
        return self if vocab is None else replace(self, vocab=vocab)

    @property
    def parts(self) -> dict[str, Any]:
        """The same as plain values, for hashing and comparing."""
        rule = self.rule.model_dump(mode="json")
        return {"baseline_cfg": self.baseline, "menu": dict(self.menu.source), "decision_rule": rule}


def build_policy(settings: Settings) -> Policy:
    """Build the policy of the settings. Raises ``ConfigError`` naming the entry that does not fit."""
    if settings.trainer == "command":
        return _command_policy(settings)
    names = list(default_menu().knobs)
    structural = {name: knob.menu_entry for name, knob in STRUCTURAL_KNOBS.items()}
    if differing := sorted((set(settings.baseline) ^ set(names)) - set(structural)):
        raise ConfigError(
            f"baseline.{differing[0]} is missing or unknown",
            hint=f"--set baseline.NAME=VALUE for each of {', '.join(names)}",
        )
    try:
        menu = load_menu(settings.menu_file) if settings.menu_file else default_menu()
        if foreign := sorted(set(menu.knobs) - {*names, *structural}):
            able = ", ".join([*names, *structural])
            raise MenuError(f"knobs.{foreign[0]}: the trainer has no such knob; it has {able}")
        baseline = _structured_baseline(settings, menu, names)
        menu = menu.override(settings.menu, defaults=baseline, optional=structural)
        _check_structural_choices(menu)
    except MenuError as e:
        raise _menu_error(str(e)) from e
    wanted = settings.budget
    budget = Budget(kind=wanted.kind, size=wanted.size, flops=wanted.flops if wanted.kind == "flops" else None)
    rule = build_rule(settings)
    tokenizer = settings.tokenizer
    policy = Policy(menu, baseline, rule, budget, VOCABULARIES.get(tokenizer.kind, tokenizer.vocab_size))
    if why := menu.check_config(baseline, policy.steps):
        raise ConfigError(f"baseline: {why}", hint=_name_settings(why, menu))
    return policy


def _structured_baseline(settings: Settings, menu: Menu, names: list[str]) -> Cfg:
    """The settings' baseline in the menu's order, with the origin's part for a structural knob that it leaves out.

    Raises ``ConfigError`` for a structural value of the baseline whose knob is not on the menu.
    """
    changes = settings.menu.get("knobs", {})
    on_menu = {*menu.knobs, *(changes if isinstance(changes, Mapping) else ())}
    baseline = {n: _plain(n, settings.baseline[n]) for n in names}
    for name, knob in STRUCTURAL_KNOBS.items():
        if name in on_menu:
            baseline[name] = settings.baseline.get(name, knob.origin)
        elif name in settings.baseline:
            raise ConfigError(
                f"baseline.{name}: {name} is not on the menu", hint=f"--set menu.knobs.{name}={{}} adds it"
            )
    return baseline


def _check_structural_choices(menu: Menu) -> None:
    """Raise ``MenuError`` for a structural knob of the menu with a value that the trainer does not have."""
    for name, structural in STRUCTURAL_KNOBS.items():
        knob = menu.knobs.get(name)
        offered = () if knob is None else knob.choices if isinstance(knob, ChoiceKnob) else (knob.describe(),)
        if foreign := [value for value in offered if value not in structural.choices]:
            able = ", ".join(structural.choices)
            raise MenuError(f"knobs.{name}.choices: {foreign[0]!r} is not one of {able}, which the trainer has")


def _command_policy(settings: Settings) -> Policy:
    """The policy of a command: the user's own menu, and its defaults with the user's baseline over them.

    A baseline may have more names than the menu: they are handed over too, and never changed.
    """
    if settings.menu_file is None:
        raise ConfigError("menu_file is not set", hint="trainer = 'command' needs your own menu: docs/any-trainer.md")
    try:
        menu = load_menu(settings.menu_file)
        baseline = {**menu.defaults, **settings.baseline}
        for name, knob in menu.knobs.items():
            baseline[name] = as_float(baseline[name]) if isinstance(knob, FloatKnob) else baseline[name]
        menu = menu.override(settings.menu, defaults=baseline)
    except MenuError as e:
        raise _menu_error(str(e)) from e
    if bad := [name for name in baseline if not KNOB_NAME.fullmatch(name)]:
        raise ConfigError(f"baseline.{bad[0]} is not a usable name", hint="lower-case letters, digits and _")
    budget = Budget(kind=settings.budget.kind, size=settings.budget.size)
    if budget.kind == "flops":
        hint = "set budget.kind to seconds, steps or tokens: the FLOPs of a command are not known"
        raise ConfigError("budget.kind = 'flops' with trainer = 'command'", hint=hint)
    if settings.command.counts_steps and budget.kind != "steps":
        hint = "let the pattern have two groups, done and total, or one that is per cent"
        raise ConfigError(f"command.progress_pattern counts steps, and budget.kind = {budget.kind!r}", hint=hint)
    policy = Policy(menu, baseline, build_rule(settings), budget, vocab=0, own_menu=True)
    if why := menu.check_config(baseline, policy.steps):
        raise ConfigError(f"baseline: {why}", hint=_name_settings(why, menu))
    return policy


def build_rule(settings: Settings) -> DecisionRule:
    """The decision rule of the settings, with every constant that a verdict depends on."""
    wanted = settings.decision
    if wanted.rule == "threshold":
        return DecisionRule(accept_delta_frac=wanted.accept_delta_frac, seed=settings.seed)
    constants = asdict(SequentialRule(wanted.accept_delta_frac, wanted.alpha, wanted.max_seeds))
    only_best = wanted.confirm == "best" or (wanted.confirm == "auto" and settings.max_changes > 1)
    return DecisionRule(
        kind="sequential",
        seed=settings.seed,
        baseline_seeds=wanted.baseline_seeds,
        confirm="best" if only_best else None,
        **constants,
    )


def build_early_stop(settings: Settings) -> EarlyStopRule | None:
    """The constants of early stopping for the next start; ``None`` where no trial may be stopped."""
    wanted = settings.early_stop
    if settings.trainer == "command":
        return None  # it returns no loss curve
    if wanted.enabled == "off" or settings.decision.rule == "threshold" or settings.budget.kind == "seconds":
        return None
    rule = StopRule.of_run(wanted.tolerated, wanted.min_curves, wanted.audit_frac)
    return EarlyStopRule(**asdict(rule))


def _menu_error(problem: str) -> ConfigError:
    """The error for a menu that cannot be used; its hint names the knob's settings. The default is the baseline's."""
    if (match := ENTRY.match(problem)) is None:
        return ConfigError(
            f"menu: {problem}", hint="menu.knobs and menu.constraints; perturbation_menu.json shows the format"
        )
    knob, field = match[1], match[2]
    if field == "default":
        hint = f"change baseline.{knob}, or what menu.knobs.{knob} allows"
        return ConfigError(f"menu: {problem}", hint=hint)
    place = f"menu.knobs.{knob}.{field}" if field else f"menu.knobs.{knob}"
    return ConfigError(f"menu: {problem}", hint=f"change {place}, in the settings or in the menu file")


def _name_settings(why: str, menu: Menu) -> str:
    """The settings of the knobs that ``why`` names."""
    named = [name for name in menu.knobs if re.search(rf"\b{name}\b", why)]
    settings = " or ".join(f"baseline.{name}" for name in named) or "baseline.NAME"
    return f"change {settings}, for example --set baseline.{named[0] if named else 'NAME'}=VALUE"


def _plain(name: str, value: int | float | str) -> int | float | str:
    """Convert an integer to float for a float knob; one too large for a float is left for the menu to refuse."""
    return as_float(value) if isinstance(default_menu().knobs[name], FloatKnob) else value


def as_float(value: int | float | str) -> int | float | str:
    """An integer as a float, if a float can hold it."""
    return float(value) if isinstance(value, int) and is_finite(value) else value


def check_policy(trajectory: Trajectory, policy: Policy) -> None:
    """Refuse to continue a run with another baseline, menu or decision rule."""
    if (meta := trajectory.meta) is not None:
        fixed = {"baseline_cfg": meta.baseline_cfg, "menu": meta.menu}
        fixed["decision_rule"] = meta.decision_rule.model_dump(mode="json")
        refuse_differences(fixed, policy.parts)


def check_yardstick(trajectory: Trajectory, yardstick: Yardstick) -> None:
    """Refuse to continue a run with another yardstick."""
    if (meta := trajectory.meta) is not None:
        refuse_differences(meta.yardstick.model_dump(mode="json"), yardstick.model_dump(mode="json"))


def refuse_differences(
    fixed: Mapping[str, Any],
    now: Mapping[str, Any],
    *,
    what: str = "this run was started with other values",
    hint: str = "undo the change, choose another --dir, or start over with --fresh (the old run is archived)",
) -> None:
    """Raise ``YardstickMismatch`` with ``what``, naming every field that differs, with both values."""
    then, today = dict(flatten(fixed)), dict(flatten(now))
    names = [n for n in [*then, *(n for n in today if n not in then)] if then.get(n) != today.get(n)]
    if names:
        listed = "; ".join(f"{n}: {then.get(n)!r} then, {today.get(n)!r} now" for n in names[:10])
        more = f" (and {len(names) - 10} more)" if len(names) > 10 else ""
        raise YardstickMismatch(f"{what}: {listed}{more}", hint=hint)


def flatten(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Dotted names and values of nested tables; a list or tuple is one value."""
    pairs: list[tuple[str, Any]] = []
    for key, item in value.items():
        if isinstance(item, Mapping):
            pairs += flatten(item, f"{prefix}{key}.")
        else:
            pairs.append((f"{prefix}{key}", list(item) if isinstance(item, tuple) else item))
    return pairs
