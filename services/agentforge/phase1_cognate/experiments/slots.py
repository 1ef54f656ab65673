"""Facts scattered in noise, and fewer slots than tokens: who decides well what is forgotten?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, at_most, clearly_above, stated
from agentforge.phase1_cognate.experiments.facts import CHANCE, KINDS, SEEDS, VOCABULARY, Rows

_STEPS, _BATCH, _LOOK_EVERY = 240, 64, 20
_FACTS, _NOISE = 4, 88
_SLOTS, _CONTEXT = 16, 2 * _FACTS + _NOISE
# Two layers with a window of 8 reach 14 tokens back: fewer than the slots, so attention sees nothing that fifo
# lost. The context is whole chunks and the questions are one, so every question reads the same entries.
_SHAPE: dict[str, Any] = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 160,
    "sliding_window": 8, "persistent_tokens": 4, "act": False, "recursion": False,
    "memory_layers": [1], "memory_slots": _SLOTS, "memory_chunk": 8, "memory_init_slots": 8,
}  # fmt: skip
_RULES = ("surprise_novelty", "fifo", "random")


def trials() -> list[Trial]:
    return [Trial(f"{rule}/{seed}", {"rule": rule, "seed": seed}) for rule in _RULES for seed in SEEDS]


def measure(rule: str, seed: int) -> dict[str, Any]:
    from agentforge.models import TitanConfig
    from agentforge.phase1_cognate.experiments.recalling import learn
    from agentforge.train.config import TrainConfig

    shape = TitanConfig(vocab_size=VOCABULARY, memory_write=rule, **_SHAPE)
    train = TrainConfig(steps=_STEPS, batch=_BATCH, evaluate_every=_LOOK_EVERY, threads=1)
    return learn(shape, Rows(_FACTS, _NOISE, scattered=True), train, seed)


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    kept = {rule: [results[f"{rule}/{seed}"]["accuracy"] for seed in SEEDS] for rule in _RULES}
    parameters, tokens = (results[f"{_RULES[0]}/{SEEDS[0]}"][name] for name in ("parameters", "tokens"))
    task = f"{_FACTS} of {KINDS} x {KINDS} pairs anywhere in {_CONTEXT} tokens, {_SLOTS} slots"
    share = _SLOTS / _CONTEXT
    by_luck = share + (1 - share) * CHANCE
    best = [max(pair) for pair in zip(kept["fifo"], kept["random"], strict=True)]
    return [
        at_least(
            "Surprise x novelty keeps the facts where slots are fewer than tokens", 0.9,
            kept["surprise_novelty"], "1",
            method=f"recall; {task}; sets of facts held out by their hash; {parameters:,} parameters",
        ),
        at_most(
            "First in, first out keeps M slots / length of them, within 0.05", 0.05,
            [abs(each - by_luck) for each in kept["fifo"]], "1",
            method=f"distance to {share:.3f} kept and the others guessed: {by_luck:.3f}",
        ),
        stated("Recall with first in, first out", kept["fifo"], "1"),
        stated("Recall with random slots", kept["random"], "1"),
        clearly_above(
            "Surprise x novelty beats the better of first in, first out and random", 0,
            [ours - theirs for ours, theirs in zip(kept["surprise_novelty"], best, strict=True)], "1",
            method=f"difference by seed; equal parameters, {tokens:,} tokens each",
        ),
    ]  # fmt: skip
