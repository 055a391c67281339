"""The joules of attempts: each by itself where it ran alone, never a share of what several took together."""

from __future__ import annotations

from autoresearch.benches.energy import BUSY, AttemptEnergy
from autoresearch.core.power import Power
from autoresearch.testing.fake_meter import fake_power


class Meter:
    """Settles what it is given, in order."""

    def __init__(self, *powers: Power | None) -> None:
        self.powers, self.phases = list(powers), list[str]()

    def poll(self) -> None: ...

    def phase(self, name: str) -> None:
        self.phases.append(name)

    def settle(self, phases: object = ()) -> dict[str, Power]:
        power = self.powers.pop(0)
        return {} if power is None else {BUSY: power}

    def unsettled(self) -> list[Power]:
        return []


def energy(*powers: Power | None, alone: bool = True) -> AttemptEnergy:
    return AttemptEnergy(Meter(*powers), alone)  # type: ignore[arg-type]


def test_one_attempt_after_the_other() -> None:
    measured = energy(fake_power(10.0, 1.0), fake_power(30.0, 2.0))
    found = []
    for _ in range(2):
        measured.began()
        found.append(measured.ended())
    assert found == [10.0, 30.0]
    assert measured.total is not None
    assert measured.total.energy_j == 40.0
    assert measured.meter.phases == [BUSY, "idle", BUSY, "idle"]  # type: ignore[attr-defined]


def test_together_only_the_total_is_known() -> None:
    measured = energy(fake_power(10.0, 1.0), alone=False)
    measured.began()
    measured.began()
    assert [measured.ended(), measured.ended()] == [None, None]
    assert measured.total is not None
    assert measured.total.energy_j == 10.0


def test_too_little_coverage_is_unknown() -> None:
    measured = energy(fake_power(10.0, 1.0).model_copy(update={"coverage": 0.5}))
    measured.began()
    assert measured.ended() is None


def test_without_a_sensor_nothing_is_known() -> None:
    measured = energy(None)
    measured.began()
    assert measured.ended() is None
    assert measured.total is None


def test_what_an_interrupted_attempt_took_is_in_the_total() -> None:
    measured = energy(fake_power(10.0, 1.0))
    measured.began()
    measured.close()
    measured.close()
    assert measured.total is not None
    assert measured.total.energy_j == 10.0


def test_another_scope_is_not_added() -> None:
    other = fake_power(30.0, 1.0).model_copy(update={"scope": "system"})
    measured = energy(fake_power(10.0, 1.0), other)
    for _ in range(2):
        measured.began()
        measured.ended()
    assert measured.total is not None
    assert measured.total.energy_j == 10.0
