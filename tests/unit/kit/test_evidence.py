"""Rows and verdicts, records, and measuring again: on a small package that is copied to where it may be written."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentforge.kit.digests import digest_code
from agentforge.kit.errors import DataLoss, InvalidInput, MissingTool, RunFailed
from agentforge.kit.evidence import (
    Experiment,
    Row,
    Trial,
    at_least,
    at_most,
    claims,
    clearly_above,
    exactly,
    not_testable,
    number_text,
    stated,
)
from agentforge.kit.phase import PhaseSpec, load_pipeline
from agentforge.kit.recorded import Evidence, Record, code_digest, evidence, own_place, packaged_place
from agentforge.kit.remeasure import remeasure

LABORATORY = Path(__file__).parents[2] / "laboratory"
THROWS = ["throw/1", "throw/2", "throw/3"]


class Laboratory:
    """The package, and what was told and really measured."""

    def __init__(self, place: Path, calls: Path) -> None:
        self.place, self._calls = place, calls
        self.told: list[str] = []

    @property
    def spec(self) -> PhaseSpec:
        return load_pipeline().spec("lab")

    @property
    def dice(self) -> Experiment:
        return self.spec.experiments[0]

    @property
    def calls(self) -> list[list[str]]:
        """Key and process number of each measuring."""
        return [line.split() for line in self._calls.read_text().splitlines()] if self._calls.exists() else []

    @property
    def part(self) -> Path:
        return packaged_place(self.dice).with_name("dice.json.part")

    def measure(self, jobs: int = 1) -> Path:
        return remeasure(self.spec, self.dice, jobs=jobs, tell=self.told.append)

    def read(self) -> Evidence:
        return evidence(self.spec, self.dice)

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.place / file
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
        digest_code.cache_clear()
        for name in [name for name in sys.modules if name.startswith("laboratory")]:
            del sys.modules[name]


@pytest.fixture
def laboratory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Laboratory:
    place = tmp_path / "laboratory"
    shutil.copytree(LABORATORY, place, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # an edited file could be as old and as long as before
    monkeypatch.setenv("AGENTFORGE_PIPELINE", "laboratory.pipeline")
    monkeypatch.setenv("AGENTFORGE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LAB_CALLS", str(tmp_path / "calls"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name in [name for name in sys.modules if name.startswith("laboratory")]:
        monkeypatch.delitem(sys.modules, name)
    digest_code.cache_clear()
    return Laboratory(place, tmp_path / "calls")


@pytest.mark.parametrize(
    ("rule", "samples", "theirs", "verdict"),
    [
        (at_least, [0.8, 0.8, 0.8], False, "reached"),  # the edge belongs to the claim
        (at_least, [0.7, 0.9], False, "reached"),
        (at_least, [math.nextafter(0.8, 0)] * 2, False, "not reached"),
        (at_least, [0.7], True, "refuted"),
        (at_least, [0.9], True, "reached"),
        (at_most, [0.8, 0.8, 0.8], False, "reached"),
        (at_most, [math.nextafter(0.8, 1)] * 2, False, "not reached"),
        (at_most, [0.9, 0.9], True, "refuted"),
        (exactly, [0.8, 0.8], False, "reached"),
        (exactly, [0.7, 0.9], False, "not reached"),  # the mean is right, no sample is
        (exactly, [0.7], True, "refuted"),
        (clearly_above, [0.9, 0.9], False, "reached"),
        (clearly_above, [0.8, 0.8], False, "not reached"),
        (clearly_above, [0.7, 1.5], False, "not reached"),  # above, and could be noise
        (clearly_above, [0.7, 1.5], True, "refuted"),
    ],
)
def test_verdicts(rule: Callable[..., Row], samples: list[float], theirs: bool, verdict: str) -> None:
    row = rule("a claim", 0.8, samples, "1", theirs=theirs)
    assert (row.verdict, row.n) == (verdict, len(samples))
    assert "0.8" in row.target


@pytest.mark.parametrize("bar", [0.1, 0.7, 0.3, 1 / 3, 1e-9, 123.4])
def test_samples_at_the_bar_have_their_mean_there(bar: float) -> None:
    for n in range(1, 12):
        assert at_least("c", bar, [bar] * n, "1").verdict == at_most("c", bar, [bar] * n, "1").verdict == "reached"


def test_spread_is_the_sample_standard_deviation_and_unknown_for_one() -> None:
    row = at_most("c", 5, [1, 2, 3], "s", method="timed")
    assert (row.value, row.spread, row.n, row.unit, row.method) == (2.0, 1.0, 3, "s", "timed")
    assert at_least("c", 0, [1], "1").spread is None
    with pytest.raises(ValueError, match="one sample"):
        clearly_above("c", 0, [1], "1")
    with pytest.raises(ValueError, match="mean"):
        at_least("c", 0, [], "1")


@pytest.mark.parametrize(
    "wrong",
    [
        {"verdict": "nearly reached"},
        {"value": None},
        {"value": None, "n": 0},  # reached by nothing
        {"value": None, "n": 0, "verdict": None},
        {"value": math.nan},
        {"spread": math.inf},
        {"n": 0},
        {"target": ""},
        {"claim": ""},
        {"unit": ""},
    ],
)
def test_a_row_that_cannot_be_true_is_refused(wrong: dict[str, Any]) -> None:
    right: dict[str, Any] = {
        "claim": "c", "target": "≥ 1", "value": 2.0, "unit": "1", "n": 2, "spread": 0.1, "verdict": "reached",
    }  # fmt: skip
    Row(**right)
    with pytest.raises(ValueError, match=r".+"):
        Row(**(right | wrong))


def test_numbers_without_a_bar_stand_beside_a_claim() -> None:
    first, claim, last = stated("a", [1], "1"), at_least("c", 1, [2], "1"), stated("b", [3, 4], "s")
    why = not_testable("d", "on a Jetson", "no Jetson here")
    found = claims([first, claim, last, why])
    assert [row.claim for row in found] == ["c", "d"]
    assert found[0].beside == (first, last)
    assert (found[1].value, found[1].n, found[1].verdict) == (None, 0, "not testable here")
    with pytest.raises(ValueError, match="without a claim"):
        claims([first])


def test_numbers_for_people() -> None:
    assert [number_text(n) for n in (25_069_534, 1.0, 0.12345, 1234.567, 12345.6)] == [
        "25,069,534", "1", "0.1235", "1235", "12,346",
    ]  # fmt: skip


def test_measured_recorded_and_derived(laboratory: Laboratory) -> None:
    assert [(row.verdict, row.method) for row in laboratory.read().rows] == [("not reached", "not measured yet")]
    place = laboratory.measure()
    assert place == laboratory.place / "experiments/recorded/dice.json"
    assert not laboratory.part.exists()
    assert [key for key, _ in laboratory.calls] == THROWS
    assert len({os.getpid(), *(int(pid) for _, pid in laboratory.calls)}) == 4, "each in an interpreter of its own"
    record = Record.read(place)
    assert record is not None
    assert list(record.trials) == THROWS
    assert record.trials["throw/1"]["arguments"] == {"seed": 1, "sides": [1, 6]}
    assert record.codes == [code_digest(laboratory.spec, laboratory.dice)]
    assert record.machine["cores"] >= 1
    found = laboratory.read()
    assert [row.verdict for row in found.rows] == ["reached", "refuted", "not testable here"]
    assert found.command == "agentforge evidence lab --rerun --only dice"
    eyes = [result["eyes"] for result in record.results.values()]
    assert found.rows[0].value == pytest.approx(sum(eyes) / 3)


def test_rows_follow_the_raw_results_and_nothing_else(laboratory: Laboratory) -> None:
    place = laboratory.measure()
    stored = json.loads(place.read_text())
    for trial in stored["trials"].values():
        trial["result"]["eyes"] = 0
    place.write_text(json.dumps(stored))
    assert [row.verdict for row in laboratory.read().rows][:2] == ["not reached", "reached"]


def test_several_jobs_record_the_same(laboratory: Laboratory) -> None:
    one = Record.read(laboratory.measure())
    two = Record.read(laboratory.measure(jobs=3))
    assert one is not None
    assert two is not None
    assert list(one.results.items()) == list(two.results.items())
    with pytest.raises(InvalidInput, match="0 jobs"):
        laboratory.measure(jobs=0)


def test_a_trial_that_fails_is_told_and_the_finished_ones_are_kept(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = laboratory.measure().read_bytes()
    monkeypatch.setenv("LAB_FAIL", "throw/3")
    with pytest.raises(RunFailed, match="the cup broke at throw/3") as caught:
        laboratory.measure()
    assert (caught.value.reason, caught.value.field) == ("TRIAL_FAILED", "throw/3")
    (log,) = own_place(laboratory.spec, laboratory.dice).parent.iterdir()
    assert str(log) in caught.value.next_step
    assert log.read_text().startswith("this goes to the log\n")
    assert packaged_place(laboratory.dice).read_bytes() == before, "the old record stays until the new one is whole"
    monkeypatch.delenv("LAB_FAIL")
    laboratory.measure()
    assert [key for key, _ in laboratory.calls] == [*THROWS, *THROWS, "throw/3"]
    assert "dice: goes on with 2 trials of an interrupted measuring" in laboratory.told
    assert not laboratory.part.exists()
    assert not log.exists()


@pytest.mark.parametrize("file", ["experiments/dice.py", "experiments/cup.py", "pipeline.py"])
def test_trials_of_other_code_are_not_kept(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    monkeypatch.setenv("LAB_FAIL", "throw/3")
    with pytest.raises(RunFailed):
        laboratory.measure()
    monkeypatch.delenv("LAB_FAIL")
    laboratory.edit(file, "\n\n\n", "\n\n\n# edited\n")
    laboratory.measure()
    assert [key for key, _ in laboratory.calls] == [*THROWS, *THROWS]
    assert "dice: 2 others are measured again: code, arguments or machine changed since" in laboratory.told


def test_another_experiment_of_the_package_does_not_matter(laboratory: Laboratory) -> None:
    digests = (laboratory.spec.code_digest, code_digest(laboratory.spec, laboratory.dice))
    laboratory.edit("experiments/coins.py", "\n\n\n", "\n\n\n# edited\n")
    assert digests == (laboratory.spec.code_digest, code_digest(laboratory.spec, laboratory.dice))


def test_experiments_and_records_are_no_part_of_a_phases_code(laboratory: Laboratory) -> None:
    before = laboratory.spec.code_digest
    laboratory.measure()
    laboratory.edit("experiments/cup.py", "\n\n\n", "\n\n\n# edited\n")
    assert laboratory.spec.code_digest == before
    laboratory.edit("pipeline.py", "\n\n\n", "\n\n\n# edited\n")
    assert laboratory.spec.code_digest != before


def test_a_record_of_other_trials_is_not_taken_for_these(laboratory: Laboratory) -> None:
    laboratory.measure()
    laboratory.edit("experiments/dice.py", "(1, 2, 3)", "(1, 2, 4)")
    found = laboratory.read()
    assert found.record is None
    assert found.rows[0].method == "not measured yet: what is recorded are other trials"
    assert (found.rows[0].value, found.rows[0].verdict) == (None, "not reached")


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"[1]", b"{}", b'{"phase": "lab"}', b'{"more": 1}'])
def test_a_damaged_record_is_named(laboratory: Laboratory, content: bytes) -> None:
    place = packaged_place(laboratory.dice)
    place.parent.mkdir()
    place.write_bytes(content)
    with pytest.raises(DataLoss) as caught:
        laboratory.read()
    assert (caught.value.reason, caught.value.field) == ("RECORD_DAMAGED", str(place))


def test_where_the_package_is_not_writable_the_volume_has_the_record(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged = laboratory.measure()
    # Root may write anywhere, so the system's answer is replaced here.
    monkeypatch.setattr("agentforge.kit.remeasure.os.access", lambda path, mode: False)
    own = laboratory.measure()
    assert own == own_place(laboratory.spec, laboratory.dice)
    assert any(f"recording into {own}" in told for told in laboratory.told)
    for place, date in ((own, "2030-01-01T00:00:00Z"), (packaged, "2030-01-02T00:00:00Z")):
        stored = json.loads(place.read_text())
        place.write_text(json.dumps(stored | {"date": date}))
        record = laboratory.read().record
        assert record is not None
        assert record.date == date, "the newest counts"


def test_a_package_that_is_missing_is_named() -> None:
    module = "tests.laboratory.experiments.nothing"
    with pytest.raises(MissingTool, match=r"needs tests\.laboratory\.experiments\.nothing"):
        Experiment("x", "", module).load()


def test_trials_need_keys_of_their_own(laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = laboratory.dice.load()
    monkeypatch.setattr(module, "trials", lambda: [Trial("a", {}), Trial("a", {})])
    with pytest.raises(ValueError, match="keys of their own"):
        laboratory.measure()
