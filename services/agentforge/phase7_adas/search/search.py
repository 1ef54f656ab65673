"""The story of the search: ask for candidates, heal and measure each, keep the front, choose, and heal for longer.

found = search(context, start, config)     # found.model is the chosen one, found.record goes into front.json
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from agentforge.kit import ranks
from agentforge.kit.measure import Measurement
from agentforge.phase7_adas.configs.search import SearchConfig
from agentforge.phase7_adas.search.choosing import Bar, choose, finalists
from agentforge.phase7_adas.search.confirm import Verdict
from agentforge.phase7_adas.search.diary import Context, Diary, table
from agentforge.phase7_adas.search.evaluate import Bench, Trial, Worth
from agentforge.phase7_adas.search.finishing import Kept, finish
from agentforge.phase7_adas.search.front import Latency, Reference, front
from agentforge.phase7_adas.search.latency import latencies
from agentforge.phase7_adas.search.report import loss_measured, measurements
from agentforge.phase7_adas.search.space import Space, architecture, space_of
from agentforge.shrink.asking import Asker, Genes, key
from agentforge.shrink.healing import Start
from agentforge.train.machine import settled


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
        kept = _kept(context, bench, diary, reference, times)
    chosen = kept.chosen
    lost = bench.loss(bench.input_verdict, kept.verdict)
    found = measurements(diary.trials, chosen, reference, times, len(bench.items))
    found.append(loss_measured(lost, len(bench.fresh)))
    for one in found:
        context.measure(one)
    record = front_record(diary.trials, chosen, reference, space, config)
    record |= {"weights": kept.weights, "lost": asdict(lost), "confirmed": confirmed_record(bench, diary)}
    return Found(kept.model, chosen, kept.bits, record, found, times)


def _kept(context: Context, bench: Bench, diary: Diary, reference: Reference, times: dict[int, Latency]) -> Kept:
    """The finalists are asked the fresh items, one is chosen by what they say, and its weights are, too."""
    config, unsearched = bench.config, diary.trials[0]
    reference_seen = _bar(reference, unsearched, config)
    some = finalists(diary.trials, reference_seen, config, times)
    is_bar = reference_seen is not reference
    confirm(context, bench, diary, [*some, *([unsearched] if is_bar and unsearched not in some else [])])
    against = diary.verdicts[unsearched.number] if is_bar else bench.input_verdict
    bar = Bar(against.accuracy(bench.fresh), reference.cost, config.budgets, times)
    losses = {one.number: bench.loss(against, diary.verdicts[one.number]) for one in some}
    chosen, missed = choose(some, losses, bar)
    return finish(context, bench, diary, chosen, bar, against, missed)


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


def confirm(context: Context, bench: Bench, diary: Diary, some: Sequence[Trial]) -> None:
    """What the fresh items say of each: it is made again, since its weights were not kept."""
    own = ranks.current()
    left = [one for one in some if one.number not in diary.verdicts]
    for begin in range(0, len(left), own.world):
        context.check_stop(diary.save)
        now = left[begin : begin + own.world]
        numbers = torch.zeros(len(now), 1 + len(bench.fresh), dtype=torch.float64)
        if own.rank < len(now):
            model, _ = bench.as_judged(now[own.rank].number, now[own.rank].genes)
            numbers[own.rank] = torch.tensor(bench.verdict(model).numbers, dtype=torch.float64)
        told = own.add_up(numbers).tolist()
        diary.verdicts |= {one.number: Verdict.of(row) for one, row in zip(now, told, strict=True)}
        diary.save()
        context.progress(len(diary.verdicts), len(some), "finalists", "search")


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


def confirmed_record(bench: Bench, diary: Diary) -> dict[str, Any]:
    """What the fresh items said, of the input and by a finalist's number. Losses are against the input."""
    came = bench.input_verdict
    losses = {str(number): asdict(bench.loss(came, one)) for number, one in sorted(diary.verdicts.items())}
    return {
        "items": len(bench.fresh), "input": {"accuracy": came.accuracy(bench.fresh), "nats": came.nats},
        "lost": losses,
    }  # fmt: skip
