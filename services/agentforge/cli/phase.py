"""`agentforge phase`: one phase, straight at its service. Needs no gateway."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentforge.cli import results
from agentforge.cli.connect import connect_phase
from agentforge.cli.delivery import check_free
from agentforge.cli.inputs import bring_in, slots_of
from agentforge.cli.interrupt import cancels
from agentforge.cli.plans import show_phase_plan
from agentforge.cli.progress import follower
from agentforge.cli.several import ALONE, Several, elsewhere, with_processes
from agentforge.kit.paths import check_run_id, home
from agentforge.kit.refs import ArtifactRef
from agentforge.track.start import start_followers

if TYPE_CHECKING:
    from agentforge.client import PhaseClient
    from agentforge.v1 import phase_pb2


@dataclass(frozen=True, slots=True)
class PhaseOptions:
    name: str
    preset: str
    inputs: Sequence[str]
    settings: Sequence[str]
    out: Path | None
    run_id: str
    target: str
    as_json: bool
    several: Several = ALONE

    @property
    def resume_hint(self) -> str:
        target = f" --target {self.target}" if self.target else ""
        return f"{self.several.environment}agentforge resume {self.run_id} --phase {self.name}{target}"


def run_phase(options: PhaseOptions, *, dry_run: bool) -> int:
    began = time.monotonic()
    with results.refusal_line(options.run_id, began, wanted=options.as_json and not dry_run):
        check_run_id(options.run_id)
        check_free(options.out)
        options.several.check(target=options.target)
        config = with_processes(options.settings, options.several)
        with connect_phase(options.name, options.target) as client:
            takes = slots_of(client.describe().takes)
            inputs = bring_in(home(), options.inputs, takes, remote=bool(options.target))
            if dry_run:
                return show_phase_plan(client, options, config, inputs)
            with elsewhere(options.several, home() / "runs" / options.run_id / options.name):
                run = _start_and_follow(client, options, config, inputs)
        result = results.of_run(home(), run, time.monotonic() - began)
        code = results.deliver_into(result, home(), results.refs(run), options.out)
    return results.finish(result, code, as_json=options.as_json, resume_hint=options.resume_hint)


def _start_and_follow(
    client: PhaseClient, options: PhaseOptions, config: dict[str, Any], inputs: Sequence[ArtifactRef]
) -> phase_pb2.Run:
    """`retry`, so that the same command goes on with a run of this id that was cancelled or failed."""
    run = client.start(options.run_id, config=config, inputs=inputs, preset=options.preset, retry=True)
    if not options.target:
        start_followers(home(), options.run_id, options.name)
    return follow_run(client, run, as_json=options.as_json)


def follow_run(client: PhaseClient, run: phase_pb2.Run, *, as_json: bool, after: int = 0) -> phase_pb2.Run:
    """Show a run's events until it is final; Ctrl-C cancels it."""
    with cancels(lambda: client.cancel(run.run_id, "Ctrl-C")), follower(as_json=as_json) as view:
        for record in client.watch(run.run_id, after):
            view.feed(record)
    return client.get(run.run_id)
