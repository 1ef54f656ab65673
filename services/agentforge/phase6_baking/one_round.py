"""One round of baking: what the prompted teacher answers is drawn, and the student learns to say it unprompted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from agentforge.data.items import Item
from agentforge.data.manner import right
from agentforge.data.rows import RowSource
from agentforge.data.splits import Split
from agentforge.kit.errors import InvalidInput
from agentforge.kit.measure import Measurement
from agentforge.kit.rng import Rng
from agentforge.phase6_baking.asking import Runner, reply_of
from agentforge.phase6_baking.bake.baking import baking, mixed
from agentforge.phase6_baking.bake.pairs import Anchored, Pair, PairRows
from agentforge.phase6_baking.bake.samples import drawn
from agentforge.phase6_baking.sources import TOOLS, plainly_answered, questions, room_of, rows, text
from agentforge.phase6_baking.start import Start
from agentforge.train.loop import Training
from agentforge.train.rollouts import Trajectory


def round_of(
    start: Start,
    kind: str,
    number: int,
    teacher: Any,
    student: Mapping[str, Tensor],
    measure: Callable[[Measurement], object],
) -> Training:
    """One round of TOOLS or PERSONA: `teacher`, prompted, teaches the student to answer so without the prompt."""
    config, model = start.config, start.copy(student)
    pairs = _answers(start, kind, number, teacher, model, measure)
    task = PairRows(pairs, start.codec, config.data.length, config.seed, f"{kind}-{number}")
    kept: list[RowSource] = [text(start)]
    if kind == TOOLS:  # a persona's manner is wanted of skills, too
        kept += [rows(start, name, levels, "", None) for name, levels in plainly_answered(start).items()]
    anchors = [(Anchored(source), 1.0) for source in kept]
    return baking(
        model, teacher, mixed([(task, 1.0)], anchors, config.bake), config.train, config.bake,
        pad=start.codec.pad, seed=Rng(config.seed, f"baking/{kind}", number).seed, name=f"baking/{kind}",
    )  # fmt: skip


def _answers(
    start: Start, kind: str, number: int, teacher: Any, student: Any, measure: Callable[[Measurement], object]
) -> list[Pair]:
    """What the prompted teacher answers, with its tools; of all that, what ended right."""
    config, codec = start.config, start.codec
    seed = Rng(config.seed, f"baking/questions/{kind}", number).seed
    told = questions(start, kind, Split.TRAIN, seed)
    items = [told[place % len(told)].item(place) for place in range(config.cycles.questions)]
    prompts = [(codec.prompt_ids(item.prefix + item.prompt), codec.prompt_ids(item.prompt)) for item in items]
    runner = Runner(start.toolbox) if start.toolbox else None
    pairs = drawn(
        teacher, student, codec, prompts, config.bake, room=room_of(start, items), seed=seed, run=runner,
        calls=config.tools.calls,
    )  # fmt: skip
    whole = config.cycles.outcomes == "all"
    found = [
        pair
        for item, pair in zip(items, pairs, strict=True)
        if (whole or _is_right(codec, item, pair, runner)) and _size(pair) <= config.data.length
    ]
    method = f"share of {len(items):,} answers of the prompted model that ended right, and fit into a row"
    measure(Measurement(f"baking/{kind}/taken", len(found) / len(items), "1", method, len(items), None, number))
    if not found:
        message = f"none of {len(items):,} answers of the model that is prompted for {kind} is right"
        step = "Teach it to follow longer (following.steps), or bake all that it says (cycles.outcomes all)."
        raise InvalidInput(message, reason="NOTHING_TO_BAKE", field="cycles.outcomes", next_step=step)
    return found


def _size(pair: Pair) -> int:
    return max(len(pair.prompted), len(pair.bare)) + len(pair.said)


def _is_right(codec: Any, item: Item, pair: Pair, runner: Runner | None) -> bool:
    reply = reply_of(codec, Trajectory(pair.said, pair.learned), 0, runner)
    return right(item, reply.text) and pair.said[-1] == codec.eos
