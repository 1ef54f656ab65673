"""The search in reported numbers: adas/search/…"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentforge.kit.measure import Measurement
from agentforge.phase7_adas.search.confirm import Loss
from agentforge.phase7_adas.search.evaluate import Trial
from agentforge.phase7_adas.search.front import Latency, Reference, front, hypervolume

_COUNTED = "counted from shapes, as a share of the input's"
_ITEMS = "items of the selection split, after the search's short healing"


def measurements(
    trials: Sequence[Trial], chosen: Trial, reference: Reference, latencies: Mapping[int, Latency], items: int
) -> list[Measurement]:
    best, n = front(trials), len(trials)
    before, after = reference.cost, chosen.cost
    healed = trials[0]  # the unsearched architecture, trained as all others were
    lost = reference.worth.accuracy - chosen.worth.accuracy
    found = [
        ("candidates", n, "healed and measured, the unsearched among them", n),
        ("front", len(best), "candidates that no other beats in accuracy, bytes and FLOPs", n),
        ("hypervolume", hypervolume(trials, before), "of wrong answers, bytes and FLOPs below the input's", n),
        ("flawed", sum(trial.flawed for trial in trials), "candidates whose healing diverged", n),
        ("chosen/parameters", after.parameters / before.parameters, _COUNTED, 1),
        ("chosen/bytes", after.bytes / before.bytes, f"of stored weights, {_COUNTED}", 1),
        ("chosen/flops", after.flops / before.flops, f"of a decoded token, {_COUNTED}", 1),
        ("chosen/moved", after.moved / before.moved, f"bytes read for a decoded token, {_COUNTED}", 1),
        ("chosen/accuracy", chosen.worth.accuracy, f"mean over families, {_ITEMS}", items),
        ("input/accuracy", reference.worth.accuracy, "mean over families, items of the selection split", items),
        ("unsearched/accuracy", healed.worth.accuracy, f"mean over families, {_ITEMS}", items),
        ("chosen/accuracy_lost", lost, f"the input's accuracy minus its own, {_ITEMS}", items),
    ]
    made = [Measurement(f"adas/search/{name}", value, "1", method, count) for name, value, method, count in found]
    return made + [one for trial in best for one in _latency(trial, chosen, latencies[trial.number])]


def loss_measured(lost: Loss, items: int) -> Measurement:
    method = (
        "the input's accuracy minus that of the weights that were kept, item by item, on other items of the "
        "selection split, which the choice was made by; spread: its standard error"
    )
    return Measurement("adas/search/lost", lost.accuracy, "1", method, items, lost.error)


def _latency(trial: Trial, chosen: Trial, found: Latency) -> list[Measurement]:
    who = "chosen" if trial is chosen else f"front/{trial.number}"
    quartiles = "spread: quartiles' distance / 1.349"
    how = f"median of {found.repeats} interleaved runs of decode steps on this machine, by {found.engine}"
    return [
        Measurement(
            f"adas/search/{who}/latency",
            found.ratio,
            "1",
            f"times the input's, {how}; {quartiles}",
            found.repeats,
            found.spread,
        ),
        Measurement(f"adas/search/{who}/latency_ms", found.ms, "ms", how, found.repeats),
    ]
