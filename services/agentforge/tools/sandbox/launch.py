"""The side of a run that does not trust: starts the locked-in process, watches it and ends it."""

from __future__ import annotations

import os
import platform
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from agentforge.kit.errors import MissingTool, ResourceExhausted
from agentforge.tools.sandbox.limits import Failure, Limits, Outcome
from agentforge.tools.sandbox.seccomp import ABIS, Abi, program

# What code can import, apart from what is built into Python. Pure computing; nothing that needs a file later.
MODULES = (
    "array", "base64", "bisect", "calendar", "cmath", "collections", "copy", "dataclasses", "datetime", "decimal",
    "enum", "fractions", "functools", "hashlib", "heapq", "itertools", "json", "math", "numbers", "operator",
    "random", "re", "statistics", "string", "textwrap", "time", "typing", "unicodedata",
)  # fmt: skip
CHILD = Path(__file__).with_name("child.py")
_START_SECONDS = 30  # till it is locked in: milliseconds, where the machine is not at its end
_DEATH_SECONDS = 5  # that a killed process may take to be gone
_SAID = 4096  # bytes that are read of what is said about the code
_CHUNK = 64 << 10
_MESSAGE = 300  # characters
_SAYS: Mapping[str, Failure] = {"refused": "refused", "error": "error"}


def run_python(code: str, limits: Limits = Limits()) -> Outcome:  # noqa: B008 - frozen
    """Never raises for what the code is or does. MissingTool where this machine cannot lock a process in."""
    abi = check_machine()
    try:
        source = code.encode()
    except UnicodeEncodeError as error:
        return Outcome("", "error", f"SyntaxError: the code is no text: {error.reason}", 0.0, ())
    if len(source) > limits.code:
        message = f"the code has {len(source):,} bytes; the limit is {limits.code:,}"
        return Outcome("", "refused", message, 0.0, ())
    with _launched(source, limits, abi) as process:
        return Watch(process, limits).outcome()


LAYERS = {
    "seccomp": "the kernel answers no call but those for computing, sleeping and printing",
    "rlimits": "limits on memory, processor, files, processes",
    "nobody": "started by root, it goes on as nobody; others keep their user",
    "namespaces": "its own network without a device, its own processes, mounts, users",
    "empty-root": "the root folder is an empty one",
}


def protection() -> dict[str, bool]:
    """Which of LAYERS hold on this machine, as a locked-in process says. MissingTool where none can be started."""
    active = run_python("").layers
    return {layer: layer in active for layer in LAYERS}


def check_machine() -> Abi:
    if sys.platform != "linux" or platform.machine() not in ABIS:
        message = f"there is no way to lock a process in on {sys.platform} {platform.machine()}"
        step = f"Python is run for a model on Linux on {' or '.join(ABIS)} alone; leave out the tool python."
        raise MissingTool(message, reason="NO_SANDBOX", next_step=step)
    return ABIS[platform.machine()]


@contextmanager
def _launched(source: bytes, limits: Limits, abi: Abi) -> Iterator[subprocess.Popen[bytes]]:
    """Its own group, no environment, no descriptors. However this is left, the whole group is gone."""
    arguments = [os.getpid(), limits.memory, limits.cpu_seconds, program(abi).hex(), ",".join(MODULES)]
    command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", str(CHILD), *map(str, arguments)]
    try:
        with os.fdopen(os.memfd_create("code"), "wb") as file:  # a pipe could fill up, and block
            file.write(source)
            file.seek(0)
            process = subprocess.Popen(
                command, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                bufsize=0, env={}, cwd="/", start_new_session=True,
            )  # fmt: skip
    except OSError as error:
        raise ResourceExhausted(f"no process could be started: {error}") from error
    try:
        yield process
    finally:
        if process.returncode is None:
            end(process)
        for pipe in (process.stdout, process.stderr):
            assert pipe
            pipe.close()


def end(process: subprocess.Popen[bytes]) -> float:
    """Kill the group, then take its first process away: the other way round its number could be another's.

    The inner process is not ours to wait for: but once the pipes hang up, its memory is gone too.
    Gives the seconds of the processor that the group used.
    """
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdout, process.stderr):
        hung_up = select.poll()
        hung_up.register(pipe, 0)  # type: ignore[arg-type]  # both are pipes
        hung_up.poll(_DEATH_SECONDS * 1000)
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except ChildProcessError:  # the caller ignores SIGCHLD: how it ended is lost
        process.returncode = -signal.SIGKILL
        return 0.0
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


@dataclass
class Watch:
    """Reads no more than is allowed and waits no longer than is allowed, whatever the process does."""

    process: subprocess.Popen[bytes]
    limits: Limits
    text: bytearray = field(default_factory=bytearray)
    said: bytearray = field(default_factory=bytearray)
    started: float | None = None
    deadline: float = field(default_factory=lambda: time.monotonic() + _START_SECONDS)

    def outcome(self) -> Outcome:
        failure = self._read() or self._wait()
        ended = time.monotonic()
        cpu_seconds = end(self.process)
        if self.started is None:
            raise self._not_started()
        first, _, rest = bytes(self.said).partition(b"\n")
        if failure is None:
            failure, message = self._ending(rest, cpu_seconds)
        else:
            message = f"ended at its limit of {self._limit(failure)}"
        text = bytes(self.text[: self.limits.output]).decode(errors="replace")
        return Outcome(text, failure, message, ended - self.started, tuple(first.decode().split()[1:]))

    def _read(self) -> Failure | None:
        """Until both pipes are closed. What is printed is looked at when the process is locked in, not before."""
        assert self.process.stdout
        assert self.process.stderr
        out, err = self.process.stdout.fileno(), self.process.stderr.fileno()
        poll, open_ = select.poll(), {out, err}
        poll.register(err, select.POLLIN)
        while open_:
            left = self.deadline - time.monotonic()
            if left <= 0:
                return "time"
            for descriptor, _ in poll.poll(left * 1000):
                held, most = (self.text, self.limits.output) if descriptor == out else (self.said, _SAID)
                chunk = os.read(descriptor, min(_CHUNK, most + 1 - len(held)))
                held += chunk
                if self.started is None and self._is_ready():
                    poll.register(out, select.POLLIN)
                if len(held) > most:
                    return "output"
                if not chunk:
                    poll.unregister(descriptor)
                    open_.remove(descriptor)
                    if self.started is None:
                        return None
        return None

    def _is_ready(self) -> bool:
        """From here the code's time runs."""
        if not (self.said.startswith(b"ready ") and b"\n" in self.said):
            return False
        self.started = time.monotonic()
        self.deadline = self.started + self.limits.seconds
        return True

    def _wait(self) -> Failure | None:
        """For the process's end; it stays to be taken away by `end`."""
        pause = 0.0001
        with suppress(ChildProcessError):
            while os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                if time.monotonic() > self.deadline:
                    return "time"
                time.sleep(pause)
                pause = min(2 * pause, 0.01)
        return None

    def _ending(self, said: bytes, cpu_seconds: float) -> tuple[Failure | None, str]:
        """How the process ended tells more than what it said; and "done" is only what has been said to be."""
        code = self.process.returncode
        # The kernel holds the limit against ticks, which a busy machine counts too many of: so half is enough here.
        if code in (-signal.SIGKILL, -signal.SIGXCPU) and cpu_seconds > self.limits.cpu_seconds / 2:
            return "time", f"ended at its limit of {self._limit('cpu')}"
        if code < 0:
            return "died", f"ended by signal {-code}"
        word, _, message = said.decode(errors="replace").partition(" ")
        if word == "done" and code == 0:
            return None, ""
        if word == "memory":
            return "memory", f"ended at its limit of {self._limit('memory')}"
        if word in _SAYS:
            return _SAYS[word], message[:_MESSAGE]
        return "died", f"ended with exit status {code}, and not at the end of the code"

    def _limit(self, of: str) -> str:
        return {
            "time": f"{self.limits.seconds:g} seconds",
            "cpu": f"{self.limits.cpu_seconds} seconds of the processor",
            "memory": f"{self.limits.memory:,} bytes of memory",
            "output": f"{self.limits.output:,} bytes of output",
        }[of]

    def _not_started(self) -> MissingTool:
        said = self.said.decode(errors="replace").strip().splitlines() or [
            f"it ended with {self.process.returncode}"
        ]
        message = f"the process could not be locked in, so nothing was run: {said[-1][:_MESSAGE]}"
        step = "It needs seccomp filters (CONFIG_SECCOMP_FILTER) and, in a container, the right to set them."
        return MissingTool(message, reason="NO_SANDBOX", next_step=step)
