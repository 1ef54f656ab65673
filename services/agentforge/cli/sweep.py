"""`agentforge sweep`: search the fields of a phase's config, or of the pipeline's, for the best measured value."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentforge.cli.connect import connect_gateway, connect_phase
from agentforge.cli.inputs import bring_in, slots_of
from agentforge.cli.interrupt import cancels
from agentforge.cli.naming import near_phase, pipeline_here
from agentforge.cli.results import error_of, short_state
from agentforge.kit.errors import InvalidInput
from agentforge.kit.paths import home
from agentforge.kit.records import Record, from_struct, to_struct
from agentforge.kit.refs import ArtifactRef
from agentforge.track.start import start_followers
from agentforge.track.sweep.file import SweepFile, read_sweep
from agentforge.track.sweep.schema import check_space
from agentforge.track.sweep.sweep import Ended, OnValue, Sweep, dotted
from agentforge.v1 import phase_pb2, pipeline_pb2

PIPELINE = "pipeline"


@dataclass(frozen=True, slots=True)
class SweepOptions:
    what: str
    file: Path
    trials: int | None
    preset: str
    inputs: Sequence[str]
    target: str
    as_json: bool
    from_phase: str = ""
    until_phase: str = ""


def run_sweep(options: SweepOptions) -> int:
    sweep = read_sweep(options.file)
    if options.trials is not None:
        sweep = dataclasses.replace(sweep, trials=options.trials)
    if options.what == PIPELINE:
        outcome = _pipeline(sweep, options)
    else:
        _check_whole(options)
        if options.what not in pipeline_here().names and not options.target:
            raise near_phase(options.what, [*pipeline_here().names, PIPELINE], "PHASE")
        outcome = _phase(sweep, options)
    if outcome["best"] is not None:
        outcome["command"] = _command(sweep, options, outcome["best"]["params"])
    return _finish(outcome, as_json=options.as_json)


def _phase(sweep: SweepFile, options: SweepOptions) -> dict[str, Any]:
    with connect_phase(options.what, options.target) as client:
        description = client.describe()
        check_space(sweep.parameters, {options.what: from_struct(description.config_schema)}, prefixed=False)
        refs = bring_in(home(), options.inputs, slots_of(description.takes), remote=bool(options.target))

        def run_trial(run_id: str, config: dict[str, Any], heard: OnValue) -> Ended:
            try:
                run = client.start(run_id, config=config, inputs=refs, preset=options.preset, retry=True)
            except InvalidInput as error:  # values that are good one by one, and not together
                return Ended("FAILED", {}, f"{error.reason}: {error.message}")
            if not options.target:
                start_followers(home(), run_id, options.what)

            def stop(reason: str) -> object:
                return client.cancel(run_id, reason)

            with cancels(lambda: stop("Ctrl-C")):
                _hear(client.watch(run.run_id), sweep.metric, heard, stop)
            return _ended(client.get(run_id))

        return _swept(sweep, options, refs, run_trial)


def _pipeline(sweep: SweepFile, options: SweepOptions) -> dict[str, Any]:
    if options.target:
        raise InvalidInput("--target names a phase's service", field="--target", next_step="Leave it out.")
    with connect_gateway("") as gateway:
        statuses = _chosen(gateway.phases(), options)
        schemas = {each.phase: from_struct(each.description.config_schema) for each in statuses}
        check_space(sweep.parameters, schemas, prefixed=True)
        slots = slots_of(statuses[0].description.takes)
        refs = bring_in(home(), options.inputs, slots, remote=False)

    def run_trial(run_id: str, config: dict[str, Any], heard: OnValue) -> Ended:
        with connect_gateway("", own=run_id) as gateway:
            spec = pipeline_pb2.PipelineSpec(
                preset=options.preset,
                config={phase: to_struct(values) for phase, values in config.items()},
                inputs=[ref.to_proto() for ref in refs],
                from_phase=options.from_phase,
                until_phase=options.until_phase,
            )
            try:
                run = gateway.start(run_id, spec)
            except InvalidInput as error:
                return Ended("FAILED", {}, f"{error.reason}: {error.message}")
            if short_state(run.state) in ("CANCELLED", "FAILED"):
                gateway.resume(run_id)

            def stop(reason: str) -> object:
                return gateway.cancel(run_id, reason)

            with cancels(lambda: stop("Ctrl-C")):
                _hear(gateway.watch(run_id), sweep.metric, heard, stop)
            return _ended(gateway.get(run_id))

    return _swept(sweep, options, refs, run_trial)


def _check_whole(options: SweepOptions) -> None:
    for field, given in (("--from", options.from_phase), ("--until", options.until_phase)):
        if given:
            message = f"{field} {given}: a sweep of {options.what} has one phase"
            step = f"Leave it out, or write `agentforge sweep {PIPELINE}`."
            raise InvalidInput(message, reason="CONFLICTING_OPTIONS", field=field, next_step=step)


def _chosen(every: Sequence[pipeline_pb2.PhaseStatus], options: SweepOptions) -> Sequence[pipeline_pb2.PhaseStatus]:
    """The phases that each trial goes through, in order."""
    names = [status.phase for status in every]
    for field, given in (("--from", options.from_phase), ("--until", options.until_phase)):
        if given and given not in names:
            raise near_phase(given, names, field)
    first = names.index(options.from_phase) if options.from_phase else 0
    last = names.index(options.until_phase) if options.until_phase else len(names) - 1
    if first > last:
        message = f"--from {options.from_phase} comes after --until {options.until_phase}"
        raise InvalidInput(message, reason="PHASE_ORDER", field="--until", next_step=f"Order: {', '.join(names)}.")
    return every[first : last + 1]


def _hear(records: Iterable[Record], metric: str, heard: OnValue, stop: Any) -> None:
    """Values on the way, of the measurement that is sought; stop the run when they are bad."""
    asked = False
    for record in records:
        measured = record.get("measurement", {})
        if measured.get("name") == metric and measured.get("step") is not None and not asked:
            asked = heard(measured["step"], measured["value"])
            if asked:
                stop("pruned by the sweep")


def _ended(run: phase_pb2.Run | pipeline_pb2.Pipeline) -> Ended:
    parts = run.phases if isinstance(run, pipeline_pb2.Pipeline) else [run]
    measured = {one.name: one.value for part in parts for one in part.measurements}
    error = error_of(run)
    return Ended(short_state(run.state), measured, f"{error['reason']}: {error['message']}" if error else "")


def _swept(sweep: SweepFile, options: SweepOptions, refs: Sequence[ArtifactRef], run_trial: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {"preset": options.preset}
    asked["inputs"] = [[ref.name, ref.kind, ref.sha256] for ref in refs]
    if options.from_phase or options.until_phase:
        asked["phases"] = [options.from_phase, options.until_phase]

    def show(row: Mapping[str, Any]) -> None:
        if options.as_json:
            print(json.dumps({"trial": row}), flush=True)
            return
        said = f"{row['value']:.6g}" if row["value"] is not None else row["error"]
        print(f"{row['run_id']}  {row['state']:<8}  {said}  {_words(row['params'])}", flush=True)

    return Sweep(home(), sweep, options.what, asked).run(run_trial, show)


def _finish(outcome: dict[str, Any], *, as_json: bool) -> int:
    best = outcome["best"]
    if as_json:
        print(json.dumps(outcome), flush=True)
    elif best is None:
        print(f"sweep {outcome['sweep']}: none of {len(outcome['trials'])} trials succeeded")
    else:
        count = len(outcome["trials"])
        print(f"sweep {outcome['sweep']}: {outcome['metric']} = {best['value']:.6g} is the best of {count} trials")
        print(f"  {outcome['command']}")
        print(f"  what it set beyond its preset: {outcome['best_file']}")
    return 0 if best is not None else 1


def _command(sweep: SweepFile, options: SweepOptions, params: Mapping[str, Any]) -> str:
    """What does the best trial again: all of what it was asked, not only what was searched."""
    words = ["run"] if options.what == PIPELINE else ["phase", options.what]
    if options.preset or options.what == PIPELINE:  # without the option a run takes another than none
        words += ["--preset", shlex.quote(options.preset)]
    for name, value in (
        ("from", options.from_phase), ("until", options.until_phase),
        *(("input", given) for given in options.inputs), ("target", options.target),
    ):  # fmt: skip
        words += [f"--{name}", shlex.quote(value)] if value else []
    return f"agentforge {' '.join(words)} {_words({**dotted(sweep.config), **params}, '--set ')}"


def _words(params: Mapping[str, Any], before: str = "") -> str:
    return " ".join(before + shlex.quote(f"{name}={_yaml(value)}") for name, value in sorted(params.items()))


def _yaml(value: Any) -> str:
    """JSON is YAML; plain words need no quotes."""
    return value if isinstance(value, str) and value.isidentifier() else json.dumps(value)
