"""A timer whose step times follow from the number of tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from autoresearch.core.measurement import Failure
from autoresearch.core.ports import Interrupted, OnProgress
from autoresearch.core.speeds import MatmulPeak, Speed, Timing
from autoresearch.core.values import Cfg


@dataclass(slots=True)
class FakeTimer:
    """Step times are proportional to the tokens of a step, and twice as long in bf16.

    ``fail`` and ``no_peak`` return a ``Failure`` for configurations that should fail, else ``None``. ``timed``
    records the configurations.
    """

    fail: Callable[[Cfg], Failure | None] = lambda _cfg: None
    no_peak: Callable[[Cfg], Failure | None] = lambda _cfg: None
    timed: list[Cfg] = field(default_factory=list)
    aborted: Callable[[], bool] = lambda: False

    def speed(self, cfg: Cfg, timing: Timing, on_progress: OnProgress) -> Speed | Failure:
        """See ``ports.Timer``."""
        self._raise_if_aborted()
        self.timed.append(cfg)
        on_progress("real tokens", 1.0, timing.steps, None)
        slower = 2.0 if cfg["precision"] == "bf16" else 1.0
        return self.fail(cfg) or fake_speed(int(cfg["batch_size"]) * int(cfg["seq_len"]), slower, timing.steps)

    def matmul_peak(self, cfg: Cfg) -> MatmulPeak | Failure:
        """See ``ports.Timer``."""
        self._raise_if_aborted()
        return self.no_peak(cfg) or MatmulPeak(flops_per_s=1e9)

    def _raise_if_aborted(self) -> None:
        if self.aborted():
            raise Interrupted("stopped at once")


def fake_speed(tokens_per_step: int, slower: float = 1.0, steps: int = 20) -> Speed:
    """Build a ``Speed``: 1,000 random tokens per millisecond where ``slower`` is 1, and a data path that costs 1%."""
    random_ms = slower * tokens_per_step / 1000
    real_ms = random_ms / 0.99
    return Speed(
        steps=steps,
        random_tokens_per_s=1000 * tokens_per_step / random_ms,
        real_tokens_per_s=1000 * tokens_per_step / real_ms,
        random_step_ms=random_ms,
        real_step_ms=real_ms,
        data_path_frac=0.01,
        data_path_spread=0.002,
        batch_ms=0.01,
        random_rounds_ms=(random_ms,),
        real_rounds_ms=(real_ms,),
        flops_per_token=100,
        peak_bytes=1 << 28,
        device="fake",
    )
