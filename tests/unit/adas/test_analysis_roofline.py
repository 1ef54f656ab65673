from __future__ import annotations

import json
from typing import Any

import pytest

from agentforge.kit.digests import canonical_json
from agentforge.kit.errors import InvalidInput
from agentforge.kit.measure import Measurement
from agentforge.phase7_adas.analysis.cpu import measure_cpu, this_cpu
from agentforge.phase7_adas.analysis.devices import DEVICES, ORIN, XAVIER, XAVIER_NX, device
from agentforge.phase7_adas.analysis.report import analysis, table
from agentforge.phase7_adas.analysis.roofline import PRECISIONS, compare, estimate, precision
from agentforge.phase7_adas.analysis.trace import Trace, trace
from tests.unit.adas.analysis_toys import DIMS, FACTS, window

TORN = [PRECISIONS[name] for name in ("fp32", "int8")]


@pytest.fixture(scope="module")
def traced() -> Trace:
    return trace(window(), DIMS)


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    return analysis(window(), FACTS, [(each, TORN) for each in DEVICES.values()], (64, 256))


def test_peaks_are_what_the_makers_say() -> None:
    """In the makers' own roundings: dense, of the GPU alone."""
    told = [(XAVIER, 1.4, 11, 22.6, 136.5), (XAVIER_NX, 0.84, 6.8, 13.5, 59.7), (ORIN, 5.3, 42.5, 85, 204.8)]
    for each, fp32, fp16, int8, bandwidth in told:
        for name, value in (("fp32", fp32), ("fp16", fp16), ("int8", int8)):
            assert each.peaks[name].value / 1e12 == pytest.approx(value, rel=0.03)
        assert each.bandwidth_for(1).value / 1e9 == pytest.approx(bandwidth, rel=1e-3)
        assert all(figure.source for figure in (*each.peaks.values(), each.memory, each.bandwidth_for(1)))


def test_power_modes_scale_what_is_known_and_refuse_what_is_not() -> None:
    slow = device("xavier-nx@10 W")
    assert slow.bandwidth_for(1).value / 1e9 == pytest.approx(51.2)
    assert slow.peaks["fp32"].value == pytest.approx(2 * 384 * 0.80325e9)
    for name, reason in (("agx-xavier@10 W", "UNKNOWN_MODE"), ("nano", "UNKNOWN_DEVICE")):
        with pytest.raises(InvalidInput) as refused:
            device(name, field="target")
        assert (refused.value.reason, refused.value.field) == (reason, "target")
    with pytest.raises(InvalidInput, match="no precision 'int2'"):
        precision("int2")


def test_each_module_waits_for_the_slower_side(traced: Trace) -> None:
    found = estimate(traced, XAVIER, PRECISIONS["fp32"])
    costs, bandwidth = traced.by_module(), XAVIER.bandwidth_for(1).value
    for each in found["modules"]:
        cost = costs[each["module"]]
        sides = (cost.flops / XAVIER.peaks["fp32"].value, (cost.weight_bytes + cost.state_bytes) / bandwidth)
        assert each["seconds"] == pytest.approx(max(sides))
        assert each["bound_by"] == ("compute" if sides[0] > sides[1] else "memory")
    assert found["seconds"] == pytest.approx(sum(each["seconds"] for each in found["modules"]))
    assert found["seconds"] == pytest.approx(sum(each["seconds"] for each in found["layers"]))
    assert sum(each["share"] for each in found["layers"]) == pytest.approx(1)
    assert found["tokens_per_second_upper_bound"] == pytest.approx(2 * 3 / found["seconds"])


def test_many_tokens_at_once_are_bound_by_compute() -> None:
    one, many = (trace(window(), {**DIMS, "time": time, "past": 0}) for time in (1, 2000))
    assert estimate(one, XAVIER, PRECISIONS["fp32"])["bound_by"] == "memory"
    assert estimate(many, XAVIER, PRECISIONS["fp32"])["bound_by"] == "compute"


def test_fewer_bits_move_fewer_bytes(traced: Trace) -> None:
    total = traced.total
    found = {name: estimate(traced, XAVIER, PRECISIONS[name])["bytes"] for name in ("fp32", "int8")}
    assert found["fp32"] == total.weight_bytes + total.state_bytes
    assert found["fp32"] - found["int8"] == pytest.approx(total.matmul_weight_bytes * 3 / 4)


def test_every_number_of_a_roofline_is_called_an_estimate(record: dict[str, Any]) -> None:
    for each in record["devices"]:
        for steps in (*each["estimates"],):
            for step in steps.values():
                assert step["kind"] == "estimate"
                assert step["assumptions"]
                assert all(one["kind"] == "estimate" for one in (*step["layers"], *step["modules"]))
        assert all(one["kind"] == "estimate" for need in each["memory"] for one in need["contexts"])


def test_the_record_is_the_same_each_time(record: dict[str, Any]) -> None:
    again = analysis(window(), FACTS, [(each, TORN) for each in DEVICES.values()], (64, 256))
    assert canonical_json(record) == canonical_json(again)
    assert json.loads(canonical_json(record))["counts"]["decode"]["not_counted"] == []


def test_the_table_is_for_reading(record: dict[str, Any]) -> None:
    text = table(record, top=2)
    assert "(estimate" in text
    assert "| Jetson Xavier NX (8 GB) | int8 |" in text
    assert "| layers.0.attention | 2" in text
    assert "no limit" in text


def test_a_ratio_keeps_both_sides_apart(traced: Trace) -> None:
    found = estimate(traced, XAVIER, PRECISIONS["fp32"])
    measured = Measurement("edge/decode", 3 * found["seconds"], "s", "in a test", 5, 0.0)
    ratio = compare(found, measured)
    assert ratio["measured_by_estimate"] == pytest.approx(3)
    assert (ratio["kind"], ratio["estimate"]["kind"], ratio["measured"]["kind"]) == (
        "ratio",
        "estimate",
        "measurement",
    )
    with pytest.raises(ValueError, match="in seconds"):
        compare(found, Measurement("edge/rate", 3, "token/s", "in a test", 5))


def test_this_cpu_is_measured_and_said_to_be(traced: Trace) -> None:
    peaks = measure_cpu(sets=(1 << 20, 4 << 20), size=64, repeats=2, threads=1)
    assert all(each.n == 2 and each.spread is not None and each.value > 0 for each in peaks.measurements())
    cpu = this_cpu(peaks)
    assert cpu.measured
    assert all("measured" in figure.source for figure in cpu.peaks.values())
    assert cpu.bandwidth_for(1).value >= cpu.bandwidth_for(1 << 30).value >= peaks.copy.value
    found = analysis(window(), FACTS, [(cpu, TORN)], (64,))
    assert found["devices"] == []
    assert found["measured_devices"][0]["estimates"][0]["decode"]["kind"] == "estimate"
    assert canonical_json(found)
