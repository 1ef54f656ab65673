"""`agentforge merge`: several models of one architecture become one, from tensor to tensor."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agentforge.cli.values import parse_settings
from agentforge.kit.errors import InvalidInput, MissingTool

if TYPE_CHECKING:
    from agentforge.phase2_evomerge.streaming.merge import MergeRequest, Progress

_LEARN = frozenset({"torch", "numpy", "tokenizers"})  # of the extra [learn], what a merge imports


@dataclass(frozen=True)
class MergeOptions:
    what: str  # a method, or a recipe's file
    models: Sequence[Path]
    out: Path
    base: Path | None
    settings: Sequence[str]
    seed: int
    dtype: str | None
    as_json: bool


def merge(options: MergeOptions) -> int:
    try:
        from agentforge.phase2_evomerge.streaming.merge import merge_models

        request = _request(options)
        with _progress(quiet=options.as_json) as progress:
            report = merge_models(request, progress)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _LEARN:
            raise
        message = f"merging needs the package {package!r}, which is not installed"
        step = "Install it: pip install 'agentforge[learn]'."
        raise MissingTool(message, field=package, next_step=step) from error
    if options.as_json:
        print(
            json.dumps(
                {
                    "out": str(report.out),
                    "method": report.method,
                    "seconds": round(report.seconds, 3),
                    "tensors": report.tensors,
                    "bytes": report.bytes,
                }
            )
        )
    else:
        size = f"{report.tensors:,} tensors, {report.bytes / 1e6:,.1f} MB"
        print(f"{report.out}: merged by {report.method}, {size}, in {report.seconds:.1f} s")
    return 0


def _request(options: MergeOptions) -> MergeRequest:
    from agentforge.phase2_evomerge.streaming.merge import MergeRequest

    if options.what.endswith((".yml", ".yaml")):
        from agentforge.phase2_evomerge.streaming.recipe import read_recipe

        for given, name in ((options.models, "MODEL"), (options.base, "--base"), (options.settings, "--set")):
            if given:
                message = f"a recipe says it all: {name} cannot be given beside {options.what}"
                raise InvalidInput(message, reason="RECIPE_AND_OPTIONS", field=name)
        return read_recipe(Path(options.what), options.out, seed=options.seed, dtype=options.dtype)
    return MergeRequest(
        method=options.what,
        models=tuple(options.models),
        out=options.out,
        base=options.base,
        options=parse_settings(options.settings),
        seed=options.seed,
        dtype=options.dtype,
    )


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Progress]:
    """A bar where somebody watches; it is loaded for merges that take a while only."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress as Bars

    with Bars(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("merging", total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
