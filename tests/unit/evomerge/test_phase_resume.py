"""Stopped, killed or with a damaged checkpoint, it goes on and ends with the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentforge.kit.checkpoints import Checkpoints
from agentforge.kit.context import RunStopped
from agentforge.phase2_evomerge.evolution import Evolution
from tests.attempts import Killed, Record
from tests.unit.evomerge.phases import Merging, ask, at_generation, given

GENERATIONS = 2
CROSSING = {"selection": "tournament", "crossover": 0.7, "mutation": {"adaptive": True}}
ALGORITHMS: dict[str, dict[str, Any]] = {
    "cma_es": {"algorithm": "cma_es", "generations": GENERATIONS},
    "genetic": {"algorithm": "genetic", "genetic": CROSSING, "generations": GENERATIONS},
    "nsga2": {"algorithm": "nsga2", "generations": GENERATIONS},
}


@pytest.fixture(scope="module")
def calm(volume: Path) -> dict[str, Merging]:
    return {name: ask(volume, f"calm-{name}", **changes).go() for name, changes in ALGORITHMS.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", ALGORITHMS)
def test_same_seed_same_bytes_another_seed_others(volume: Path, calm: dict[str, Merging], name: str) -> None:
    assert ask(volume, f"twin-{name}", **ALGORITHMS[name]).go().digest == calm[name].digest
    other = ask(volume, f"other-{name}", seed=43, **ALGORITHMS[name]).go()
    assert other.weights != calm[name].weights


@pytest.mark.parametrize("name", ALGORITHMS)
def test_killed_in_every_generation(volume: Path, calm: dict[str, Merging], name: str) -> None:
    run = ask(volume, f"killed-{name}", **ALGORITHMS[name])
    for generation in range(GENERATIONS + 1):
        with pytest.raises(Killed):
            run.go(at_generation(generation, Killed()))
        assert Checkpoints(run.run.checkpoints_path).newest_step() == (generation - 1 if generation else None)
        run = run.again()
    with pytest.raises(Killed):
        run.go(publishing)
    assert not run.output.exists()
    run = run.again().go()
    assert not run.values("evomerge/best_fitness"), "nothing evolves again"
    assert run.digest == calm[name].digest
    assert run.values("evomerge/champion/fitness") == calm[name].values("evomerge/champion/fitness")


def publishing(name: str, payload: Record) -> None:
    if payload.get("name") == "evomerge/improvement":
        raise Killed


def test_stopped_it_goes_on_in_the_next_generation(volume: Path, calm: dict[str, Merging]) -> None:
    name = "genetic"
    run = ask(volume, f"stopped-{name}", **ALGORITHMS[name])

    def stop(kind: str, payload: Record) -> None:
        if kind == "sample" and payload["data"]["generation"] == 1:
            run.stop.terminate()

    with pytest.raises(RunStopped):
        run.go(stop)
    assert Checkpoints(run.run.checkpoints_path).newest_step() == 1
    again = run.again().go()
    assert "goes on from generation 1 of 2" in again.logs()
    assert again.values("evomerge/generation") == [2]
    assert again.digest == calm[name].digest


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_damaged_checkpoint_is_passed_over(volume: Path, calm: dict[str, Merging], name: str) -> None:
    run = ask(volume, f"damaged-{name}", **ALGORITHMS[name])
    with pytest.raises(Killed):
        run.go(at_generation(GENERATIONS, Killed()))
    last = Checkpoints(run.run.checkpoints_path).latest()
    assert last is not None
    assert last.step == GENERATIONS - 1
    weights = last.path / "champion.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    again = run.again().go()
    assert "the one before it is used" in again.logs()
    assert f"goes on from generation {GENERATIONS - 2}" in again.logs()
    assert again.digest == calm[name].digest


@pytest.mark.slow
def test_equals_keep_their_order_over_a_kill(volume: Path) -> None:
    """Children of one model three times are equal, so that their order decides who comes first; g0.10 must not
    come before g0.2."""
    one = given(volume, "both")[0]
    refs = (*given(volume, trunk="trunk"), one, one, one)
    changes: dict[str, Any] = {"algorithm": "genetic", "population": 12, "generations": 2}
    whole = ask(volume, "equals", refs, **changes).go()
    run = ask(volume, "equals-killed", refs, **changes)
    for generation in (1, 2):
        with pytest.raises(Killed):
            run.go(at_generation(generation, Killed()))
        run = run.again()
    run.go()
    assert run.people() == whole.people()
    assert run.digest == whole.digest


def test_what_is_resumed_is_scored_as_it_was(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores are not stored: the weights are, and have the same ones."""
    seen: dict[str, dict[str, float]] = {}
    original = Evolution._load

    def load(self: Evolution, directory: Path) -> None:
        original(self, directory)
        seen["resumed"] = {each.name: each.fitness for each in self.population}

    monkeypatch.setattr(Evolution, "_load", load)
    run = ask(volume, "scored", algorithm="genetic", generations=2)
    with pytest.raises(Killed):
        run.go(at_generation(2, Killed()))
    people = run.people()
    run.again().go()
    assert seen["resumed"] == {name: people[name]["fitness"] for name in people if name.startswith("g1.")}
