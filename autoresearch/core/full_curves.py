"""The loss curves of trials that ran in full, as early stopping learns from them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from autoresearch.core.measurement import Measurement
from autoresearch.core.records import ProposalRecord, TrialEnded
from autoresearch.core.values import Cfg
from autoresearch.verdicts.curves import Gaps
from autoresearch.verdicts.early_stop import Curve


def kind_of(proposal: ProposalRecord, baseline_cfg: Cfg) -> str:
    """``lr down``: the knob of a change and its direction; of a knob without an order, and of several, the values.

    A smaller learning rate or a longer warmup starts slowly, and their opposites do not say how slowly.
    """
    if proposal.also:
        return proposal.text
    old, new = baseline_cfg.get(proposal.knob), proposal.new_value
    if isinstance(old, str) or isinstance(new, str) or old is None:
        return f"{proposal.knob} = {new}"
    return f"{proposal.knob} {'up' if new > old else 'down'}"


def full_curves(kind: str, candidate: Iterable[TrialEnded], baseline: Sequence[TrialEnded]) -> list[Curve]:
    """The curves of a candidate's trials against the baseline's of the same seed, where both are known."""
    found = []
    for trial in candidate:
        reference = measurement_of_seed(baseline, trial.seed)
        own = trial.outcome
        if isinstance(own, Measurement) and own.train_loss_curve and reference and reference.train_loss_curve:
            gain = (reference.loss - own.loss) / abs(reference.loss)
            found.append(Curve(gaps_of(own.train_loss_curve, reference.train_loss_curve), gain, kind))
    return found


def gaps_of(losses: Sequence[float], baseline: Sequence[float]) -> Gaps:
    """The relative gaps of a curve to the baseline's, one per part of the budget so far."""
    return tuple((b - c) / b if b > 0 else None for b, c in zip(baseline, losses, strict=False))


def curve_of_seed(baseline: Iterable[TrialEnded], seed: int) -> Sequence[float] | None:
    """The baseline's loss curve with this seed; ``None`` where it is not known."""
    reference = measurement_of_seed(baseline, seed)
    return reference.train_loss_curve if reference else None


def measurement_of_seed(trials: Iterable[TrialEnded], seed: int) -> Measurement | None:
    """The first measurement with this seed."""
    return next((t.outcome for t in trials if t.seed == seed and isinstance(t.outcome, Measurement)), None)
