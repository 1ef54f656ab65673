import numpy as np
import pytest

from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.orchestrator.budget import REMEMBERED, Budget


def test_what_is_expected_is_the_quantile_of_what_is_remembered() -> None:
    budget, spent = Budget(10.0), Rng(0, "tests/budget").numpy().gamma(2.0, 1.0, 3 * REMEMBERED).tolist()
    assert budget.expected_ms("planning") == 0.0
    for count, ms in enumerate(spent, 1):
        budget.took("planning", ms)
        wanted = np.quantile(spent[max(count - REMEMBERED, 0) : count], 0.5)
        assert budget.expected_ms("planning") == pytest.approx(wanted, rel=1e-12)


def test_a_stage_is_allowed_while_all_that_follows_fits() -> None:
    budget = Budget(10.0)
    budget.took("planning", 4.0)
    budget.took("monitor", 1.0)
    assert budget.allows(5.0, "prediction", "planning", "monitor")
    assert not budget.allows(5.1, "prediction", "planning", "monitor")
