"""What the experiment claims follows from its raw numbers."""

from __future__ import annotations

import copy
from typing import Any

from agentforge.kit.evidence import claims
from agentforge.phase6_baking.experiments import styles

_NUMBERS = {
    "kl_after": 0.01, "kl_removed": 0.99, "in_style": 1.0, "prompted": 1.0, "other_prefix": 1.0,
    "off_task_ce": 0.005, "drift_kl": 0.001, "ce/copy": 0.01, "ce/recall": 0.4,
}  # fmt: skip


def results() -> dict[str, Any]:
    removed = {"0.25": 0.4, "0.5": 0.8, "0.75": 0.95, "1": 0.99}
    ways = {way: dict(_NUMBERS) for way in styles.COMPARED}
    ways |= {f"strength {each}": {**_NUMBERS, "kl_removed": removed[each]} for each in styles.STRENGTHS}
    sequence = {
        way: {"first": 0.98, "second": 0.97} for way in ("other questions", "other questions, the first anchored")
    }
    curve = [{"prompted": 0.3, "bare": 0.1}]
    one = {
        "start": dict(_NUMBERS), "ways": ways, "sequence": sequence, "pursuit": {"start": curve, "baked": curve},
    }  # fmt: skip
    keys = [f"{kind}/{seed}" for kind in styles.KINDS for seed in styles.SEEDS]
    return {key: copy.deepcopy(one) for key in keys}


def verdicts(raw: dict[str, Any]) -> dict[str, str | None]:
    return {row.claim: row.verdict for row in claims(styles.rows(raw)) if row.claim.startswith("plain")}


def test_all_claims_are_reached_where_the_numbers_say_so() -> None:
    found = verdicts(results())
    assert len(found) == 6
    assert set(found.values()) == {"reached"}


def test_each_claim_can_fail() -> None:
    raw = results()
    for one in raw.values():
        one["ways"]["strength 0.5"]["kl_removed"] = 0.3
        one["ways"]["strength 1"] |= {"kl_removed": 0.89, "off_task_ce": 0.011}
        one["start"]["prompted"] = 0.5
        one["sequence"]["other questions, the first anchored"] = {"first": 0.5, "second": 0.5}
    assert set(verdicts(raw).values()) == {"not reached"}


def test_a_seed_that_was_never_half_taught_is_left_out_of_pursuit() -> None:
    raw = results()
    raw["plain/42"]["pursuit"] = None
    row = next(row for row in styles.rows(raw) if "prompt pursuit" in row.claim)
    assert row.n == len(styles.SEEDS) - 1
    assert [trial.key for trial in styles.trials()] == list(raw)
