"""What a phase is: a name, what it takes and makes, a config, and where its code stands. Torch-free to load."""

from __future__ import annotations

import difflib
import functools
import importlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from agentforge.kit.config import PhaseConfig
from agentforge.kit.digests import digest_code
from agentforge.kit.errors import InvalidInput, MissingTool, NotFound
from agentforge.kit.evidence import Experiment

PIPELINE_VARIABLE = "AGENTFORGE_PIPELINE"
"""Environment: the module that holds PIPELINE. For tests and for forks with phases of their own."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for artifacts of one kind among a phase's inputs or outputs."""

    name: str
    kind: str
    min_count: int = 1
    max_count: int | None = 1  # None: no upper bound
    description: str = ""


@dataclass(frozen=True, slots=True)
class PhaseSpec:
    """Everything a service must know without running anything. `run` and `check` are "module:function".

    run(context: PhaseContext, config) -> None      in the worker; may import torch
    check(config, inputs: list[InputPath]) -> list[Violation]    in the service; must not import torch
    """

    name: str
    summary: str
    config: type[PhaseConfig]
    run: str
    takes: tuple[Slot, ...] = ()
    makes: tuple[Slot, ...] = ()
    version: str = "1"
    check: str = ""
    evidence: str = ""  # "module:EXPERIMENTS", a tuple of kit.evidence.Experiment; free of torch to load
    # Packages whose sources decide the output; the phase's own package and the kit are always among them.
    stands_on: tuple[str, ...] = ("agentforge.models", "agentforge.data", "agentforge.train")

    @property
    def code_digest(self) -> str:
        own = self.run.partition(":")[0].rpartition(".")[0] or self.run.partition(":")[0]
        return digest_code(*sorted({own, "agentforge.kit", *self.stands_on}))

    def load_run(self) -> Callable[..., None]:
        function: Callable[..., None] = load_object(self.run)
        return function

    @property
    def experiments(self) -> tuple[Experiment, ...]:
        """What measures this phase's claims, in the order of the table."""
        found: tuple[Experiment, ...] = load_object(self.evidence) if self.evidence else ()
        return found


class Pipeline:
    """The phases in order. Each entry is "module:NAME" of a PhaseSpec, imported when it is asked for.

    An entry that is given by its phase's name tells the name to those who cannot import the spec: a gateway has
    nothing of what phases stand on.
    """

    def __init__(self, *entries: str, presets: Path, **named: str) -> None:
        self._entries = (*entries, *named.values())
        self._known = (None,) * len(entries) + tuple(named)
        self._presets = presets

    @functools.cached_property
    def specs(self) -> tuple[PhaseSpec, ...]:
        specs: tuple[PhaseSpec, ...] = tuple(load_object(entry) for entry in self._entries)
        for spec, name, entry in zip(specs, self._known, self._entries, strict=True):
            if name not in (None, spec.name):
                raise InvalidInput(
                    f"the pipeline calls {entry} {name!r}, and it calls itself {spec.name!r}",
                    reason="WRONG_PHASE_NAME",
                    field=name or "",
                    next_step="Give both the same name.",
                )
        return specs

    def __iter__(self) -> Iterator[PhaseSpec]:
        return iter(self.specs)

    @property
    def names(self) -> tuple[str, ...]:
        known = [name for name in self._known if name is not None]
        return tuple(known) if len(known) == len(self._entries) else tuple(spec.name for spec in self.specs)

    def spec(self, name: str) -> PhaseSpec:
        for spec in self.specs:
            if spec.name == name:
                return spec
        near = difflib.get_close_matches(name, self.names, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(self.names) or 'none yet'}."
        raise NotFound(f"there is no phase {name!r}", reason="UNKNOWN_PHASE", field="phase", next_step=hint)

    def entry(self, name: str) -> str:
        """The "module:NAME" of the phase's spec, by which a worker finds it."""
        return self._entries[self.specs.index(self.spec(name))]

    @functools.cached_property
    def presets(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Preset name to phase name to the fields that the preset sets: one YAML file per preset."""
        return {f.stem: yaml.safe_load(f.read_text()) or {} for f in sorted(self._presets.glob("*.yaml"))}

    def preset(self, name: str, phase: str) -> dict[str, Any]:
        """The fields that the preset sets for the phase; nothing for the empty name."""
        if not name:
            return {}
        if name not in self.presets:
            near = difflib.get_close_matches(name, self.presets, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(self.presets) or 'none'}."
            raise InvalidInput(
                f"there is no preset {name!r}", reason="UNKNOWN_PRESET", field="preset", next_step=hint
            )
        return dict(self.presets[name].get(phase) or {})


def load_object(place: str) -> Any:
    """The object at "module:name"."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def load_pipeline() -> Pipeline:
    """The pipeline of this installation: `agentforge.pipeline`, or the module that AGENTFORGE_PIPELINE names."""
    module = os.environ.get(PIPELINE_VARIABLE, "agentforge.pipeline")
    try:
        pipeline = load_object(f"{module}:PIPELINE")
    except (ImportError, AttributeError) as error:
        message = f"no pipeline in module {module!r}: {error}"
        raise MissingTool(
            message, reason="NO_PIPELINE", next_step=f"Correct or unset {PIPELINE_VARIABLE}."
        ) from None
    if not isinstance(pipeline, Pipeline):
        raise MissingTool(f"{module}:PIPELINE is no Pipeline", reason="NO_PIPELINE")
    return pipeline
