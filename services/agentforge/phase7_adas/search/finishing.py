"""The chosen one's weights: healed for longer, as judged, or the input's. The fresh items decide."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from agentforge.phase7_adas.search.choosing import Bar, Missed, not_reached
from agentforge.phase7_adas.search.confirm import Verdict
from agentforge.phase7_adas.search.diary import Context, Diary, FinalContext
from agentforge.phase7_adas.search.evaluate import Bench, Trial
from agentforge.phase7_adas.search.weights import round_weights, zeros
from agentforge.shrink.healing import healing

LONGER, AS_JUDGED, AS_IT_CAME = "healed for longer", "as the search judged them", "as they came"


@dataclass(frozen=True)
class Kept:
    """`bits`: of plain matrices that were rounded, by name. `verdict`: on the fresh items."""

    model: Any
    chosen: Trial
    bits: dict[str, int]
    weights: str
    verdict: Verdict


def finish(
    context: Context, bench: Bench, diary: Diary, chosen: Trial, bar: Bar, against: Verdict, missed: Missed
) -> Kept:
    """`missed`: by the chosen one as it was judged; where it missed any, only the longer healing can save it."""
    judged = diary.verdicts[chosen.number]
    model = healed_for_longer(context, bench, chosen, diary)
    bits, longer = round_weights(model, chosen.genes), bench.verdict(model)
    still = bar.missed(chosen, bench.loss(against, longer))
    if missed and still:
        error = not_reached(chosen, still, len(diary.trials))
        if not bar.kept_by_input:
            raise error
        context.log(f"the model stays as it came: {error.message}", "warning")
        return _as_it_came(bench, diary)
    keeps_longer = bool(missed) or (not still and _worth(bench, longer) >= _worth(bench, judged))
    best = longer if keeps_longer else judged
    if chosen.genes == diary.trials[0].genes and _worth(bench, best) < _worth(bench, bench.input_verdict):
        context.log("nothing smaller keeps the budgets, and healing alone brings nothing: it stays as it came")
        return _as_it_came(bench, diary)
    if keeps_longer:
        return Kept(model, chosen, bits, LONGER, longer)
    context.log("longer healing made it worse on the fresh items: it stays as the search judged it")
    model, bits = bench.as_judged(chosen.number, chosen.genes)
    return Kept(model, chosen, bits, AS_JUDGED, judged)


def healed_for_longer(context: Context, bench: Bench, chosen: Trial, diary: Diary) -> Any:
    """From the input's weights, by all ranks together."""
    config = bench.config
    model = bench.made(chosen.genes)
    training = healing(
        bench.start, model, zeros(model, chosen.genes), config.final,
        number=config.trials, distillation=config.distillation, name="adas/search/final",
    )  # fmt: skip
    if diary.final is not None:
        training.load(diary.final)
    own = FinalContext(context, diary)
    training.run(own)
    own.save(config.final.steps, training.save)  # a run that is killed later heals nothing again
    return model.eval()


def _as_it_came(bench: Bench, diary: Diary) -> Kept:
    came = bench.trial(0, diary.trials[0].genes, bench.input)
    return Kept(copy.deepcopy(bench.start.model), came, {}, AS_IT_CAME, bench.input_verdict)


def _worth(bench: Bench, verdict: Verdict) -> tuple[float, float]:
    """Answers first; equal ones by the loss."""
    return (verdict.accuracy(bench.fresh), -verdict.nats)
