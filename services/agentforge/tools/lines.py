"""A process that is spoken with in lines of JSON, each within a deadline and a size."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agentforge.kit.errors import ForgeError, InvalidInput
from agentforge.kit.processes import ProcessIdentity, kill_group

Spoken = Mapping[str, Any]

_DECLARATION = 200_000  # characters of what a line holds beside a result: names, descriptions, schemas


class Lines:
    """`most` are the characters of a result; `stop` ends the process, and its group if that is its own."""

    def __init__(
        self, command: Sequence[str], name: str, *, most: int, environment: Mapping[str, str], own_group: bool
    ) -> None:
        self._name, self._most = name, 12 * (most + _DECLARATION)  # JSON spells a character in up to 12 bytes
        self._popen = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
            start_new_session=own_group, env=dict(environment),
        )  # fmt: skip
        self._owner, self._unread = os.getpid(), bytearray()
        self._deadline = 0.0
        self.stop = weakref.finalize(self, _end, self._popen, ProcessIdentity.of(self._popen.pid), self._owner)

    @property
    def is_ready(self) -> bool:
        """Neither dead, which a process may be for reasons of its own, nor that of another who forked this one."""
        return self._owner == os.getpid() and self._popen.poll() is None

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """The deadline of all that is sent and received in here; what goes wrong is said of the tool."""
        self._deadline = time.monotonic() + seconds
        try:
            yield
        except TimeoutError:
            message = f"it did not answer within {seconds:g} s and was stopped"
            raise _failed(message, "TOOL_HUNG", self._name) from None
        except BrokenPipeError:
            raise self._death() from None

    def send(self, message: Spoken) -> None:
        assert self._popen.stdin is not None
        line, pipe = json.dumps(message).encode() + b"\n", self._popen.stdin.fileno()
        os.set_blocking(pipe, False)
        while line:
            self._await(pipe, select.POLLOUT)
            line = line[os.write(pipe, line[: 1 << 16]) :]

    def receive(self) -> Spoken:
        assert self._popen.stdout is not None
        pipe = self._popen.stdout.fileno()
        while (end := self._unread.find(b"\n")) < 0:
            self._await(pipe, select.POLLIN)
            piece = os.read(pipe, 1 << 16)
            if not piece:
                raise BrokenPipeError
            self._unread += piece
            if len(self._unread) > self._most:
                raise _failed("it answered too much and was stopped", "RESULT_TOO_LONG", self._name)
        line = bytes(self._unread[: end + 1])
        del self._unread[: end + 1]
        return _object(line, self._name)

    def _await(self, pipe: int, event: int) -> None:
        ready = select.poll()
        ready.register(pipe, event)
        left = self._deadline - time.monotonic()
        if left <= 0 or not ready.poll(left * 1_000):
            raise TimeoutError

    def _death(self) -> ForgeError:
        try:
            code = self._popen.wait(1)
        except subprocess.TimeoutExpired:
            return _failed("it closed its pipe and was stopped", "TOOL_DIED", self._name)
        if code == -signal.SIGALRM:
            return _failed("it did not answer in time and was stopped", "TOOL_HUNG", self._name)
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        return _failed(f"its process died ({how})", "TOOL_DIED", self._name)


def no_answer(name: str) -> ForgeError:
    return _failed("it answered what is no answer", "TOOL_DIED", name)


def _object(line: bytes, name: str) -> Spoken:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise no_answer(name) from None
    if not isinstance(found, dict):
        raise no_answer(name)
    return found


def _failed(message: str, reason: str, name: str) -> InvalidInput:
    return InvalidInput(message, reason=reason, field=name)


def _end(popen: subprocess.Popen[bytes], identity: ProcessIdentity, owner: int) -> None:
    if owner == os.getpid():
        kill_group(identity)
        popen.wait()
    for pipe in (popen.stdin, popen.stdout):
        if pipe is not None:
            pipe.close()
