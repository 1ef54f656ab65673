"""What admissions tell: everything that is wrong, of the field that it is about; and phases without a run."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from agentforge.kit.audience import Quiet
from agentforge.kit.checks import violations
from agentforge.kit.errors import DataLoss, ForgeError, InvalidInput, Violation
from agentforge.kit.inputs import InputPath
from agentforge.kit.measure import Measurement


def fail(error: ForgeError) -> None:
    raise error


def test_every_check_is_made_and_several_faults_are_told_apart() -> None:
    several = InvalidInput.of([Violation(f"layer {n}", f"{n} is bad", "BAD", f"mend {n}") for n in (1, 2)])
    found = violations(
        ("model", partial(fail, DataLoss("broken", reason="BROKEN_FILE", next_step="copy it"))),
        ("model", lambda: None),
        ("group", partial(fail, several)),
    )
    assert found == [
        Violation("model", "broken", "BROKEN_FILE", "copy it"),
        Violation("group", "1 is bad", "BAD", "mend 1"),
        Violation("group", "2 is bad", "BAD", "mend 2"),
    ]


def test_what_is_no_forge_error_is_not_taken_for_bad_input() -> None:
    with pytest.raises(ZeroDivisionError):
        violations(("model", lambda: print(1 // 0)))


def test_errors_name_the_input_that_they_are_about(tmp_path: Path) -> None:
    given = InputPath("mine", "model", tmp_path, "")
    with pytest.raises(DataLoss) as caught, given.named_in_errors():
        raise DataLoss("broken", field="config.json")
    assert (given.field, caught.value.field) == ("inputs.mine", "inputs.mine: config.json")


def test_quiet_keeps_measurements_and_takes_no_checkpoint() -> None:
    quiet, one = Quiet(), Measurement("loss", 1.5, "nat", "by hand", 1)
    quiet.progress(1, 2)
    quiet.log("unheard")
    quiet.sample("shown", {})
    quiet.measure(one)
    quiet.check_stop(lambda: pytest.fail("nobody asked to stop"))
    assert quiet.measured == [one]
    with pytest.raises(AssertionError, match="checkpoint_every"):
        quiet.checkpoints.save(1, lambda place: None)
