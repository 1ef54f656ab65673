"""Whether an escape succeeded: things that it would have to touch, and a look at each of them afterwards."""

from __future__ import annotations

import os
import platform
import resource
import secrets
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from agentforge.tools.sandbox.escape import PRELUDE, Escape
from agentforge.tools.sandbox.launch import CHILD, run_python
from agentforge.tools.sandbox.limits import Limits, Outcome

ENVIRONMENT = "AGENTFORGE_CANARY"
LIMITS = Limits(seconds=0.3, cpu_seconds=1, memory=128 << 20, output=16 << 10)
LATE = 2.0  # seconds behind the limit: a machine with much to do may be late, what goes on is later
MEMORY = 64 << 20  # bytes above the limit


class Canaries:
    """A secret in a file, in the environment and behind an open descriptor; sockets that listen; a process."""

    def __init__(self) -> None:
        self.secret, self.proof = secrets.token_hex(16), secrets.token_hex(16)
        self._stack = ExitStack()

    def __enter__(self) -> Canaries:
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self.folder.chmod(0o777)  # so that nothing but the sandbox stands in the way
        self.file = self.folder / "secret"
        self.file.write_text(self.secret)
        self.file.chmod(0o666)
        self.descriptor = os.open(self.file, os.O_RDWR)
        self._stack.callback(os.close, self.descriptor)
        os.set_inheritable(self.descriptor, True)
        self._sockets()
        self.victim = subprocess.Popen(["sleep", "60"], start_new_session=True)
        self._stack.callback(self._bury)
        os.environ[ENVIRONMENT] = self.secret
        self._stack.callback(os.environ.pop, ENVIRONMENT, None)
        self._before = self._state()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._stack.close()

    def scope(self) -> str:
        """Code that gives an escape its names."""
        names = {
            "secret_file": str(self.file), "folder": str(self.folder), "tcp_port": self.tcp.getsockname()[1],
            "udp_port": self.udp.getsockname()[1], "unix_path": str(self.folder / "unix"), "proof": self.proof,
            "abstract": self.proof[::-1], "victim": self.victim.pid, "launcher": os.getpid(),
            "machine": platform.machine(),
        }  # fmt: skip
        return "".join(f"{name} = {value!r}\n" for name, value in names.items())

    def code(self, escape: Escape) -> str:
        return self.scope() + PRELUDE + escape.code

    def effects(self, text: str) -> list[str]:
        """What has been touched."""
        looked = {
            "the secret was read": self.secret in text,
            "the kernel answered": self.proof in text,
            "files were changed": self._state() != self._before,
            "something came by the network": any(map(_heard, (self.tcp, self.udp, self.unix, self.abstract))),
            "a process was stopped or killed": not self._unharmed(),
            "processes were left behind": bool(_left_behind()),
        }
        return [effect for effect, holds in looked.items() if holds]

    def _sockets(self) -> None:
        self.tcp, self.udp = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
        self.unix, self.abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        for each, address in (
            (self.tcp, ("127.0.0.1", 0)), (self.udp, ("127.0.0.1", 0)),
            (self.unix, str(self.folder / "unix")), (self.abstract, "\0" + self.proof[::-1]),
        ):  # fmt: skip
            self._stack.enter_context(each)
            each.bind(address)
            each.setblocking(False)
            if each is not self.udp:
                each.listen()
        (self.folder / "unix").chmod(0o777)

    def _state(self) -> list[tuple[str, int, bytes]]:
        return [
            (path.name, path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
            for path in sorted(self.folder.iterdir())
        ]

    def _unharmed(self) -> bool:
        stopped = os.WUNTRACED | os.WNOHANG
        return self.victim.returncode is None and os.waitpid(self.victim.pid, stopped)[0] == 0

    def _bury(self) -> None:
        self.victim.kill()
        self.victim.wait()


def attempt(escape: Escape) -> tuple[Outcome, list[str]]:
    """Run it in the sandbox. An escape succeeded if it had an effect, or ended otherwise than it has to."""
    with Canaries() as canaries:
        peak = _peak()
        outcome = run_python(canaries.code(escape), LIMITS)
        effects = canaries.effects(outcome.text)
    over = {
        "it ran on": outcome.seconds > LIMITS.seconds + LATE,
        "it printed more": len(outcome.text.encode(errors="replace")) > 3 * LIMITS.output,
        "it took more memory": _peak() > max(peak, LIMITS.memory + MEMORY),
        f"it ended by {outcome.failure}": bool(escape.ends) and outcome.failure not in (*escape.ends, "time"),
        "it was not started": not outcome.layers,
    }
    return outcome, [*effects, *(what for what, holds in over.items() if holds)]


def attempt_bare(escape: Escape) -> list[str]:
    """The same in an ordinary process: what is noticed then is what the sandbox prevents."""
    with Canaries() as canaries:
        command = [sys.executable, "-c", canaries.code(escape)]
        done = subprocess.run(
            command, capture_output=True, cwd=canaries.folder, timeout=20, pass_fds=(canaries.descriptor,)
        )
        return canaries.effects(done.stdout.decode(errors="replace"))


def _heard(listener: socket.socket) -> bool:
    try:
        if listener.type is socket.SOCK_DGRAM:
            return bool(listener.recv(99))
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def _left_behind() -> list[int]:
    """Processes that this one started as a sandbox, and that live: forks keep their command line."""
    own = f"\0{CHILD}\0{os.getpid()}\0".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if own in line:
            found.append(int(path.parent.name))
    return found


def _peak() -> int:
    """Of children so far; each began as a fork of this process, and counts what that held."""
    who = (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF)
    return max(resource.getrusage(each).ru_maxrss for each in who) << 10
