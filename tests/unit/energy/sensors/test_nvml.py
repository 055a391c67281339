"""The real pynvml over a fake driver library that a C compiler builds: its readings, and each error that it returns."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tests import nvml_world
from tests.nvml_world import gpu, look_at

pytestmark = pytest.mark.skipif(bool(nvml_world.missing()), reason=nvml_world.missing() or "there is one")

NOT_SUPPORTED, UNKNOWN, LOST, DRIVER_NOT_LOADED = 3, 999, 15, 9


def at(t: float, **state: float) -> dict[str, Any]:
    return {"t": t, "state": state}


def healthy(t: float, watts: float = 100.0, **more: float) -> dict[str, Any]:
    return at(t, **gpu(watts=watts, joules=1000 + watts * t, **more))


def wave_w(t: float) -> float:
    return 400 + 300 * math.sin(2 * math.pi * t / 9)


def wave_j(t: float) -> float:
    """The integral of ``wave_w`` from 0, by the textbook."""
    return 400 * t + 300 * 9 / (2 * math.pi) * (1 - math.cos(2 * math.pi * t / 9))


class TestEnergy:
    def test_the_counter_is_within_a_per_cent_of_the_integral(self, tmp_path: Path) -> None:
        steps = [at(t, **gpu(watts=wave_w(t), joules=500 + wave_j(t))) for t in range(301)]
        output = look_at(steps, tmp_path)
        assert (output["method"], output["scope"]) == ("nvml_energy", "gpu")
        assert output["energy_j"] == pytest.approx(wave_j(300), rel=0.001)
        assert output["coverage"] == 1.0

    def test_without_a_counter_the_power_is_too(self, tmp_path: Path) -> None:
        output = look_at([at(t, **gpu(watts=wave_w(t), joules=None)) for t in range(301)], tmp_path)
        assert output["method"] == "nvml_power"
        assert output["energy_j"] == pytest.approx(wave_j(300), rel=0.01)
        assert output["peak_w"] == pytest.approx(700, rel=0.01)

    def test_several_gpus_are_one(self, tmp_path: Path) -> None:
        steps = [
            at(t, **{**gpu(0, watts=100, joules=100.0 * t), **gpu(1, watts=300, joules=300.0 * t, clock1=1500)})
            for t in range(5)
        ]
        output = look_at(steps, tmp_path, uuids=["GPU-0", "GPU-1"])
        assert output["energy_j"] == 1600.0
        last = output["samples"][-1]
        assert (last["power_w"], last["mem_used_bytes"], last["clock_mhz"]) == (400.0, 48 << 30, 1500.0)
        assert "2 GPUs (GPU-0, GPU-1)" in output["about"]

    def test_the_gpu_that_trains_is_the_one_that_is_metered(self, tmp_path: Path) -> None:
        steps = [at(t, **{**gpu(0, watts=5, joules=5.0 * t), **gpu(1, watts=300, joules=300.0 * t)}) for t in range(3)]
        assert look_at(steps, tmp_path, uuids=["GPU-1"])["energy_j"] == 600.0


class TestFaults:
    def test_a_reset_of_the_counter(self, tmp_path: Path) -> None:
        joules = [5000.0, 5100.0, 0.0, 100.0, 200.0]
        output = look_at([at(t, **gpu(joules=j)) for t, j in enumerate(joules)], tmp_path)
        assert (output["energy_j"], output["coverage"]) == (400.0, 1.0)

    def test_a_stall_of_the_counter(self, tmp_path: Path) -> None:
        joules = [5000.0, 5100.0, 5100.0, 5100.0, 5400.0, 5500.0]
        output = look_at([at(t, **gpu(joules=j)) for t, j in enumerate(joules)], tmp_path)
        assert (output["energy_j"], output["coverage"]) == (500.0, 1.0)

    def test_a_gap_between_samples(self, tmp_path: Path) -> None:
        output = look_at([at(t, **gpu(joules=None)) for t in (0, 1, 2, 32, 33)], tmp_path)
        assert (output["energy_j"], output["coverage"]) == (300.0, pytest.approx(3 / 33))

    def test_a_gpu_that_falls_off_the_bus_and_comes_back(self, tmp_path: Path) -> None:
        lost = {"fail_energy_mj": LOST, "fail_power_mw": LOST}
        times = [0, 1, 2, 10, 20, 33, 34, 35]
        steps = [healthy(t, **(lost if 2 <= t < 33 else {})) for t in times]
        output = look_at(steps, tmp_path)
        known = [s for s in output["samples"] if s["power_w"] is not None]
        assert [s["t"] for s in known] == [0, 1, 33, 34, 35], "it was opened again after half a minute"
        assert output["energy_j"] == 3500.0, "its counter continued to count"

    def test_a_counter_that_breaks_later_leaves_the_power(self, tmp_path: Path) -> None:
        steps = [healthy(t, **({"fail_energy_mj": UNKNOWN} if t > 1 else {})) for t in range(5)]
        output = look_at(steps, tmp_path)
        assert (output["energy_j"], output["coverage"]) == (400.0, 1.0)


class TestGauges:
    def test_all_of_them(self, tmp_path: Path) -> None:
        (sample,) = look_at([healthy(1.0)], tmp_path)["samples"]
        assert (sample["util_pct"], sample["temp_c"], sample["clock_mhz"]) == (97.0, 61.0, 1980.0)
        assert (sample["mem_used_bytes"], sample["slowdowns"]) == (24 << 30, [])

    def test_with_unified_memory_only_the_memory_is_none(self, tmp_path: Path) -> None:
        """The GB10 has it."""
        (sample,) = look_at([healthy(1.0, fail_mem=NOT_SUPPORTED)], tmp_path)["samples"]
        assert (sample["mem_used_bytes"], sample["power_w"]) == (None, 100.0)

    @pytest.mark.parametrize("name", ["util", "mem", "temp", "clock", "reasons"])
    @pytest.mark.parametrize("code", [NOT_SUPPORTED, UNKNOWN])
    def test_an_error_of_one_query_leaves_the_energy(self, tmp_path: Path, name: str, code: int) -> None:
        output = look_at([healthy(t, **{f"fail_{name}": code}) for t in range(3)], tmp_path)
        assert output["energy_j"] == 200.0

    @pytest.mark.parametrize(
        ("bits", "names"),
        [
            *((0x00, []), (0x01, []), (0x04, []), (0x02, []), (0x08, ["hw_slowdown"]), (0x20, ["sw_thermal"])),
            *((0x48, ["hw_slowdown", "hw_thermal"]), (0x80, ["hw_power_brake"])),
        ],
    )
    def test_what_slows_it_down_is_named_and_what_is_normal_is_not(
        self, tmp_path: Path, bits: int, names: list[str]
    ) -> None:
        (sample,) = look_at([healthy(1.0, reasons0=bits)], tmp_path)["samples"]
        assert sample["slowdowns"] == names


class TestOthers:
    def test_the_processes_that_compute_on_it(self, tmp_path: Path) -> None:
        output = look_at([healthy(0.0), healthy(1.0, users=2), healthy(2.0, fail_users=NOT_SUPPORTED)], tmp_path)
        assert output["compute_pids"] == [[], [1000, 1001], None]

    def test_how_much_the_other_processes_use(self, tmp_path: Path) -> None:
        steps = [
            {**healthy(t, users=2, others=30), "watch": watch} for t, watch in enumerate(([], [1000], [1000, 1001]))
        ]
        assert [s["others_util_pct"] for s in look_at(steps, tmp_path)["samples"]] == [None, 30.0, 60.0]

    def test_other_processes_that_are_idle_use_nothing(self, tmp_path: Path) -> None:
        (sample,) = look_at([{**healthy(1.0), "watch": [1000]}], tmp_path)["samples"]
        assert sample["others_util_pct"] == 0.0

    def test_where_the_driver_does_not_support_it_it_is_not_known(self, tmp_path: Path) -> None:
        steps = [{**healthy(1.0, users=1, fail_others=NOT_SUPPORTED), "watch": [1000]}]
        (sample,) = look_at(steps, tmp_path)["samples"]
        assert sample["others_util_pct"] is None


class TestRefused:
    @pytest.mark.parametrize(
        ("state", "words"),
        [
            ({"fail_init": DRIVER_NOT_LOADED}, "Driver Not Loaded"),
            ({"gpus": 0}, "0 GPUs"),
            ({"gpus": 2}, "which of them trains is not known"),
            ({"gpus": 1}, "neither its energy nor its power"),
        ],
    )
    def test_the_reason_is_returned(self, tmp_path: Path, state: dict[str, float], words: str) -> None:
        assert words in look_at([at(0.0, **state)], tmp_path)["refused"]

    def test_a_gpu_that_nvml_does_not_list(self, tmp_path: Path) -> None:
        """A slice of one (MIG), for example."""
        assert "Not Found" in look_at([healthy(0.0)], tmp_path, uuids=["GPU-7"])["refused"]
