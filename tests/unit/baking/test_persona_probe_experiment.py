from __future__ import annotations

import pytest

from agentforge.kit.evidence import claims
from agentforge.phase6_baking.experiments import probe


def test_a_trial_measured_small_makes_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "QUESTIONS", 4)
    rows = claims(probe.rows({"42": probe.measure(42)}))
    assert len({row.claim for row in rows}) == len(rows)
    assert rows[0].claim == "helpfulness probe: held-out accuracy"
    assert rows[0].value is not None
    assert len(rows[0].beside) == 10
    creative = [row for row in rows if row.claim.endswith("creativity_score") and row.target == "= 0"]
    assert [row.verdict for row in creative] == ["reached"] * 4
