"""Every candidate of the tiny preset's space, healed and asked once; and searches that look them up."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import correlation
from typing import Any

from agentforge.data.codec import Codec
from agentforge.kit.config import validate_config
from agentforge.kit.phase import load_pipeline
from agentforge.phase7_adas.config import AdasConfig
from agentforge.phase7_adas.configs.search import SearchConfig
from agentforge.phase7_adas.search.evaluate import Bench, Trial
from agentforge.phase7_adas.search.front import hypervolume
from agentforge.phase7_adas.search.latency import latencies
from agentforge.phase7_adas.search.search import asker_of
from agentforge.phase7_adas.search.space import Space, architecture, space_of
from agentforge.phase7_adas.start import Start
from agentforge.shrink.asking import Asker, Genes, key
from agentforge.train.loading import load_model
from agentforge.train.machine import settled


def measured(
    directory: Path, seed: int, *, algorithms: Sequence[str], trials: Sequence[int], searches: int, **told: Any
) -> dict[str, Any]:
    """`told`: of the search, instead of what the preset says."""
    preset = load_pipeline().preset("tiny", "adas")
    config = validate_config(AdasConfig, {**preset, "seed": seed, "search": {**preset["search"], **told}})
    loaded, own = load_model(directory), config.search
    assert own is not None
    with settled(own.healing):
        start = Start(loaded.directory, loaded.model, Codec(loaded.tokenizer), config)
        space, bench = space_of(start.model, own.space), Bench(start, own, seed)
        times, before = _latency(bench, space), bench.input.accuracy
        table = _table(bench, space)
    found = {
        name: _searches(table, space, own.model_copy(update={"algorithm": name}), max(trials), searches)
        for name in algorithms
    }
    corner = bench.cost(space.unsearched)
    whole = hypervolume(list(table.values()), corner)

    def shares(count: int, each: Sequence[Sequence[Trial]]) -> list[float]:
        return [round(hypervolume(one[:count], corner) / whole, 6) for one in each]

    return {
        "space": space.size, "choices": space.choices, "input_accuracy": before,
        "hypervolume_all": whole, "flawed": sum(one.flawed for one in table.values()),
        "shares": {
            name: {str(count): shares(count, each) for count in trials} for name, each in found.items()
        },
        "tried": {name: [len(one) for one in each] for name, each in found.items()},
        **times, "candidates": [_brief(one) for one in table.values()],
    }  # fmt: skip


def _table(bench: Bench, space: Space) -> dict[str, Trial]:
    """By key. Its number decides a candidate's rows and dice, as in a search."""
    found = (bench.trial(number, genes, bench.candidate(number, genes)) for number, genes in enumerate(_all(space)))
    return {key(one.genes): one for one in found}


def _all(space: Space) -> list[Genes]:
    """The unsearched first."""
    return [dict(zip(space.choices, values, strict=True)) for values in itertools.product(*space.choices.values())]


def _searches(
    table: Mapping[str, Trial], space: Space, config: SearchConfig, most: int, count: int
) -> list[list[Trial]]:
    return [searched(table, asker_of(space, config, seed), config.batch, most) for seed in range(count)]


def searched(table: Mapping[str, Trial], asker: Asker, size: int, most: int) -> list[Trial]:
    """As search.run_trials, with the table for the training. Fewer where nothing new is asked for."""
    known: dict[str, Trial] = {}
    for batch in itertools.count():
        fresh = asker.ask(batch, min(size, most - len(known)), known)
        known |= {key(genes): table[key(genes)] for genes in fresh}
        if not fresh or len(known) == most:
            return list(known.values())
        asker.tell({name: one.objectives for name, one in known.items()})
    raise AssertionError("batches do not end")


def _latency(bench: Bench, space: Space) -> dict[str, Any]:
    """How well counted cost orders the architectures, whose plain matrices stay as they came."""
    every = {key(architecture(genes)): architecture(genes) for genes in _all(space)}
    models = {name: bench.made(genes) for name, genes in every.items()}
    found = latencies(models, bench.config.context, bench.config.repeats)
    ratios = [found[name].ratio for name in every]
    costs = [bench.cost(genes) for genes in every.values()]
    first = next(iter(found.values()))
    return {
        "latency": {
            "architectures": len(every), "engine": first.engine, "repeats": first.repeats, "input_ms": first.ms,
            "ratios": ratios, "spreads": [found[name].spread for name in every],
        },
        "rank_correlation": {
            "flops": _rank_correlation([one.flops for one in costs], ratios),
            "bytes_moved": _rank_correlation([one.moved for one in costs], ratios),
        },
    }  # fmt: skip


def _rank_correlation(ones: Sequence[float], others: Sequence[float]) -> float:
    return correlation(_ranks(ones), _ranks(others))


def _ranks(values: Sequence[float]) -> list[float]:
    """Equals share their mean rank."""
    return [(sum(v < own for v in values) + sum(v <= own for v in values) + 1) / 2 for own in values]


def _brief(one: Trial) -> dict[str, Any]:
    return {
        "genes": list(one.genes.values()), "accuracy": one.worth.accuracy, "bytes": one.cost.bytes,
        "flops": one.cost.flops,
    }  # fmt: skip
