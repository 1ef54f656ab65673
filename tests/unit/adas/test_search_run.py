"""The whole search on pico models: the same bytes after a kill, by several ranks, and by each algorithm."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from agentforge.kit.errors import DataLoss, FailedPrecondition
from agentforge.phase7_adas.search.finishing import AS_IT_CAME
from tests.unit.adas.searching import Context, Killed, Start, config, llama, taught, ternary_titan


def go(directory: Path, make: Any = ternary_titan, kill_at: int | None = None, **told: Any) -> tuple[Any, Any]:
    from agentforge.phase7_adas.search.search import search

    context = Context(directory, kill_at)
    return search(context, Start(make()), config(**told)), context


def same(one: Any, other: Any) -> bool:
    from agentforge.train.state import own_tensors

    mine, theirs = own_tensors(one.model), own_tensors(other.model)
    weights = mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)
    return weights and json.dumps(one.record) == json.dumps(other.record)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    return go(tmp_path_factory.mktemp("whole"))


def test_it_tries_the_unsearched_and_others_once_and_tells_the_front(whole: tuple[Any, Any]) -> None:
    found, context = whole
    trials = found.record["trials"]
    assert len(trials) == 4
    assert trials[0]["cost"] == found.record["input"]["cost"]
    assert len({json.dumps(one["genes"], sort_keys=True) for one in trials}) == 4
    assert len({one["seed"] for one in trials}) == 4
    assert found.chosen.number == found.record["chosen"] in found.record["front"]
    assert [len(one["front"]) for one in context.samples][-1] == len(found.record["front"])
    assert found.latencies.keys() == set(found.record["front"])
    assert all(one.ms > 0 and one.repeats == 3 for one in found.latencies.values())
    confirmed = found.record["confirmed"]
    assert len(confirmed["lost"]) == len(set(found.record["front"]) - {0})
    assert confirmed["items"] == 22  # two of four sums are left
    assert found.record["lost"].keys() == {"accuracy", "error", "nats"}
    names = {one.name for one in context.measured}
    assert {"adas/search/hypervolume", "adas/search/chosen/bytes", "adas/search/chosen/latency"} <= names
    json.dumps(found.record, allow_nan=False)


def test_the_bar_is_the_input_or_the_unsearched_healed_alike() -> None:
    from agentforge.phase7_adas.search.front import Reference
    from agentforge.phase7_adas.search.search import _bar
    from tests.unit.adas.test_search_front import trial

    came, healed = trial(9, 0.3, 100, 100), trial(0, 0.5, 100, 100)
    reference = Reference(came.worth, came.cost)
    assert _bar(reference, healed, config()) == reference
    other = config(budgets={"against": "unsearched"})
    assert _bar(reference, healed, other).worth == healed.worth
    assert _bar(reference, trial(0, 0.0, 100, 100, nats=-1.0), other) == reference


def test_it_is_judged_item_by_item_on_the_test_split(whole: tuple[Any, Any]) -> None:
    from dataclasses import replace

    from agentforge.phase7_adas.search.judging import against_input

    found, _ = whole
    light = {"parameters", "bytes", "flops", "latency"}
    less = [
        replace(one, value=0.5) if one.name.rpartition("/")[2] in light and "chosen" in one.name else one
        for one in found.measured
    ]
    smaller = replace(found, measured=less)
    same = [True, False] * 20
    lost, dominates = against_input(smaller, same, same)
    assert (lost.value, lost.spread, lost.n, dominates.value) == (0, 0, 40, 1)
    worse, no = against_input(smaller, same, [False] * 40)
    assert (worse.value, no.value) == (0.5, 0)
    dear = [replace(one, value=1.0) if one.name.endswith("chosen/bytes") else one for one in less]
    assert against_input(replace(found, measured=dear), same, same)[-1].value == 0


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Amid the candidates."""
    place = tmp_path_factory.mktemp("killed") / "checkpoints"
    with pytest.raises(Killed):
        go(place, kill_at=2)
    return place


def test_killed_amid_the_candidates_and_resumed_it_ends_with_the_same_bytes(
    tmp_path: Path, whole: Any, killed: Path
) -> None:
    found, context = go(Path(shutil.copytree(killed, tmp_path / "copy")))
    assert "goes on after 2 candidates" in context.logged
    assert same(found, whole[0])


@pytest.mark.parametrize(("saves", "verdicts"), [(6, 1), (8, 2)])
def test_killed_amid_finalists_or_the_last_training_it_goes_on_there(
    tmp_path: Path, whole: Any, saves: int, verdicts: int
) -> None:
    """Four candidates, their latencies, a verdict of each finalist; then the training's steps."""
    with pytest.raises(Killed):
        go(tmp_path, kill_at=saves)
    latest = Context(tmp_path).latest()
    assert len(json.loads((latest.path / "search.json").read_text())["verdicts"]) == verdicts
    assert (latest.path / "final").is_dir() == (saves == 8)
    found, context = go(tmp_path)
    assert "goes on after 4 candidates" in context.logged
    assert same(found, whole[0])


def test_where_all_candidates_lose_too_much_the_input_stays_as_it_came(tmp_path: Path) -> None:
    strict = {"accuracy_lost": 0.0, "nats_lost": 0.0}
    rates = {"steps": 2, "lr": 0.05, "muon_lr": 0.2, "batch": 4, "warmup": 0, "threads": 1}  # harm what was learned
    told: dict[str, Any] = {"healing": rates, "final": rates, "trials": 2}
    found, context = go(tmp_path / "free", taught, **told, budgets=strict)
    assert found.record["weights"] == AS_IT_CAME
    assert found.record["lost"] == {"accuracy": 0, "error": 0, "nats": 0}
    assert any("stays as it came" in line for line in context.logged)
    assert torch.equal(found.model.lm_head.weight, taught().lm_head.weight)
    with pytest.raises(FailedPrecondition, match=r"nats_lost .* where 0 is allowed") as failed:
        go(tmp_path / "smaller", taught, **told, budgets={**strict, "parameters": 0.99})
    assert failed.value.reason == "BUDGET_NOT_REACHED"
    assert failed.value.field == "search.budgets.nats_lost"


def test_a_checkpoint_of_another_search_is_refused(tmp_path: Path, killed: Path) -> None:
    with pytest.raises(DataLoss, match="this installation asks for"):
        go(Path(shutil.copytree(killed, tmp_path / "copy")), algorithm="random", space={"mlp": [0.5]})


def test_a_plain_llama_by_tpe_with_zeros_and_bits(tmp_path: Path) -> None:
    space = {"layers": 1.0, "mlp": [0.5], "bits": [8], "sparsity": ["2:4"]}
    found, _ = go(tmp_path, llama, algorithm="tpe", trials=4, batch=2, population=2, space=space)
    genes = found.chosen.genes
    weight = found.model.get_parameter("model.layers.0.self_attn.q_proj.weight")
    assert ((weight.view(-1, 4) != 0).sum(-1) <= 2).all() == (genes["sparsity"] == "2:4")
    assert bool(found.bits) == any(value for name, value in genes.items() if name.startswith("bits."))
    assert set(found.latencies) == set(found.record["front"])


def test_who_is_asked_for_hangs_on_what_was_told_alone() -> None:
    """Both samplers, told by another object than asked: and all of a small space is found, each once."""
    from agentforge.phase7_adas.search.search import asker_of
    from agentforge.phase7_adas.search.space import Space
    from agentforge.shrink.asking import key
    from tests.unit.adas.test_search_front import trial

    space = Space({"a": (3, 2, 1), "b": (2, 1)}, {})
    for algorithm in ("nsga2", "tpe"):
        asked = []
        for _ in range(2):
            asker, known, rounds = asker_of(space, config(algorithm=algorithm), 3), dict[str, Any](), []
            for batch in range(4):
                fresh = asker.ask(batch, 2, known)
                known |= {key(g): trial(0, 0.1 * int(g["a"]), int(g["a"]), int(g["b"])) for g in fresh}
                asker.tell({name: one.objectives for name, one in known.items()})
                rounds.append(fresh)
            asked.append(rounds)
        assert asked[0] == asked[1]
        assert asked[0][0][0] == {"a": 3, "b": 2}
        assert len(known) == sum(map(len, asked[0]))


def _rank(rank: int, meeting: Path, home: Path) -> None:
    from agentforge.kit import ranks

    torch.set_num_threads(1)
    ranks.join(ranks.Ranks(rank, 2, rank, 2), meeting)
    found, _ = go(home)
    (home.parent / f"{rank}.json").write_text(json.dumps(found.record))


@pytest.mark.slow
def test_two_ranks_find_what_one_finds(tmp_path: Path, whole: Any) -> None:
    """But for the last training, which they share."""
    spawn = multiprocessing.get_context("spawn")
    ranks = [spawn.Process(target=_rank, args=(rank, tmp_path / "meeting", tmp_path / "home")) for rank in range(2)]
    for one in ranks:
        one.start()
    for one in ranks:
        one.join(120)
        assert one.exitcode == 0
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first == second
    of_last = {"weights", "lost"}
    assert {name: first[name] for name in first.keys() - of_last} == {
        name: whole[0].record[name] for name in whole[0].record.keys() - of_last
    }
