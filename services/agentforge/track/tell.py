"""Tell of one run: what `agentforge track` and the gateway's followers both do."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

from agentforge.track.mode import Mode, decide
from agentforge.track.source import PIPELINE, Source

IDLE_S = 60.0
"""A run that is not final and that nobody works on is left after this; who resumes it starts a follower anew."""


def tell(
    kind: str,
    home: Path,
    run_id: str,
    phase: str = "",
    *,
    mode: str = "",
    again: bool = False,
    idle_s: float = IDLE_S,
) -> int:
    """Follow the run to its end; the sequence of the last event told. SIGTERM and SIGINT end it tidily."""
    source = Source(home, run_id, phase or PIPELINE)
    with _stopping() as stop:
        if kind == "otel":
            from agentforge.track.otlp import tell_otel

            return tell_otel(source, again=again, stop=stop, idle_s=idle_s)
        from agentforge.kit.errors import FailedPrecondition
        from agentforge.track.telling import tell_wandb

        decided = decide(mode)
        if decided is Mode.DISABLED:
            raise FailedPrecondition(
                "W&B is disabled, so there is nobody to tell",
                reason="TRACKING_DISABLED",
                field="AGENTFORGE_WANDB",
                next_step="Give --mode offline or online, or set AGENTFORGE_WANDB; WANDB_MODE=disabled wins.",
            )
        return tell_wandb(source, decided, again=again, stop=stop, idle_s=idle_s)


@contextlib.contextmanager
def _stopping() -> Iterator[threading.Event]:
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
