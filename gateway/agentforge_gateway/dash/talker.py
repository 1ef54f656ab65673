"""One model in a process of its own, asked line by line: `agentforge chat MODEL --json` with its stdin kept open.

The gateway has no torch, and a model's memory goes back when its process ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agentforge.kit.errors import FailedPrecondition, ForgeError, InvalidInput, ResourceExhausted, Unavailable

_MOST_WAITING = 4  # prompts for one model, the one that is being answered among them
_STDERR_LINES = 50
_SECRETS = frozenset({"AGENTFORGE_TOKEN", "AGENTFORGE_TOKEN_FILE", "AGENTFORGE_DATABASE_URL"})
_INVALID_INPUT = 2  # exit code


@dataclass(frozen=True, slots=True)
class Limits:
    answer_s: float = 120.0  # loading the model included
    idle_s: float = 300.0
    answer_bytes: int = 1 << 20
    alive: int = 2  # processes


class Talker:
    """The process starts with the first prompt and after a failure, and ends when nobody has asked for a while."""

    def __init__(self, command: Sequence[str], limits: Limits) -> None:
        self._command = command
        self._limits = limits
        self._turn = asyncio.Lock()
        self._asking = 0
        self._process: Process | None = None
        self._said: deque[bytes] = deque(maxlen=_STDERR_LINES)
        self._hearing: asyncio.Task[None] | None = None
        self._clock: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def busy(self) -> bool:
        return self._asking > 0

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """While somebody asks, it is not idle."""
        if self._asking >= _MOST_WAITING:
            message = f"{self._asking} prompts wait for this model already"
            raise ResourceExhausted(message, reason="CHAT_BUSY", field="model", next_step="Ask again in a moment.")
        self._asking += 1
        self._stop_clock()
        try:
            yield
        finally:
            self._asking -= 1
            if not self._asking and not self._closed:
                self._clock = asyncio.get_running_loop().call_later(self._limits.idle_s, self._is_idle)

    async def ask(self, prompt: str) -> dict[str, Any]:
        """One line in, one line out."""
        async with self._turn:
            try:
                async with asyncio.timeout(self._limits.answer_s):
                    return await self._ask(prompt)
            except TimeoutError:
                await self.end()
                raise Unavailable(
                    f"the model did not answer within {self._limits.answer_s:g} s",
                    reason="CHAT_TIMEOUT",
                    field="max_new_tokens",
                    next_step="Ask for fewer tokens, or ask again when the machine is less busy.",
                ) from None
            except BaseException:
                await self.end()  # or the next one who asks would hear this answer
                raise

    async def end(self) -> None:
        """At once, with whatever it started."""
        self._stop_clock()
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    async def close(self) -> None:
        self._closed = True
        await self.end()

    async def _ask(self, prompt: str) -> dict[str, Any]:
        process = await self._alive()
        assert process.stdin is not None
        assert process.stdout is not None
        line = b""
        with contextlib.suppress(ConnectionError):  # it has ended: its last words say why
            process.stdin.write(prompt.encode() + b"\n")
            await process.stdin.drain()
            try:
                line = await process.stdout.readline()
            except ValueError:
                message = f"the answer has more than {self._limits.answer_bytes:,} bytes"
                step = "Ask for fewer tokens."
                raise FailedPrecondition(message, reason="CHAT_TOO_LONG", next_step=step) from None
        if not line.endswith(b"\n"):
            raise await self._failure(process)
        return _read(line)

    async def _alive(self) -> Process:
        if self._process is None:
            self._said.clear()
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=self._limits.answer_bytes,
                start_new_session=True, env=_environment(),
            )  # fmt: skip
            self._hearing = asyncio.create_task(self._hear(self._process))
        return self._process

    async def _hear(self, process: Process) -> None:
        """Its stderr, or the process would stand still when the pipe is full. The end is kept."""
        assert process.stderr is not None
        while True:
            try:
                line = await process.stderr.readline()
            except ValueError:
                continue  # a line longer than any message
            if not line:
                return
            self._said.append(line)

    async def _failure(self, process: Process) -> ForgeError:
        """What the process that has ended says of it."""
        if self._closed:
            return Unavailable("the gateway is stopping", next_step="Ask again in a moment.")
        code = await process.wait()
        if self._hearing is not None:
            await self._hearing
        if code < 0:
            message = f"the model's process was killed ({signal.Signals(-code).name})"
            step = "Often the machine has run out of memory: see its free memory, or take a smaller model."
            return FailedPrecondition(message, reason="CHAT_ENDED", field="model", next_step=step)
        return _told(list(self._said), code)

    def _is_idle(self) -> None:
        self._ending = asyncio.get_running_loop().create_task(self.end())

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None


def _environment() -> dict[str, str]:
    """Ours without what opens the gateway; prompts and answers are UTF-8 wherever it runs."""
    kept = {name: value for name, value in os.environ.items() if name not in _SECRETS}
    return kept | {"PYTHONUTF8": "1"}


def _read(line: bytes) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("text"), str):
        shown = line[:200].decode(errors="replace")
        raise FailedPrecondition(f"the model's process said what is no answer: {shown!r}", reason="CHAT_ENDED")
    return said


def _told(lines: list[bytes], code: int) -> ForgeError:
    """In its own words: `agentforge --json` ends with {"error": …} on stderr."""
    last = lines[-1].decode(errors="replace").strip() if lines else ""
    try:
        error = json.loads(last)["error"]
        words = {key: str(error.get(key, ""))[:2000] for key in ("reason", "field", "next_step")}
        message = str(error["message"])[:2000]
    except (ValueError, TypeError, KeyError, AttributeError):
        message = f"the model's process ended with exit code {code}: {last[:500] or 'it said nothing'}"
        return FailedPrecondition(message, reason="CHAT_ENDED", field="model")
    kind = InvalidInput if code == _INVALID_INPUT and words["reason"] != "MISSING_TOOL" else FailedPrecondition
    return kind(message, reason=words["reason"], field=words["field"], next_step=words["next_step"])
