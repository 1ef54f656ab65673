"""`agentforge run`: the whole road, or a part of it, by way of the gateway."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentforge.cli import results
from agentforge.cli.connect import connect_gateway
from agentforge.cli.delivery import check_free
from agentforge.cli.inputs import bring_in, slots_of
from agentforge.cli.interrupt import cancels
from agentforge.cli.naming import near_phase
from agentforge.cli.plans import show_pipeline_plan
from agentforge.cli.progress import follower
from agentforge.cli.several import with_processes_of_all
from agentforge.cli.values import parse_phase_settings
from agentforge.kit.errors import InvalidInput, Unavailable
from agentforge.kit.paths import check_run_id, home
from agentforge.kit.records import to_struct
from agentforge.v1 import phase_pb2, pipeline_pb2

if TYPE_CHECKING:
    from agentforge.cli.gateway import PipelineClient
    from agentforge.kit.refs import ArtifactRef


@dataclass(frozen=True, slots=True)
class RunOptions:
    preset: str
    settings: Sequence[str]
    from_phase: str
    until_phase: str
    inputs: Sequence[str]
    out: Path | None
    no_reuse: bool
    run_id: str
    gateway: str
    as_json: bool
    ask: str = ""
    nproc: int = 0

    @property
    def resume_hint(self) -> str:
        gateway = f" --gateway {self.gateway}" if self.gateway else ""
        return f"agentforge resume {self.run_id}{gateway}"


def run_pipeline(options: RunOptions, *, dry_run: bool) -> int:
    began = time.monotonic()
    with results.refusal_line(options.run_id, began, wanted=options.as_json and not dry_run):
        _check_ask(options)
        check_run_id(options.run_id)
        check_free(options.out)
        config = parse_phase_settings(options.settings)
        with connect_gateway(options.gateway, own="" if dry_run else options.run_id) as gateway:
            if options.nproc:
                config = with_processes_of_all(config, options.nproc, _described(gateway, options))
            spec = pipeline_pb2.PipelineSpec(
                preset=options.preset,
                config={phase: to_struct(values) for phase, values in config.items()},
                from_phase=options.from_phase,
                until_phase=options.until_phase,
                inputs=[ref.to_proto() for ref in _inputs(gateway, options)],
                no_reuse=options.no_reuse,
            )
            if dry_run:
                return show_pipeline_plan(gateway.plan(spec), embedded=not options.gateway, as_json=options.as_json)
            pipeline = follow_pipeline(gateway, gateway.start(options.run_id, spec), as_json=options.as_json)
        result = results.of_pipeline(home(), pipeline, time.monotonic() - began)
        made = next((results.refs(p) for p in reversed(pipeline.phases) if p.outputs), [])
        code = results.deliver_into(result, home(), made, options.out)
    code = results.finish(result, code, as_json=options.as_json, resume_hint=options.resume_hint)
    return code or _asked(result["outputs"], options.ask)


def _described(gateway: PipelineClient, options: RunOptions) -> list[phase_pb2.DescribePhaseResponse]:
    """The phases that would run, as far as their services answer; what is wrong with the names the plan says."""
    every = gateway.phases()
    names = [status.phase for status in every]
    first = names.index(options.from_phase) if options.from_phase in names else 0
    last = names.index(options.until_phase) if options.until_phase in names else len(names) - 1
    return [status.description for status in every[first : last + 1]]


def _check_ask(options: RunOptions) -> None:
    if options.ask and options.as_json:
        message = "--ask prints an answer, and --json a result as the last line"
        step = "Leave one of them out; `agentforge chat MODEL --prompt TEXT --json` asks a model by itself."
        raise InvalidInput(message, reason="CONFLICTING_OPTIONS", field="--ask", next_step=step)


def _asked(outputs: Sequence[Mapping[str, Any]], text: str) -> int:
    """The last phase's model answers, read from its files as any other."""
    if not text:
        return 0
    from agentforge.cli.chat import ChatOptions, chat

    model = next((Path(each["path"]) for each in outputs if each["kind"] == "model"), None)
    if model is None:
        message = "the last phase made no model that could be asked"
        raise InvalidInput(message, reason="NOT_A_MODEL", field="--ask", next_step="Leave out --until, or --ask.")
    print(f"{model} is asked {text!r}:")
    return chat(ChatOptions(model, [text], 64, 0.0, 0, trust_remote_code=False, as_json=False))


def follow_pipeline(
    gateway: PipelineClient, pipeline: pipeline_pb2.Pipeline, *, as_json: bool, after: int = 0
) -> pipeline_pb2.Pipeline:
    """Show the events of all phases until the run is final; Ctrl-C cancels it."""
    run_id = pipeline.run_id
    with cancels(lambda: gateway.cancel(run_id, "Ctrl-C")), follower(as_json=as_json) as view:
        for record in gateway.watch(run_id, after):
            view.feed(record)
    return gateway.get(run_id)


def _inputs(gateway: PipelineClient, options: RunOptions) -> list[ArtifactRef]:
    """Inputs go to the first phase that runs, so its slots say what they are."""
    if not options.inputs:
        return []
    phases = {status.phase: status for status in gateway.phases()}
    first = options.from_phase or next(iter(phases), "")
    if first not in phases:
        raise near_phase(first, list(phases), "--from")
    status = phases[first]
    if not status.HasField("description"):
        raise Unavailable(f"phase {first!r}: {status.error.message}", next_step=status.error.next_step)
    return bring_in(home(), options.inputs, slots_of(status.description.takes), remote=bool(options.gateway))
