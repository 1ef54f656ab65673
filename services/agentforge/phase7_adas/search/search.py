"""The story of the search: ask for candidates, heal and measure each, keep the front, choose, and heal for longer.

found = search(context, start, config)     # found.model is the chosen one, found.record goes into front.json
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from agentforge.kit import ranks
from agentforge.kit.errors import FailedPrecondition
from agentforge.kit.measure import Measurement
from agentforge.phase7_adas.configs.search import SearchConfig
from agentforge.phase7_adas.search.diary import Context, Diary, FinalContext, table
from agentforge.phase7_adas.search.evaluate import Bench, Trial, Worth
from agentforge.phase7_adas.search.front import Latency, Reference, choose, front, kept_by_input
from agentforge.phase7_adas.search.latency import latencies
from agentforge.phase7_adas.search.report import measurements
from agentforge.phase7_adas.search.space import Space, architecture, space_of
from agentforge.phase7_adas.search.weights import round_weights, zeros
from agentforge.shrink.asking import Asker, Genes, key
from agentforge.shrink.healing import Start, healing
from agentforge.train.machine import settled

# Which weights of the chosen one were kept: the selection split decides.
LONGER, AS_JUDGED, AS_IT_CAME = "healed for longer", "as the search judged them", "as they came"


@dataclass(frozen=True)
class Found:
    """`latencies`: by a trial's number; timings are not in the record, whose bytes a second run repeats."""

    model: Any
    chosen: Trial
    bits: dict[str, int]  # of plain matrices that were rounded, by name
    record: dict[str, Any]
    measured: list[Measurement]
    latencies: dict[int, Latency]


def search(context: Context, start: Start, config: SearchConfig) -> Found:
    with settled(config.healing):
        space = space_of(start.model, config.space)
        bench = Bench(start, config, context.seed)
        diary = Diary(context, config.trials)
        for gene, why in space.absent.items():
            context.log(f"not searched: {gene}, {why}", "debug")
        run_trials(context, bench, space, diary)
        reference = Reference(bench.input, bench.cost(space.unsearched))
        times = timed(bench, space, diary)
        chosen = _chosen(context, diary.trials, reference, config, times)
    if chosen is None:
        came = bench.trial(0, space.unsearched, bench.input)
        model, bits, chosen, weights = copy.deepcopy(start.model), dict[str, int](), came, AS_IT_CAME
    else:
        model, bits, weights = finish(context, bench, chosen, diary, space.unsearched)
    found = measurements(diary.trials, chosen, reference, times, len(bench.items))
    for one in found:
        context.measure(one)
    record = front_record(diary.trials, chosen, reference, space, config) | {"weights": weights}
    return Found(model, chosen, bits, record, found, times)


def _chosen(
    context: Context, trials: Sequence[Trial], reference: Reference, config: SearchConfig, times: dict[int, Latency]
) -> Trial | None:
    """None: no candidate keeps the budgets, and the input as it came does."""
    try:
        chosen = choose(trials, _bar(reference, trials[0], config), config.budgets, times)
    except FailedPrecondition as error:
        if error.reason != "BUDGET_NOT_REACHED" or not kept_by_input(config.budgets, reference):
            raise
        context.log(f"the model stays as it came: {error.message}", "warning")
        return None
    if chosen.genes == trials[0].genes:
        context.log("nothing smaller keeps the budgets", "warning")
    return chosen


def _bar(reference: Reference, unsearched: Trial, config: SearchConfig) -> Reference:
    """A model that has more to learn gains by healing alone: so the unsearched one, healed, may be the bar."""
    if config.budgets.against == "input" or unsearched.flawed:
        return reference
    return replace(reference, worth=unsearched.worth)


def run_trials(context: Context, bench: Bench, space: Space, diary: Diary) -> None:
    """Until there are as many as were asked for, or nothing new is asked for."""
    config = bench.config
    asker = asker_of(space, config, bench.seed)
    known: dict[str, Trial] = {}
    batch = 0
    while len(diary.trials) < config.trials:
        fresh = asker.ask(batch, min(config.batch, config.trials - len(diary.trials)), known)
        if not fresh:
            context.log(f"{len(diary.trials)} candidates are all that were asked for of {space.size}")
            break
        for trial in _evaluated(context, bench, fresh, diary):
            known[key(trial.genes)] = trial
        asker.tell({name: one.objectives for name, one in known.items()})
        batch += 1
        context.sample("adas/search/front", {"trials": len(diary.trials), "front": table(front(diary.trials), {})})


def asker_of(space: Space, config: SearchConfig, seed: int) -> Asker:
    return Asker(
        space.choices, ("maximize", "minimize", "minimize"),  # as Trial.objectives
        algorithm=config.algorithm, population=config.population, seed=seed, name="adas/search",
    )  # fmt: skip


def _evaluated(context: Context, bench: Bench, fresh: Sequence[Genes], diary: Diary) -> list[Trial]:
    """Each rank its share, one at a time; after each the numbers are everybody's, and saved."""
    own = ranks.current()
    first = len(diary.trials)
    for begin in range(0, len(fresh), own.world):
        some = [(first + place, fresh[place]) for place in range(begin, min(begin + own.world, len(fresh)))]
        before = [diary.known(number, genes) for number, genes in some]
        if all(one is not None for one in before):
            diary.trials += [one for one in before if one is not None]
            continue
        context.check_stop(diary.save)
        worths = _worths(bench, some)
        diary.trials += [bench.trial(*one, worth) for one, worth in zip(some, worths, strict=True)]
        diary.save()
        context.progress(len(diary.trials), bench.config.trials, "candidates", "search")
    return diary.trials[first:]


def _worths(bench: Bench, some: Sequence[tuple[int, Genes]]) -> list[Worth]:
    own = ranks.current()
    numbers = torch.zeros(len(some), len(bench.input.numbers), dtype=torch.float64)
    if own.rank < len(some):
        numbers[own.rank] = torch.tensor(bench.candidate(*some[own.rank]).numbers, dtype=torch.float64)
    return [bench.input.of(row.tolist()) for row in own.add_up(numbers)]


def timed(bench: Bench, space: Space, diary: Diary) -> dict[int, Latency]:
    """Of the front, by number. Rank 0 measures, for all of them."""
    if diary.latencies is None:
        own, every = ranks.current(), front(diary.trials)
        shared = own.share(_measured(bench, space, every) if own.leads else None)
        diary.latency({one.number: Latency(**shared[key(architecture(one.genes))]) for one in every})
    assert diary.latencies is not None
    return diary.latencies


def _measured(bench: Bench, space: Space, every: Sequence[Trial]) -> dict[str, Any]:
    architectures = {
        key(genes): genes for genes in map(architecture, [space.unsearched, *(t.genes for t in every)])
    }
    models = {name: bench.made(genes) for name, genes in architectures.items()}
    found = latencies(models, bench.config.context, bench.config.repeats)
    return {name: asdict(one) for name, one in found.items()}


def finish(
    context: Context, bench: Bench, chosen: Trial, diary: Diary, unsearched: Genes
) -> tuple[Any, dict[str, int], str]:
    """The chosen one, healed for longer; or as the search judged it, where selection says that longer was worse."""
    model = healed_for_longer(context, bench, chosen, diary)
    bits = round_weights(model, chosen.genes)
    longer = bench.worth(model)
    if chosen.genes == unsearched and not (better(longer, bench.input) or better(chosen.worth, bench.input)):
        return copy.deepcopy(bench.start.model), {}, AS_IT_CAME
    if better(longer, chosen.worth):
        return model, bits, LONGER
    context.log(
        "longer healing made it worse on the selection split: it stays as the search judged it "
        f"({chosen.worth.accuracy:.3f} to {longer.accuracy:.3f}, {chosen.worth.nats:.3f} to {longer.nats:.3f} nats)"
    )
    model = bench.healed(chosen.number, chosen.genes)
    return model.eval(), round_weights(model, chosen.genes), AS_JUDGED


def better(one: Worth, other: Worth) -> bool:
    """Answers first; equal ones by the loss. Equal in both is better, too."""
    return (one.accuracy, -one.nats) >= (other.accuracy, -other.nats)


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


def front_record(
    trials: Sequence[Trial], chosen: Trial, reference: Reference, space: Space, config: SearchConfig
) -> dict[str, Any]:
    """front.json: plain JSON, the same bytes of the same seed."""
    return {
        "format": 1,
        "algorithm": config.algorithm,
        "objectives": ["accuracy", "bytes", "flops"],
        "space": {gene: list(values) for gene, values in space.choices.items()},
        "not_in_space": dict(space.absent),
        "input": {"worth": asdict(reference.worth), "cost": asdict(reference.cost)},
        "trials": [one.record for one in trials],
        "front": [one.number for one in front(trials)],
        "chosen": chosen.number,
    }
