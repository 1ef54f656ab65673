"""What W&B gets of a run, by W&B itself, offline; and that it gets it once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agentforge.kit.errors import DataLoss, DiskFull, FailedPrecondition, NotFound
from agentforge.track.mode import Mode
from agentforge.track.position import Place
from agentforge.track.source import Source
from agentforge.track.telling import KIND, tell_wandb
from tests.unit.kit.disks import fill_disk
from tests.unit.track.logs import (
    FAILED,
    RUNNING,
    SUCCEEDED,
    add_events,
    made,
    measured,
    offline_runs,
    pipeline_run,
    state,
    two_phases,
)

pytest.importorskip("wandb", reason="W&B's package is an extra: pip install 'agentforge[wandb]'")


def tell(source: Source, *, again: bool = False) -> int:
    return tell_wandb(source, Mode.OFFLINE, again=again, stop=threading.Event(), idle_s=0.2, finish_s=60)


def test_a_parent_and_a_child_for_each_phase(home: Path) -> None:
    source = pipeline_run(home, two_phases())
    assert tell(source) == 15
    runs = offline_runs(source.place)
    ((parent,), (cognate,), (evomerge,)) = (runs[key] for key in ("", "cognate", "evomerge"))

    assert {run.group for run in (parent, cognate, evomerge)} == {"r1"}
    assert (cognate.job_type, evomerge.job_type) == ("phase1_cognate", "phase2_evomerge")
    assert parent.summary["phase2_evomerge/best_fitness"] == 0.9
    assert parent.summary["phase1_cognate/state"] == parent.summary["state"] == "SUCCEEDED"

    assert evomerge.rows[11] == {"evomerge/best_fitness": 0.9, "evomerge/step": 1} | _clock(evomerge.rows[11])
    assert cognate.rows[3]["training/loss/reasoning"] == cognate.rows[3]["cognate/reasoning/loss"] == 2.5
    norms = "gradients/cognate/reasoning/gradient_norm"
    assert cognate.rows[8][f"{norms}/_type"] == "histogram"
    assert sum(cognate.rows[8][f"{norms}/values"]) == 2
    assert evomerge.rows[14]["evomerge/measurements/nrows"] == 1
    assert evomerge.rows[14]["evomerge/generation/samples/ncols"] == 3

    aliases, reference = evomerge.artifacts["evomerge_champion"]
    assert sorted(aliases) == ["best", "latest"]
    assert reference == f"agentforge:runs/r1/evomerge/output/champion#sha256={'ab' * 32}"
    assert evomerge.config["inputs"][0]["name"] == "cognate_reasoning"


def test_best_goes_to_the_higher_value_only(home: Path) -> None:
    for run_id, fitness in (("first", 0.9), ("worse", 0.8), ("better", 0.95)):
        tell(pipeline_run(home, two_phases(fitness, run_id), run_id))
    best = {
        run_id: "best" in offline_runs(home / "track" / run_id)["evomerge"][0].artifacts["evomerge_champion"][0]
        for run_id in ("first", "worse", "better")
    }
    assert best == {"first": True, "worse": False, "better": True}


def test_what_was_told_is_not_told_twice_and_a_resumed_run_goes_on(home: Path) -> None:
    error = {"reason": "X", "message": "bad"}
    failed = [*two_phases()[:11], state("evomerge", FAILED, error=error), state("", FAILED)]
    source = pipeline_run(home, failed)
    assert tell(source) == 13
    before = offline_runs(source.place)
    assert before["evomerge"][0].summary["error"] == "X: bad"
    assert tell(source) == 13
    assert sum(map(len, offline_runs(source.place).values())) == 3

    more = [state("", RUNNING), state("evomerge", RUNNING), measured("evomerge", "evomerge/best_fitness", 1.0, 2)]
    add_events(source.directory.log_path, [*more, state("evomerge", SUCCEEDED), state("", SUCCEEDED)], attempt=2)
    assert tell(source) == 18
    runs = offline_runs(source.place)
    first, second = runs["evomerge"]
    assert first.id == second.id
    assert max(first.rows) < min(second.rows) == 16
    assert len(runs["cognate"]) == 1

    assert tell(source, again=True) == 18
    again = offline_runs(source.place)
    assert {key: len(found) for key, found in again.items()} == {"": 1, "cognate": 1, "evomerge": 2}
    assert [sorted(run.rows) for run in again["evomerge"]] == [sorted(run.rows) for run in runs["evomerge"]]


@pytest.mark.slow
def test_a_full_disk_is_said_and_loses_nothing(
    home: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W&B itself says nothing when records do not fit."""
    monkeypatch.setenv("AGENTFORGE_WANDB_DIR", str(small_disk))
    curve = [measured("evomerge", "evomerge/best_fitness", i / 3, i) for i in range(3000)]
    source = pipeline_run(home, [state("", RUNNING), *curve, state("", SUCCEEDED)])
    command = [sys.executable, "-m", "agentforge.track", "wandb", "r1"]
    environment = os.environ | {"AGENTFORGE_HOME": str(home), "AGENTFORGE_WANDB": "offline"}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert told.returncode == DiskFull.exit_code, told.stderr
    assert "WANDB_FILE_TORN" in told.stderr or "DISK_FULL" in told.stderr
    assert Place(source, KIND).load().told == 0
    assert Place(source, KIND).load().unsafe

    monkeypatch.delenv("AGENTFORGE_WANDB_DIR")
    assert tell(source) == 3002
    assert len(offline_runs(source.place)["evomerge"][0].rows) == 3000


def test_no_space_even_for_the_position(home: Path, small_disk: Path) -> None:
    source = pipeline_run(home, two_phases())
    (home / "track").symlink_to(small_disk)
    fill_disk(small_disk)
    with pytest.raises(DiskFull):
        tell(source)


def test_one_at_a_time_and_only_what_is_there(home: Path) -> None:
    source = pipeline_run(home, two_phases())
    with Place(source, KIND).alone(), pytest.raises(FailedPrecondition) as refused:
        tell(source)
    assert refused.value.reason == "ALREADY_TRACKED"
    with pytest.raises(NotFound):
        tell(Source(home, "nobody"))
    assert not (home / "track" / "nobody").exists()
    (source.place / KIND / "position.json").write_text("[1]")
    with pytest.raises(DataLoss):
        tell(source)


def test_names_that_w_and_b_would_refuse(home: Path) -> None:
    strange = [
        state("evomerge", RUNNING),
        made("evomerge", "a" * 60),
        measured("evomerge", "evomerge/ä b\n<b>", 1.0),
    ]
    source = pipeline_run(home, [state("", RUNNING), *strange, state("evomerge", SUCCEEDED), state("", SUCCEEDED)])
    assert tell(source) == 6
    (run,) = offline_runs(source.place)["evomerge"]
    assert run.rows[4]["evomerge/ä b\n<b>"] == 1.0


def _clock(row: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in row.items() if key.startswith("_")}


def test_the_position_is_plain(home: Path) -> None:
    source = pipeline_run(home, two_phases())
    tell(source)
    assert json.loads((source.place / KIND / "position.json").read_text()) == {"told": 15, "unsafe": []}
