"""Golden prompts of agent.pyz: asked while it is made, in the form that the runtime's golden.py asks again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentforge.edge.device.runtime.golden import greedy
from agentforge.edge.device.solo.agent import Agent
from agentforge.kit.errors import FailedPrecondition, InvalidInput, Violation

_TOP = 5  # tokens whose logits are kept
# Other machines add floats in another order. Where activations are rounded to 8 bits, one may go the other way.
_PLAIN, _ROUNDED = 1e-4, 0.05  # of the largest logit


def record(agent: Agent, golden: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """`logits`: how far they may be away; `answers`: the share that must be the same."""
    items, different, largest = [], [], 0.0
    for prompt, answer in golden:
        ids = agent.text.encode(prompt)
        if not ids:
            raise InvalidInput("a golden prompt is empty", reason="EMPTY_PROMPT", field="golden")
        said, logits_V = greedy(agent.engine, ids, len(answer.encode()) + 1)  # no token has less than a byte
        if not _same(agent, said, answer):
            heard = agent.text.decode(said)
            different.append(Violation(prompt, f"{prompt!r}: {heard!r} instead of {answer!r}", "ANSWER_DIFFERS"))
        top = logits_V.argsort(kind="stable")[::-1][:_TOP]
        largest = max(largest, float(abs(logits_V).max()))
        items.append(
            {
                "prompt": prompt, "prompt_ids": ids, "ids": said, "top": top.tolist(),
                "logits": [float(each) for each in logits_V[top]],
            }
        )  # fmt: skip
    if different:
        first, count = different[0].message, f"{len(different)} of {len(golden)}"
        message = f"agent.pyz would answer {count} golden prompts otherwise than the model: {first}"
        step = "Give the answers of the compressed model itself, greedy ones."
        raise FailedPrecondition(
            message, reason="ANSWER_DIFFERS", field="golden", next_step=step, violations=different
        )
    logits = largest * (_ROUNDED if agent.rounds else _PLAIN)
    return {"items": items, "logits": logits, "answers": 0.9 if agent.rounds else 1.0}


def _same(agent: Agent, ids: list[int], answer: str) -> bool:
    """To the end; or as far as was asked elsewhere, where neither has come to an end."""
    if ids[-1] == agent.engine.graph.eos:
        return agent.text.decode(ids[:-1]) == answer
    return agent.text.decode(ids).startswith(answer)
