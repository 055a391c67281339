"""Write made-up repeats with the tails of published ones, for ``autoresearch bench --noise``.

``python -m benchmarks.heavy_repeats FILE``. In 736 published repeats of one 50M task the median SD was 0.00037 bpb, the
95th percentile of the range 0.011 and the largest 0.46. Here 250 groups of 2 to 4 have SDs that vary by a factor of
100, and a few trials go wrong by 0.005 to 0.46: the kurtosis is about 300.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

GROUPS = 250
MEDIAN_SD = 0.00037
WRONG = 0.06  # of the groups: one of their trials went wrong


def heavy_repeats(seed: int = 44) -> str:
    """CSV with the columns group,value; the same for the same seed."""
    rng = random.Random(seed)
    lines = ["group,value"]
    for group in range(GROUPS):
        centre, sd = rng.uniform(0.9, 1.1), MEDIAN_SD * 10 ** rng.gauss(0, 0.5)
        values = [rng.gauss(centre, sd) for _ in range(rng.randint(2, 4))]
        if rng.random() < WRONG:
            values[0] += min(0.005 * 10 ** rng.expovariate(1.6), 0.46)
        lines += [f"{group},{value:.6f}" for value in values]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(heavy_repeats())
