import pytest

from agentforge.phase7_adas.drive.fusion.evidence import measure_fusion

pytest.importorskip("stonesoup", reason="the oracle is not installed: pip install stonesoup")


@pytest.mark.slow
def test_as_good_as_stone_soup_and_faster() -> None:
    found = measure_fusion(4, seconds=8.0)
    assert found["gospa_ratio"] < 1.5
    assert found["latency_ratio"] < 0.5
    assert found["looks"] == 140
    assert found["ours"]["rms_m"] < 1.0
