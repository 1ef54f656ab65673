"""The second opinion, and the choice under budgets: what fresh items say, with a margin."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from agentforge.data.items import Item
from agentforge.kit.config import validate_config
from agentforge.kit.errors import FailedPrecondition, InvalidInput
from agentforge.phase7_adas.configs.search import BudgetsConfig, SearchConfig
from tests.unit.adas.test_search_front import input_, trial

TRIALS = ((0, 0.5, 100, 100), (1, 0.49, 50, 60), (2, 0.3, 10, 10), (3, 0.48, 49, 40))


def loss(accuracy: float, error: float = 0.0) -> Any:
    from agentforge.phase7_adas.search.confirm import Loss

    return Loss(accuracy, error, 0.0)


def pick(
    lost: Sequence[float], budgets: BudgetsConfig, error: float = 0.0, slow: Any = None
) -> tuple[int, list[str]]:
    """Whose number is chosen, and what of the budgets it misses."""
    from agentforge.phase7_adas.search.choosing import Bar, choose

    trials = [trial(*one) for one in TRIALS]
    bar = Bar(0.5, input_().cost, budgets, slow or {})
    chosen, missed = choose(trials, {number: loss(one, error) for number, one in enumerate(lost)}, bar)
    return chosen.number, list(missed)


def test_the_smallest_that_keeps_the_budgets_is_chosen() -> None:
    from agentforge.phase7_adas.search.front import Latency

    lost = [0.0, 0.01, 0.2, 0.02]
    assert pick(lost, BudgetsConfig(accuracy_lost=0.0)) == (0, [])
    assert pick(lost, BudgetsConfig(accuracy_lost=0.05)) == (3, [])
    assert pick(lost, BudgetsConfig(accuracy_lost=1.0)) == (2, [])
    slow = {number: Latency(1.0, ratio, 0.0, 3, "torch") for number, ratio in enumerate((1.0, 0.6, 0.2, 0.9))}
    assert pick(lost, BudgetsConfig(accuracy_lost=0.05, latency=0.7), slow=slow) == (1, [])


def test_what_may_be_luck_does_not_keep_them() -> None:
    """No loss at all is not enough where the pairs leave room for one."""
    lost = [-0.05, -0.03, 0.2, 0.0]
    assert pick(lost, BudgetsConfig(), error=0.0) == (3, [])
    assert pick(lost, BudgetsConfig(), error=0.02) == (1, [])
    assert pick(lost, BudgetsConfig(margin=2.0), error=0.02) == (0, [])
    assert pick(lost, BudgetsConfig(margin=0.0), error=0.02) == (3, [])
    assert pick(lost, BudgetsConfig(margin=3.0), error=0.02) == (0, ["accuracy_lost"])


def test_finalists_are_the_smallest_that_seem_to_keep_them_then_the_nearest() -> None:
    from agentforge.phase7_adas.search.choosing import finalists

    some = [trial(*one) for one in TRIALS]
    for one in some[1:]:
        one.genes["layers"] = one.number

    def numbers(**told: Any) -> list[int]:
        config = validate_config(SearchConfig, told)
        return [one.number for one in finalists(some, input_(), config, {})]

    assert numbers() == [1, 3, 2]
    assert numbers(finalists=2, budgets={"accuracy_lost": 0.05}) == [3, 1]
    alone = [some[0]]
    assert finalists(alone, input_(), validate_config(SearchConfig, {}), {}) == alone
    with pytest.raises(FailedPrecondition, match="diverged"):
        finalists([trial(0, 0.0, 9, 9, nats=-1.0)], input_(), validate_config(SearchConfig, {}), {})


def items(family: str, count: int, first: int = 0) -> list[Item]:
    return [Item(family, f"{family} {number}", "1", 1) for number in range(first, first + count)]


def test_the_error_of_a_loss_is_what_draws_of_items_scatter_by() -> None:
    """Families of unlike sizes count alike; answers that are right in both, or in neither, are no noise."""
    from agentforge.phase7_adas.search.confirm import Verdict, loss_between

    dice, asked = random.Random(5), [*items("a", 300), *items("b", 60)]

    def drawn() -> Any:
        before = ["1" if dice.random() < 0.6 else "0" for _ in asked]
        after = ["0" if one == "1" and dice.random() < 0.2 else one for one in before]
        return loss_between(Verdict("".join(before), 1.0), Verdict("".join(after), 1.25), asked)

    found = [drawn() for _ in range(400)]
    means = [one.accuracy for one in found]
    mean = sum(means) / len(means)
    scatter = (sum((one - mean) ** 2 for one in means) / (len(means) - 1)) ** 0.5
    assert mean == pytest.approx(0.12, abs=0.005)
    assert sum(one.error for one in found) / len(found) == pytest.approx(scatter, rel=0.1)
    assert found[0].nats == 0.25


def test_fresh_items_are_no_form_of_those_that_were_seen() -> None:
    from agentforge.shrink.second import parted

    twin = Item("a", "another form of 1", "1", 1, key="a 1")
    first, fresh = parted([*items("a", 8), twin, *items("b", 3)], 2)
    assert [item.prompt for item in first] == ["a 0", "a 1", "b 0"]
    assert [item.prompt for item in fresh] == ["a 2", "a 3", "a 4", "a 5", "a 6", "a 7", "b 1", "b 2"]
    with pytest.raises(InvalidInput, match="b has 2 items") as found:
        parted([*items("a", 8), *items("b", 2)], 2)
    assert found.value.field == "data.families.b"


def test_a_verdict_crosses_the_wire_whole() -> None:
    from agentforge.phase7_adas.search.confirm import Verdict

    verdict = Verdict("0110", 0.1)
    assert Verdict.of(verdict.numbers) == verdict
