"""The gain of a keep, corrected for having been selected: the winner's curse.

A keep is kept because its mean gain is high, and it may be high in part by luck: given that it was kept, the mean
overstates the true gain. docs/verdicts.md has the measured bias of the mean and of this correction.
"""

from __future__ import annotations

import math
from statistics import NormalDist

NORMAL = NormalDist()
FAR = 30.0  # standard errors: beyond, the normal tail is computed by its asymptote


def corrected_gain(mean: float, standard_error: float, bar: float) -> float:
    """Return the mean gain of a keep, corrected for the mean having had to reach ``bar``. All are fractions.

    Half-way between ``mean`` and the conditional maximum-likelihood estimate: the mu for which a normal mean with this
    standard error is ``mean`` on average where it exceeds ``bar`` (Zoellner and Pritchard 2007, Am. J. Hum. Genet. 80,
    605; Zhong and Prentice 2008, Biostatistics 9, 621). That estimate alone corrects too much close to the bar, as
    both note; it is not taken below 0. Far above the bar the correction is 0. Never above ``mean``.
    """
    if standard_error <= 0 or mean <= 0:
        return mean
    bar = min(bar, mean)
    low, high = 0.0, mean
    for _ in range(60):
        middle = 0.5 * (low + high)
        if truncated_mean(middle, standard_error, bar) > mean:
            high = middle
        else:
            low = middle
    return 0.5 * (mean + low)


def truncated_mean(mu: float, sd: float, bar: float) -> float:
    """Return the mean of a normal variable with mean ``mu`` where it is above ``bar``: mu + sd * pdf(a) / P(Z > a)."""
    a = (bar - mu) / sd
    if a > FAR:
        return bar + sd / a
    return mu + sd * NORMAL.pdf(a) / (0.5 * math.erfc(a / math.sqrt(2)))
