"""A rank other than the first: it goes through the phase with the leader, computes its share, writes nothing."""

from __future__ import annotations

import contextlib
import signal
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from agentforge.kit import ranks
from agentforge.kit.beats import Beats
from agentforge.kit.config import validate_config
from agentforge.kit.context import PhaseContext
from agentforge.kit.diagnosis import EXIT_RANK_LOST
from agentforge.kit.inputs import Inputs
from agentforge.kit.phase import PhaseSpec, load_object
from agentforge.kit.ranks import Ranks
from agentforge.kit.refs import ArtifactRef
from agentforge.kit.rundir import RunDirectory
from agentforge.kit.stopping import RunStopped, StopRequest
from agentforge.kit.team import by_hand, die_with_leader, join_as_follower

Told = tuple[int, dict[str, ArtifactRef]]


class Follower(PhaseContext):
    """What the leader's context says is said once, by the leader; what is written here goes."""

    @contextlib.contextmanager
    def output(self, name: str, kind: str | None = None) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self.scratch) as directory:
            yield Path(directory)


def follow(run: RunDirectory, own: Ranks) -> int:
    """Exit code 0 when it went to the end, or stopped with the others; 1, and a traceback, when it failed; 71 when
    the leader was lost after this rank's work was done."""
    die_with_leader()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # the leader hears them, and tells all ranks in the same step
    try:
        beats = _go_along(run, own)
    except RunStopped:
        return 0
    except Exception:
        traceback.print_exc()
        return 1
    if beats is None or by_hand():
        return 0
    # torchrun starts nobody again whose work is done, so it is not done before the leader's is.
    return 0 if beats.until_leader_leaves() else EXIT_RANK_LOST


def _go_along(run: RunDirectory, own: Ranks) -> Beats | None:
    request = run.request()
    spec: PhaseSpec = load_object(request.entry)
    config = validate_config(spec.config, request.config)
    inputs = Inputs.verified(run.home, spec.takes, request.inputs)
    beats = join_as_follower(own)
    attempt, published = tell()
    scratch = run.scratch_path / f"rank-{own.rank}"
    scratch.mkdir()
    context = Follower(run, spec, config.seed, inputs, _unheard, attempt, StopRequest(), published, scratch)
    spec.load_run()(context, config)
    if beats is not None and by_hand():
        beats.leave()
    return beats


def tell(attempt: int = 0, published: Mapping[str, ArtifactRef] = MappingProxyType({})) -> Told:
    """What the leader found out about the run, on all ranks: they must go the same way through the phase."""
    refs = {name: ref.to_json() for name, ref in published.items()}
    number, found = ranks.current().share([attempt, refs])
    return number, {name: ArtifactRef.from_json(ref) for name, ref in found.items()}


def _unheard(name: str, payload: Mapping[str, Any], attempt: int) -> None:
    """A follower's events."""
