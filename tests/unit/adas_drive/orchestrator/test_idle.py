import gc

import pytest

from agentforge.phase7_adas.drive.orchestrator.idle import OLD, collected_between_ticks

pytestmark = pytest.mark.requirement("SR7")


class Knot:
    def __init__(self) -> None:
        self.itself = self


def knots() -> int:
    return sum(isinstance(each, Knot) for each in gc.get_objects())


def test_garbage_waits_for_the_end_of_the_tick() -> None:
    with collected_between_ticks() as idle:
        for _ in range(2_000):  # far more than lets the collector begin by itself
            Knot()
        assert knots() == 2_000
        idle.rest()
        assert knots() == 0
    assert gc.isenabled()


def test_what_outlived_a_tick_goes_in_the_end() -> None:
    with collected_between_ticks() as idle:
        kept = Knot()
        idle.rest()
        idle.rest()
        del kept
        for _ in range(OLD):
            idle.rest()
        assert knots() == 0


def test_the_collector_is_left_as_it_was_also_after_a_crash() -> None:
    gc.disable()
    try:
        with pytest.raises(ZeroDivisionError), collected_between_ticks():
            raise ZeroDivisionError
        assert not gc.isenabled()
    finally:
        gc.enable()
    assert gc.get_freeze_count() == 0
