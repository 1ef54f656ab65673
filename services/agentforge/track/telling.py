"""Follow a run's log and tell W&B of it. Resumable: what was not finished is told again."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from agentforge.kit.files import disk_errors, remove_tree
from agentforge.track import mode as modes
from agentforge.track.position import Place, Position
from agentforge.track.sink import WandbSink
from agentforge.track.source import Source

KIND = "wandb"
DIRECTORY_VARIABLE = "AGENTFORGE_WANDB_DIR"
FINISH_S = 300.0
EXIT_UNFINISHED = 75


def tell_wandb(
    source: Source,
    mode: modes.Mode,
    *,
    again: bool,
    stop: threading.Event,
    idle_s: float,
    finish_s: float = FINISH_S,
) -> int:
    """Until the run is final and W&B has all of it; the sequence of the last event that it has."""
    modes.check(mode)
    _ = source.request  # a run that is not there is no reason to make directories
    place = Place(source, KIND)
    with place.alone():
        position = Position() if again else place.load()
        directory = _directory(place)
        if mode is modes.Mode.OFFLINE:
            _drop(directory, [path.name for path in (directory / "wandb").glob("*")] if again else position.unsafe)
        position.unsafe = []
        place.save(position)

        def opened(path: Path) -> None:
            position.unsafe.append(path.name)
            place.save(position)

        sink = WandbSink(source, mode, directory, opened)
        # A server knows itself what it has, and the sink needs what was before to say what came of it.
        after = 0 if mode is modes.Mode.ONLINE else position.told
        with disk_errors(directory):
            last = _feed(sink, source, after, stop, idle_s, finish_s)
        place.save(Position(told=max(last, position.told)))
        return last


def _feed(
    sink: WandbSink, source: Source, after: int, stop: threading.Event, idle_s: float, finish_s: float
) -> int:
    last = after
    try:
        for record in source.follow(after, stop, idle_s):
            sink.feed(record)
            last = record["sequence"]
    except Exception:
        with _deadline(finish_s), contextlib.suppress(Exception):  # the first error is the one to tell
            sink.finish()
        raise
    with _deadline(finish_s):
        sink.finish()
    return last


def _directory(place: Place) -> Path:
    """Where wandb writes: on the volume, or where AGENTFORGE_WANDB_DIR says."""
    given = os.environ.get(DIRECTORY_VARIABLE)
    directory = Path(given).expanduser().absolute() / place.path.parent.name if given else place.path
    with disk_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
    return directory


def _drop(directory: Path, names: list[str]) -> None:
    """Offline runs that a killed process left half-written, or that are told again. Only what wandb names so."""
    for name in names:
        if name.startswith("offline-run-") and "/" not in name:
            remove_tree(directory / "wandb" / name)


@contextlib.contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """wandb has been known to wait for ever (#4217). Then this process ends; what it told is told again later."""

    def give_up() -> None:
        print(f"W&B did not finish within {seconds:g} s; `agentforge track` tells it again", file=sys.stderr)  # noqa: T201
        sys.stderr.flush()
        os._exit(EXIT_UNFINISHED)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
