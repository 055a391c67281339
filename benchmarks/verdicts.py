"""Time of one verdict of the rails, over replies good and hostile, in a run that knows 10,000 configurations.

python -m benchmarks.verdicts
"""

from __future__ import annotations

import json
import statistics
import time

from benchmarks.machine import describe
from rails import Estimate, Limits, Tried, default_menu, gate

REPEATS = 200


def replies() -> dict[str, str | bytes]:
    """What a proposer may say at its best and at its worst."""

    def say(knob: str, value: object, reason: str = "why not") -> str:
        return json.dumps({"knob": knob, "new_value": value, "reason": reason})

    return {
        "passes": say("lr", 2.00000001e-4),
        "known among 10,000": say("lr", 1e-5 + 5000 * 9.9e-7),
        "out of range": say("d_model", 10**9),
        "breaks a cross constraint": say("lr_warmup", 50),
        "not JSON, 4 KiB": "x" * 4096,
        "nested 2,000 deep": "[" * 2000,
        "an integer of 4,000 digits": say("n_layer", 0).replace("0", "9" * 4000),
        "2,000 keys": "{" + ",".join(f'"{i:x}":0' for i in range(400)) + "}",
        "reason of 500 characters": say("beta1", 0.8, "r" * 500),
        "1 MiB": "y" * (1 << 20),
        "bytes that are not UTF-8": b"\xff" * 4096,
    }


def main() -> None:
    menu = default_menu()
    baseline = menu.defaults
    known = Tried(baseline)
    for i in range(10_000):
        known.add({**baseline, "lr": 1e-5 + i * 9.9e-7}, "measured")
    print(f"### Time of one verdict\n\n{describe()}\n")
    print(f"`python -m benchmarks.verdicts`: {REPEATS} verdicts each, a run that knows 10,000 configurations\n")
    print("| reply | rail | median ms | largest ms |\n|---|---|---|---|")
    for name, raw in replies().items():
        times = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            verdict = gate(raw, baseline, menu, known=known, estimate=lambda _: Estimate(1, 1.0), limits=Limits(10))
            times.append(1000 * (time.perf_counter() - began))
        print(f"| {name} | {verdict.rail} | {statistics.median(times):.3f} | {max(times):.3f} |")
    print("| target | | | at most 1 |")


if __name__ == "__main__":
    main()
