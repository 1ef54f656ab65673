"""The whole phase: what it trains, measures, keeps and tells."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from agentforge.data.splits import Split
from agentforge.models.thoughts.saving import load_thinker
from agentforge.models.thoughts.thinker import Thinker
from agentforge.phase3_quietstar.evaluation import THRESHOLDS, token_nats
from agentforge.phase3_quietstar.judging import items_of
from agentforge.phase3_quietstar.phase import plan
from agentforge.phase3_quietstar.start import Start, load_start
from agentforge.train.loading import LoadedModel, load_model
from tests.attempts import Attempt, Record, given_model
from tests.unit.quietstar.phases import FAMILIES, STAGES, ask

BOTH = pytest.mark.parametrize("case", ["titan", "llama"])
WAYS = ("input", "thoughtless", "thinking", "thinking_off", "another")
SEEDS = (
    "mixing_weight_alpha", "thought_length_avg", "thought_coherence_avg", "thought_coherence_min",
    "reasoning_entropy", "injection_points", "thoughts_filtered",
)  # fmt: skip


@pytest.fixture(scope="module")
def runs(volume: Path, calm: Attempt) -> dict[str, Attempt]:
    return {"titan": ask(volume, "whole", "titan", keep="thinking").go(), "llama": calm}


def opened(run: Attempt) -> tuple[LoadedModel, Thinker | None]:
    loaded = load_model(run.output)
    return loaded, load_thinker(loaded.directory, loaded.model, loaded.tokenizer)


def start_of(run: Attempt) -> Start:
    return load_start(run.context().inputs.one("model"), run.config)


def record(run: Attempt) -> Record:
    """What the output says of its making."""
    if "quietstar.json" in run.files:
        found: Record = json.loads(run.files["quietstar.json"])["record"]
    else:
        found = json.loads(run.files["training.json"])["quietstar"]
    return found


def best(decided: Record) -> str:
    """Most right answers; of equals, the least loss."""
    who = ("input", "thoughtless", "thinking")
    return max(who, key=lambda name: (decided[name]["accuracy"], -decided[name]["loss"]))


@BOTH
def test_what_comes_out_thinks(runs: dict[str, Attempt], case: str) -> None:
    run = runs[case]
    loaded, thinker = opened(run)
    assert loaded.model.config.model_type == {"titan": "agentforge_titan"}.get(case, case)
    assert thinker is not None
    assert (thinker.habits.ahead, thinker.habits.sampling.thoughts, thinker.habits.sampling.length) == (2, 2, 12)
    assert all(tensor.isfinite().all() for tensor in thinker.parameters())
    rows = record(run)["selection"]["thresholds"]
    assert [row["threshold"] for row in rows] == [None, *THRESHOLDS]
    assert thinker.habits.threshold == min(rows, key=lambda row: float(row["loss"]))["threshold"]
    assert record(run)["config"]["keep"] == "thinking"
    assert "agentforge chat model --show-thoughts" in run.files["README.md"].decode()


@BOTH
def test_the_numbers_have_their_names(runs: dict[str, Attempt], case: str) -> None:
    run = runs[case]
    wanted = {f"quietstar/{who}/{what}" for who in (*WAYS, "random", "nothing") for what in ("loss", "hard_loss")}
    wanted |= {f"quietstar/{who}/accuracy/{family}" for who in WAYS for family in FAMILIES}
    wanted |= {f"quietstar/predictions/{what}" for what in ("divergence", "changed", "entropy/off", "entropy/on")}
    wanted |= {f"quietstar/{name}" for name in SEEDS}
    wanted |= {f"quietstar/training/{stage}/loss" for stage in STAGES}
    assert not wanted - run.names()
    told_once = [name for name in wanted if name.removeprefix("quietstar/") not in SEEDS]
    assert {name: len(run.values(name)) for name in told_once} == dict.fromkeys(told_once, 1)
    kept = {name.removeprefix("quietstar/"): run.values(name)[0] for name in wanted if name in told_once}
    assert record(run)["test"].items() <= kept.items()
    assert all(0 < alpha < 1 for alpha in run.values("quietstar/mixing_weight_alpha"))
    assert all(1 <= length <= 12 for length in run.values("quietstar/thought_length_avg"))
    assert set(run.values("quietstar/thoughts_filtered")) == {0.0}, "there was no filter"


@BOTH
def test_the_numbers_are_those_of_the_model_that_is_given_on(
    runs: dict[str, Attempt], volume: Path, case: str
) -> None:
    run = runs[case]
    start = start_of(run)
    _, thinker = opened(run)
    assert thinker is not None
    items = items_of(start, Split.TEST, run.config.evaluation.test_items)
    for how, name in (("off", "thinking_off"), ("on", "thinking")):
        if how == "on" and thinker.habits.threshold is None:
            continue  # measured where it thinks at all
        nats = torch.cat(token_nats(thinker, start.codec, items, how))
        assert float(nats.mean()) == pytest.approx(run.values(f"quietstar/{name}/loss")[0], rel=1e-5)
    plain = torch.cat(token_nats(start.thinker(start.model), start.codec, items, "off"))
    assert float(plain.mean()) == pytest.approx(run.values("quietstar/input/loss")[0], rel=1e-5)
    hardest = plain.sort(descending=True).values[: max(1, round(0.1 * len(plain)))]
    assert float(hardest.mean()) == pytest.approx(run.values("quietstar/input/hard_loss")[0], rel=1e-5)


@BOTH
def test_thoughts_can_be_looked_at(runs: dict[str, Attempt], case: str) -> None:
    told = runs[case].samples("quietstar/thoughts")
    assert [sample["step"] for sample in told] == [0, 2], "every second step, and the last"
    for sample in told:
        assert sample["text"].startswith("Q: ")
        assert len(sample["thoughts"]) == 2
        assert all(0 <= each["coherence"] <= 1 and each["text"] for each in sample["thoughts"])
        assert not any("ofthought|>" in each["text"] for each in sample["thoughts"])
    examples = json.loads(runs[case].files["quietstar_thought_examples.json"])
    assert examples == runs[case].samples("quietstar/example")
    _, thinker = opened(runs[case])
    assert thinker is not None
    assert len(examples) == (0 if thinker.habits.threshold is None else 8)
    for had in (had for each in examples for had in each["thoughts"]):
        assert len(had["texts"]) == 2
    for each in examples:
        assert each["right"] in "".join(token["text"] for token in each["tokens"])
        assert all(math.isfinite(token[way]) for token in each["tokens"] for way in ("without", "with"))
        if not each["thoughts"]:
            assert all(token["without"] == pytest.approx(token["with"], abs=1e-4) for token in each["tokens"])


def test_the_best_is_kept_by_the_selection_split(volume: Path) -> None:
    """Both trainings spoil the model: it is given on as it came."""
    wild = {"lr": 300.0, "muon_lr": 300.0, "clip": 1e6, "schedule": "constant"}
    run = ask(volume, "spoiled", "llama", worked=wild, thinking=wild).go()
    decided = record(run)["selection"]
    assert decided["kept"] == "input" == best(decided)
    assert opened(run)[1] is None
    assert not {"quietstar.json", "mixing_head.safetensors"} & run.files.keys()
    assert json.loads(run.files["quietstar_thought_examples.json"]) == []
    before, after = load_model(volume / "mine/llama").model.state_dict(), opened(run)[0].model.state_dict()
    marks = torch.tensor([12, 13])  # rows that nothing was trained with begin anew
    for name, tensor in before.items():
        for each in (tensor, after[name]):
            if len(each) > 13 and name.endswith(("embed_tokens.weight", "lm_head.weight")):
                each[marks] = 0
        assert torch.equal(tensor, after[name])
    assert run.values("quietstar/input/loss")[0] < run.values("quietstar/thinking/loss")[0]


@pytest.mark.slow
def test_a_thinker_goes_on_with_its_marks_and_head(runs: dict[str, Attempt], volume: Path) -> None:
    first = runs["llama"]
    _, before = opened(first)
    assert before is not None
    shutil.copytree(first.output, volume / "mine/thinker")
    again = ask(volume, "again", "thinker", keep="thinking", first_alpha=0.9)
    start = start_of(again)
    begun = start.thinker(start.model)
    assert begun.marks == before.marks
    for name, tensor in before.state_dict().items():
        assert torch.equal(begun.state_dict()[name], tensor), name
    again.go()
    assert again.values("quietstar/mixing_weight_alpha")[0] != pytest.approx(0.9, abs=1e-3)
    after = opened(again)[1]
    assert after is not None
    assert not torch.equal(after.head.outer.weight, before.head.outer.weight)


def test_as_much_compute_is_more_steps(volume: Path) -> None:
    run = ask(volume, "compute", "llama", thoughtless="compute", injection={"budget": 1.0, "interval": 1})
    start = start_of(run)
    assert start.price > 2
    assert plan(start) == {
        "thoughtless_worked": 3, "thoughtless": round(3 * start.price), "worked": 3, "thinking": 3,
    }  # fmt: skip


def test_both_learn_from_the_same_items(volume: Path) -> None:
    """With the same digests of questions and answers; what is a thought in one is text in the other."""
    run = ask(volume, "items", "llama")
    start = start_of(run)
    shown, thought = (next(start.worked(thoughts=thoughts)) for thoughts in (False, True))
    assert shown.source.tolist() == thought.source.tolist()
    marks = start.marks
    assert not (shown.input_ids == marks.start).any()
    assert (thought.input_ids == marks.start).sum() == (thought.input_ids == marks.end).sum() > 0
    assert (thought.labels != marks.start).all(), "that a thought begins is not learned"


def test_without_worked_families_there_are_two_stages_and_the_better_is_kept(volume: Path) -> None:
    run = ask(volume, "unworked", "llama", data={"worked": []}).go()
    trained = {name.split("/")[2] for name in run.names() if name.startswith("quietstar/training/")}
    assert trained == {"thoughtless", "thinking"}
    assert run.samples("quietstar/thoughts")
    decided = record(run)["selection"]
    assert decided.keys() == {"input", "thoughtless", "thinking", "thresholds", "kept"}
    assert decided["kept"] == best(decided) != "input"
    assert (opened(run)[1] is None) == (decided["kept"] != "thinking")


@BOTH
def test_the_input_is_not_touched(runs: dict[str, Attempt], volume: Path, case: str) -> None:
    assert [given_model(volume, case)] == runs[case].refs, "the digest from before"


OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "one": (
        "titan",
        {
            "thinking": {"dtype": "bfloat16"},
            "worked": {"dtype": "bfloat16"},
            "sampling": {"straight_through": True},
        },
    ),
    "another": (
        "llama",
        {
            "thinking": {"accumulation": 2},
            "injection": {"loss": 1.0, "dispersion": 1.0},
            "loss": {"entropy_floor": 9.0, "divergence_ceiling": 0.0, "reinforce": 0.0},
            "coherence": {"filter": True},
            "sampling": {"thoughts": 1},
            "data": {"worked": []},
        },
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_other_ways_of_training(volume: Path, name: str) -> None:
    case, changes = OTHERS[name]
    run = ask(volume, f"{name}-way", case, keep="thinking", **changes).go()
    assert opened(run)[1] is not None
