"""A sweep's file: W&B's keys, and `seed`, `trials` and `config` (fields that stay as given) of our own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from agentforge.kit.errors import InvalidInput
from agentforge.track.sweep.space import Parameter, read_parameters

METHODS = {"grid": "grid", "random": "random", "bayes": "tpe", "tpe": "tpe"}
_OWN_KEYS = {"config", "seed", "trials"}
_KEYS = {"name", "description", "method", "metric", "parameters", "early_terminate", "run_cap"} | _OWN_KEYS
_HINTS = {
    "program": "A sweep here runs a phase, which is named on the command line.",
    "command": "A sweep here runs a phase, which is named on the command line.",
    "project": "Set WANDB_PROJECT in the environment.",
    "entity": "Set WANDB_ENTITY in the environment.",
}
_DEFAULT_TRIALS = 20
_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Pruning:
    """Trials that look bad on the way are stopped: `median` of the others, or `hyperband` by halving."""

    kind: str
    first_step: int = 1
    eta: int = 3


@dataclass(frozen=True)
class SweepFile:
    name: str
    method: str
    metric: str
    maximize: bool
    parameters: tuple[Parameter, ...]
    trials: int = _DEFAULT_TRIALS
    seed: int = 0
    config: Mapping[str, Any] = field(default_factory=dict)
    pruning: Pruning | None = None


def read_sweep(path: Path) -> SweepFile:
    """The file, checked by itself; whether a phase has these fields is for schema.check_space."""
    values = _load(path)
    for key in sorted(map(str, values)):
        if key not in _KEYS:
            raise _bad(key, f"{key!r} is not supported", _HINTS.get(key, f"Known: {', '.join(sorted(_KEYS))}."))
    method = str(values.get("method", "bayes"))
    if method not in METHODS:
        raise _bad("method", f"there is no method {method!r}", "Use grid, random or bayes.")
    metric, maximize = _metric(values.get("metric"))
    parameters = values.get("parameters")
    if not isinstance(parameters, Mapping) or not parameters:
        raise _bad("parameters", "nothing is searched", "Name at least one field of the config under `parameters`.")
    config = values.get("config", {})
    if not isinstance(config, Mapping):
        raise _bad("config", "must be a mapping of config fields")
    return SweepFile(
        name=str(values.get("name") or re.sub(r"[^A-Za-z0-9_.-]+", "-", path.stem)),
        method=METHODS[method],
        metric=metric,
        maximize=maximize,
        parameters=tuple(read_parameters(parameters)),
        trials=_count(values, "trials", _count(values, "run_cap", _DEFAULT_TRIALS)),
        seed=_count(values, "seed", 0, least=0),
        config=config,
        pruning=_pruning(values.get("early_terminate")),
    )


def _load(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise _bad(str(path), f"{path} is no sweep's file: it has more than a mebibyte")
        values = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise _bad(str(path), f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise _bad(str(path), f"{path} is no YAML: {getattr(error, 'problem', None) or error}") from None
    if not isinstance(values, Mapping):
        raise _bad(str(path), f"{path} holds no mapping", "See docs/tracking.md for an example.")
    return values


def _metric(given: Any) -> tuple[str, bool]:
    given = {"name": given} if isinstance(given, str) else given
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str) or not given["name"]:
        raise _bad(
            "metric.name", "no measurement is named", "Write metric: {name: evomerge/best_fitness, goal: maximize}."
        )
    for key in sorted(set(map(str, given)) - {"name", "goal"}):
        raise _bad(f"metric.{key}", f"metric.{key} is not supported", "Known: goal, name.")
    goal = given.get("goal", "minimize")  # as W&B has it
    if goal not in ("minimize", "maximize"):
        raise _bad("metric.goal", f"goal is {goal!r}", "Use minimize or maximize.")
    return given["name"], goal == "maximize"


def _pruning(given: Any) -> Pruning | None:
    if given is None:
        return None
    if not isinstance(given, Mapping) or given.get("type") not in ("hyperband", "median"):
        raise _bad(
            "early_terminate.type", "is not supported", "Use hyperband or median, or leave early_terminate out."
        )
    for key in sorted(set(map(str, given)) - {"type", "min_iter", "eta"}):
        raise _bad(
            f"early_terminate.{key}", f"early_terminate.{key} is not supported", "Known: type, min_iter, eta."
        )
    return Pruning(given["type"], _count(given, "min_iter", 1), _count(given, "eta", 3, least=2))


def _count(values: Mapping[str, Any], key: str, default: int, least: int = 1) -> int:
    value = values.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 2**53:
        raise _bad(key, f"{key} is {value!r}", f"Write a whole number of at least {least}.")
    return value


def _bad(field: str, message: str, next_step: str = "") -> InvalidInput:
    return InvalidInput(message, reason="BAD_SWEEP", field=field, next_step=next_step)
