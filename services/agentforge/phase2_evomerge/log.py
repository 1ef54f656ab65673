"""The log of an evolution: what every generation was, who comes from whom, and which combinations were used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from agentforge.phase2_evomerge.child import Scored, combinations_of
from agentforge.phase2_evomerge.operators.combination import COMBINATIONS


class EvolutionLog:
    def __init__(self) -> None:
        self.generations: list[dict[str, Any]] = []
        self.people: dict[str, dict[str, Any]] = {}  # every child's origin and fitness, by name
        self.usage: Counter[str] = Counter()

    def add(self, generation: int, population: Sequence[Scored], champion: Scored, diversity: float) -> None:
        finite = [each.fitness for each in population if not each.score.terms.flaw]
        self.generations.append(
            {
                "generation": generation,
                "best": champion.name,
                "best_fitness": _number(champion),
                "average_fitness": sum(finite) / len(finite) if finite else None,
                "diversity": diversity,
                "perplexity": None if champion.score.terms.flaw else champion.score.terms.perplexity,
                "accuracy": champion.score.terms.accuracy,
            }
        )
        self.usage.update(combinations_of(each.child for each in population))
        for each in population:
            self.people[each.name] = {**each.child.origin, "fitness": _number(each)}

    def tree(self, name: str) -> dict[str, dict[str, Any]]:
        """The origins of one, of its parents, and so on to the models that were given."""
        found: dict[str, dict[str, Any]] = {}
        waiting = [name]
        while waiting:
            each = waiting.pop()
            if each in self.people and each not in found:
                found[each] = self.people[each]
                waiting += self.people[each]["parents"]
        return dict(sorted(found.items()))

    def summary(self, champion: str) -> dict[str, Any]:
        """For the model's directory, under the seeds' names."""
        return {
            "evolution_log": {
                "generations": self.generations[-1]["generation"],
                "best_fitness_per_gen": [each["best_fitness"] for each in self.generations],
                "diversity_per_gen": [each["diversity"] for each in self.generations],
                "per_gen": self.generations,
            },
            "merge_combo_usage": {each.name: self.usage[each.name] for each in COMBINATIONS},
            "family_tree": self.tree(champion),
        }

    def record(self) -> dict[str, Any]:
        return {"generations": self.generations, "people": self.people, "usage": dict(sorted(self.usage.items()))}

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> EvolutionLog:
        log = cls()
        log.generations, log.people = list(record["generations"]), dict(record["people"])
        log.usage = Counter(record["usage"])
        return log


def _number(one: Scored) -> float | None:
    """JSON has no infinity: a flawed model has no fitness."""
    return None if one.score.terms.flaw else one.fitness
