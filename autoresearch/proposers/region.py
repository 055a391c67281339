"""How far the trust region reaches, and what its candidates may fail with: by results, in the order of knowledge. Pure.

With several workers results arrive that were proposed before the last ones were known. Sixteen candidates that were
proposed from the same knowledge are one try, not sixteen: that most of them do not improve on the first that did says
nothing of the region around it, and what fails among them shows one lack of knowledge, not sixteen. In a serial run
each result was known when the next candidate was proposed, and both counts are TuRBO's.
"""

from __future__ import annotations

import numpy as np

from autoresearch.proposers.cube import Array
from autoresearch.proposers.evidence import Evidence

MAX_FAILURE = 0.10  # what a candidate may fail with, as long as failures are rare
FAILURE_SHARE = 0.10  # of the trials so far, at which only the safest candidates are left
SAFEST = 0.3  # of MAX_FAILURE
PRIOR_FAILURES, PRIOR_TRIALS = 0.4, 10.0
START_LENGTH, MIN_LENGTH, MAX_LENGTH = 0.35, 0.06, 0.7
GROW_AFTER, SHRINK_AFTER = 2, 6
GROW, SHRINK = 1.5, 0.6


def region_length(evidence: Evidence, own: Array) -> float:
    """The side of the region after these results, by TuRBO's counts of successes and failures in a row.

    A result that is not ``own``, or was proposed before the best one so far was known, counts where it is an
    improvement, and does not shrink the region; of those that were proposed from the same knowledge one does.
    """
    length, best, best_row, successes, failures = START_LENGTH, 0.0, 0, 0, 0
    counted = set[int]()
    for row in range(1, len(evidence)):
        loss = float(evidence.loss[row])
        if loss < best:
            best, best_row, successes, failures = loss, row, successes + 1, 0
        elif not own[row] or (known := int(evidence.known[row])) <= best_row or known in counted:
            continue
        else:
            counted.add(known)
            successes, failures = 0, failures + 1
        if successes == GROW_AFTER:
            length, successes = min(MAX_LENGTH, GROW * length), 0
        elif failures == SHRINK_AFTER:
            length, failures = SHRINK * length, 0
            length = START_LENGTH if length < MIN_LENGTH else length
    return length


def count_failures(failed: Array, known: Array) -> tuple[float, float]:
    """Failures and trials; what was proposed from the same knowledge is one trial, which failed to its share."""
    tries, of_try = np.unique(known, return_inverse=True)
    share = np.bincount(of_try, failed) / np.bincount(of_try) if len(tries) else np.zeros(0)
    return float(share.sum()), float(len(tries))


def most_failure(failures: float, trials: float) -> float:
    """With what probability a candidate may fail, after so many failures: less where these were frequent."""
    share = (failures + PRIOR_FAILURES) / (trials + PRIOR_TRIALS)
    room = (FAILURE_SHARE - share) / (FAILURE_SHARE / 2)
    return MAX_FAILURE * min(1.0, max(SAFEST, room))
