"""The statistics of a verdict: pure functions of numbers, to be read alone. docs/verdicts.md derives them.

    student_t    distribution and quantile of Student's t; chi_square and binomial beside it
    noise        the noise of a paired difference, pooled over a run, with its degrees of freedom
    correlation  of candidate and baseline at the same seed, for the report
    rule         the constants of the rule, and the share of alpha that each test may spend
    sequential   keep, revert or one more seed
    selection    the gain of a keep, corrected for having been selected
    simulate     nights whose truth is known (numpy); night_rules, bench and repeats belong to it

Nothing here imports anything else of the project but ``errors``. What the loop uses needs no numpy.
"""

from autoresearch.verdicts.noise import Noise, pooled_noise
from autoresearch.verdicts.rule import SequentialRule, alpha_of_test
from autoresearch.verdicts.sequential import Judgement, Label, judge

__all__ = ["Judgement", "Label", "Noise", "SequentialRule", "alpha_of_test", "judge", "pooled_noise"]
