"""Recipes in mergekit's YAML form, for the methods we share. What we would do otherwise than it says is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentforge.kit.errors import InvalidInput, NotFound
from agentforge.phase2_evomerge.streaming.merge import MergeRequest

# Theirs: ours, which of their parameters it takes, and those of our options that differ from theirs by default.
_METHODS: dict[str, tuple[str, frozenset[str], dict[str, Any]]] = {
    "linear": ("linear", frozenset({"weight", "normalize"}), {}),
    "slerp": ("slerp", frozenset({"t"}), {}),
    "task_arithmetic": ("task_arithmetic", frozenset({"weight", "normalize", "lambda"}), {}),
    "ties": ("ties", frozenset({"weight", "density", "normalize", "lambda"}), {"density": 1.0}),
    "dare_linear": (
        "dare", frozenset({"weight", "density", "normalize", "lambda", "rescale"}),
        {"normalize": False, "density": 1.0},
    ),
    "dare_ties": (
        "dare", frozenset({"weight", "density", "lambda", "rescale"}),
        {"normalize": False, "density": 1.0, "elect_signs": True},
    ),
}  # fmt: skip
_FIELDS = frozenset({"merge_method", "models", "base_model", "parameters", "dtype", "out_dtype"})
_NAMES = {"lambda": "lam"}


def read_recipe(file: Path, out: Path, *, seed: int = 42, dtype: str | None = None) -> MergeRequest:
    """`dtype`, if given, goes before the file's."""
    recipe = _load(file)
    _only(recipe, _FIELDS, "")
    theirs = recipe.get("merge_method")
    if theirs not in _METHODS:
        step = f"Shared methods: {', '.join(_METHODS)}."
        raise _refused(f"there is no shared merge method {theirs!r}", "merge_method", step, "UNKNOWN_METHOD")
    method, takes, defaults = _METHODS[theirs]
    models = _models(recipe.get("models"), takes)
    shared = _parameters(recipe.get("parameters"), takes, "parameters")
    base = recipe.get("base_model")
    if base is not None and not isinstance(base, str):
        raise _refused("base_model is no path", "base_model")
    if method == "slerp":
        models, base = _from_base(models, base, shared), None
    elif method != "linear":
        models = [each for each in models if each[0] != base]  # its difference from itself is nothing
    options = {**defaults, **shared, **_gathered(models, shared)}
    if method == "dare":
        density = options.pop("density")
        options["drop"] = 1 - density
        if options.pop("rescale", True) is False:  # ours always divides by the density: λ takes it back
            options["lambda"] = options.get("lambda", 1.0) * density
        else:
            options["rescale"] = "norm"
    return MergeRequest(
        method=method,
        models=tuple(_found(path, file, f"models[{number}].model") for number, (path, _) in enumerate(models)),
        out=out,
        base=None if base is None or method == "linear" else _found(base, file, "base_model"),
        options={_NAMES.get(name, name): value for name, value in options.items()},
        seed=seed,
        dtype=dtype or recipe.get("out_dtype") or recipe.get("dtype"),
    )


def _load(file: Path) -> dict[str, Any]:
    import yaml

    try:
        recipe = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _refused(f"{file} is no YAML: {error}", str(file)) from error
    if not isinstance(recipe, dict):
        raise _refused(f"{file} holds no recipe: a mapping with merge_method and models", str(file))
    return recipe


def _models(listed: Any, takes: frozenset[str]) -> list[tuple[str, dict[str, Any]]]:
    if not isinstance(listed, list) or not listed:
        raise _refused("a recipe needs a list of models", "models")
    found = []
    for number, entry in enumerate(listed):
        place = f"models[{number}]"
        if not isinstance(entry, dict) or not isinstance(entry.get("model"), str):
            raise _refused(f"{place} names no model", place)
        _only(entry, frozenset({"model", "parameters"}), f"{place}.")
        own = takes & {"weight", "density"}
        found.append((entry["model"], _parameters(entry.get("parameters"), own, f"{place}.parameters")))
    return found


def _parameters(given: Any, takes: frozenset[str], place: str) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise _refused(f"{place} is no mapping", place)
    _only(given, takes, f"{place}.")
    for name, value in given.items():
        if isinstance(value, list | dict):
            message = f"{place}.{name}: values that change from layer to layer are not supported"
            raise _refused(message, f"{place}.{name}", "Give one number.")
    return dict(given)


def _from_base(
    models: list[tuple[str, dict[str, Any]]], base: str | None, shared: Mapping[str, Any]
) -> list[tuple[str, dict[str, Any]]]:
    """t runs from the base, 0, to the other model, 1: the base is our first."""
    if "t" not in shared:
        raise _refused("slerp needs t: 0 is the base model, 1 the other", "parameters.t")
    if base is None:
        raise _refused("slerp needs base_model: the model that it starts from", "base_model")
    names = [path for path, _ in models]
    others = [each for each in models if each[0] != base]
    if len(names) - len(others) > 1 or len(others) != 1:
        raise _refused("slerp merges the base model and one other", "models")
    return [(base, {}), *others]


def _gathered(models: list[tuple[str, dict[str, Any]]], shared: dict[str, Any]) -> dict[str, Any]:
    """Weights one for each model, in their order; one density for all."""
    found: dict[str, Any] = {}
    weight = shared.pop("weight", None)
    weights = [own.get("weight", weight) for _, own in models]
    if any(each is not None for each in weights):
        if None in weights:
            place = f"models[{weights.index(None)}].parameters.weight"
            raise _refused("some models have a weight and this one has none", place)
        found["weights"] = weights
    densities = [own.get("density", shared.get("density")) for _, own in models]
    if any(each != densities[0] for each in densities):
        place = f"models[{next(i for i, each in enumerate(densities) if each != densities[0])}].parameters.density"
        raise _refused("densities that differ between models are not supported", place, "Give one to all.")
    if densities and densities[0] is not None:
        found["density"] = densities[0]
    if not isinstance(found.get("density", 1.0), int | float):
        raise _refused(f"density {found['density']!r} is no number", "density")
    return found


def _found(path: str, file: Path, field: str) -> Path:
    """Beside the recipe, or from here. No names of a hub: nothing is downloaded."""
    for place in (file.parent / path, Path(path)):
        if place.is_dir():
            return place
    message = f"there is no directory {path!r} beside {file} or here"
    step = "Models are directories; download those of a hub first."
    raise NotFound(message, reason="MODEL_NOT_FOUND", field=field, next_step=step)


def _only(given: Mapping[Any, Any], known: frozenset[str], place: str) -> None:
    for name in given:
        if name not in known:
            step = f"Supported here: {', '.join(sorted(known)) or 'nothing'}."
            raise _refused(f"{place}{name} is not supported", f"{place}{name}", step, "UNSUPPORTED_FIELD")


def _refused(message: str, field: str, next_step: str = "", reason: str = "BAD_RECIPE") -> InvalidInput:
    return InvalidInput(message, reason=reason, field=field, next_step=next_step)
