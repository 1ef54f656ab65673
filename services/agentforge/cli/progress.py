"""What is seen of a running run: bars on a terminal, plain lines in a file, JSON lines for programs.

All three are fed by records of the event log and by nothing else."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

Record = dict[str, Any]

_QUIET_S = 2.0  # between two progress lines of a phase where there is no terminal


class Follower(Protocol):
    def feed(self, record: Record) -> None: ...


@contextmanager
def follower(*, as_json: bool) -> Iterator[Follower]:
    """The follower that fits to where stdout goes."""
    if as_json:
        yield JsonLines()
    elif sys.stdout.isatty():
        with _bars() as bars:
            yield bars
    else:
        yield PlainLines()


def state_name(state: str) -> str:
    """RUN_STATE_RUNNING as people say it."""
    return state.removeprefix("RUN_STATE_")


class JsonLines:
    """Each event as one line, in the form it has in events.jsonl."""

    def feed(self, record: Record) -> None:
        if "heartbeat" not in record and "caught_up" not in record:
            print(json.dumps(record, ensure_ascii=False), flush=True)


class PlainLines:
    """One line per thing worth reading; progress at most every two seconds, and its last one before a new state."""

    def __init__(self) -> None:
        self._shown: dict[str, float] = {}
        self._waiting: dict[str, Record] = {}

    def feed(self, record: Record) -> None:
        phase = str(record.get("phase", ""))
        if "progress" in record:
            if time.monotonic() - self._shown.get(phase, -_QUIET_S) < _QUIET_S:
                self._waiting[phase] = record
                return
            self._shown[phase] = time.monotonic()
            self._waiting.pop(phase, None)
        elif "state_changed" in record and phase in self._waiting:
            self._print(self._waiting.pop(phase))
        self._print(record)

    def _print(self, record: Record) -> None:
        for line in lines(record):
            print(line, flush=True)


class Bars:
    """One bar per phase; what is worth reading scrolls above them."""

    def __init__(self, progress: Any) -> None:
        self._progress = progress
        self._tasks: dict[str, Any] = {}

    def feed(self, record: Record) -> None:
        phase = str(record.get("phase", ""))
        if "progress" in record:
            now = record["progress"]
            done, total = int(now.get("done", 0)), int(now.get("total", 0)) or None
            text = f"{done:,}{f'/{total:,}' if total else ''} {now.get('unit', '')}  {now.get('message', '')}"
            self._progress.update(self._task(phase), completed=done, total=total, what=text.rstrip())
            return
        if "state_changed" in record and phase:
            state = state_name(record["state_changed"]["state"])
            self._progress.update(self._task(phase), state=state)
            if state not in {"FAILED", "CANCELLED"}:
                return
        for line in lines(record):
            self._progress.console.print(line, markup=False, highlight=False)

    def _task(self, phase: str) -> Any:
        if phase not in self._tasks:
            self._tasks[phase] = self._progress.add_task(phase, total=None, state="", what="")
        return self._tasks[phase]


@contextmanager
def _bars() -> Iterator[Bars]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:<12}", markup=False),
        TextColumn("{task.fields[state]:<10}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[what]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns) as progress:
        yield Bars(progress)


def lines(record: Record) -> Iterable[str]:
    """The record for people; nothing for what is not worth a line (steps of a curve, signs of life)."""
    phase = str(record.get("phase", "")) or "pipeline"
    clock = str(record.get("time", ""))[11:19]
    text = _text(record)
    return [f"{clock} {phase:<12} {part}" for part in text.splitlines()]


def _text(record: Record) -> str:
    if change := record.get("state_changed"):
        return _state_text(change, int(record.get("attempt", 0)))
    if progress := record.get("progress"):
        total = f"/{progress['total']:,}" if progress.get("total") else ""
        text = f"{progress.get('done', 0):,}{total} {progress.get('unit', '')}  {progress.get('message', '')}"
        return text.rstrip()
    if (measured := record.get("measurement")) and measured.get("step") is None:
        return measurement_text(measured)
    if log := record.get("log"):
        level = str(log.get("level", "")).removeprefix("LEVEL_").lower()
        return f"{log.get('message', '')}" if level == "info" else f"{level}: {log.get('message', '')}"
    if produced := record.get("artifact_produced"):
        artifact = produced["artifact"]
        return f"made {artifact['name']} ({artifact['kind']}): {artifact['path']}"
    if sample := record.get("sample"):
        return f"{sample['name']}: {json.dumps(sample.get('data', {}), ensure_ascii=False)}"
    return ""


def _state_text(change: Record, attempt: int) -> str:
    text = state_name(change["state"])
    text += f" (attempt {attempt})" if attempt > 1 and text == "RUNNING" else ""
    text += f": {change['reason']}" if change.get("reason") else ""
    if error := change.get("error"):
        text += f"\n  {error.get('message', '')}"
        text += f"\n  next: {error['next_step']}" if error.get("next_step") else ""
    return text


def measurement_text(measured: Record) -> str:
    """ "echo/bytes = 5 By ± 0.1 (count of bytes, n=1)" """
    unit = "" if measured["unit"] == "1" else f" {measured['unit']}"
    spread = f" ± {measured['spread']:.3g}" if measured.get("spread") is not None else ""
    return f"{measured['name']} = {measured['value']:.6g}{unit}{spread} ({measured['method']}, n={measured['n']})"
