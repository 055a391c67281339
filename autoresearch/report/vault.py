"""What keeps gain on the test split, beside their gain on the validation span: numbers and sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from autoresearch.core.records import Unsealed
from autoresearch.core.text import plural
from autoresearch.core.values import FrozenModel, KnobValue
from autoresearch.report.format import NAME_CELLS, format_change
from autoresearch.report.history import Row

DOUBT = (
    "The whole interval lies below the gain on validation: part of that gain may be fitted to the validation span, or "
    "the text of the test split gains less."
)


class VaultNumbers(FrozenModel):
    """One keep. Both gains are over the same seeds; ``None``: too few of them were measured on both sides."""

    iter: int
    knob: str | None
    new_value: KnobValue | None
    seeds: int
    val_gain_frac: float | None
    test_gain_frac: float | None
    test_low_frac: float | None  # 95% interval
    test_high_frac: float | None
    below_validation: bool | None  # whether that interval lies below the gain on validation; None without one
    missing_trials: int  # whose sealed value is lost


def vault_numbers(rows: Iterable[Row]) -> list[VaultNumbers]:
    """The numbers of every keep whose vault is unsealed, in the order of the iterations."""
    return [_numbers(row, row.vault) for row in rows if row.vault]


def _numbers(row: Row, vault: Unsealed) -> VaultNumbers:
    return VaultNumbers(
        iter=row.iter,
        knob=row.knob,
        new_value=row.new_value,
        seeds=len(vault.seeds),
        val_gain_frac=vault.val_gain_frac,
        test_gain_frac=vault.test_gain_frac,
        test_low_frac=vault.test_low_frac,
        test_high_frac=vault.test_high_frac,
        below_validation=is_below_validation(vault),
        missing_trials=len(vault.missing),
    )


def is_below_validation(vault: Unsealed) -> bool | None:
    """Whether the upper bound of the gain on test is below the gain on validation; ``None`` without a bound."""
    if vault.test_high_frac is None or vault.val_gain_frac is None:
        return None
    return vault.test_high_frac < vault.val_gain_frac


def vault_lines(numbers: Iterable[VaultNumbers]) -> Iterator[str]:
    """A line for each keep: its change, both gains, and whether they differ by more than the noise of the seeds."""
    for n in numbers:
        change = f", {format_change(n.knob, n.new_value, NAME_CELLS)}" if n.knob is not None else ""
        doubt = f". {DOUBT}" if n.below_validation else ""
        yield f"iteration {n.iter}{change}: {describe_gains(n)}{doubt}"


def describe_gains(of: VaultNumbers | Unsealed) -> str:
    """Both gains in words."""
    seeds = of.seeds if isinstance(of, VaultNumbers) else len(of.seeds)
    if of.val_gain_frac is None or of.test_gain_frac is None:
        return "no seed is measured on the test split for both the keep and the baseline"
    both = f"{100 * of.val_gain_frac:+.2f}% on validation, {100 * of.test_gain_frac:+.2f}% on test"
    return f"{both} ({_uncertainty(of, seeds)})"


def describe_test_gain(vault: Unsealed) -> str:
    """``+2.72% (95% interval +2.31 to +3.14%, 8 seeds)``."""
    if vault.test_gain_frac is None:
        return "not known"
    return f"{100 * vault.test_gain_frac:+.2f}% ({_uncertainty(vault, len(vault.seeds))})"


def _uncertainty(of: VaultNumbers | Unsealed, seeds: int) -> str:
    if of.test_low_frac is None or of.test_high_frac is None:
        return f"{plural(seeds, 'seed')}: no interval"
    low, high = 100 * of.test_low_frac, 100 * of.test_high_frac
    return f"95% interval {low:+.2f} to {high:+.2f}%, {plural(seeds, 'seed')}"
