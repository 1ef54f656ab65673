"""A tool in a process of its own: one that hangs, floods or dies harms nothing but its own call.

Against accidents, not against malice: the process is this user's, with files and network. Code that nobody trusts
belongs into `tools.sandbox`.
"""

from __future__ import annotations

import base64
import os
import pickle
import sys
import threading
from collections.abc import Mapping
from typing import Any

from agentforge.kit.errors import InvalidInput
from agentforge.tools.limits import Limits
from agentforge.tools.lines import Lines, Spoken, no_answer
from agentforge.tools.tool import Tool, ToolSpec

_SERVE = ("-m", "agentforge.tools.serving")


class Isolated:
    """Starts its process at the first call and again after each that had to be killed. One call at a time."""

    def __init__(self, origin: Mapping[str, str], name: str, limits: Limits) -> None:
        self._origin, self._name, self.limits = origin, name, limits
        self._lock = threading.Lock()
        self._process: _Serving | None = None
        self._spec: ToolSpec | None = None

    @classmethod
    def of(cls, tool: Tool, limits: Limits) -> Isolated:
        """A tool that was made here is sent to its process as a pickle."""
        spec = tool.spec
        try:
            pickled = base64.b64encode(pickle.dumps(tool)).decode()
        except Exception as error:  # pickle raises whatever the tool's parts raise
            message = f"the tool {spec.name} cannot be sent to a process of its own: {error}"
            step = "Make it picklable (a class of a module), or mark it trusted = True if it surely ends."
            raise InvalidInput(message, reason="BAD_TOOL", field=spec.name, next_step=step) from error
        made = cls({"pickle": pickled}, spec.name, limits)
        made._spec = spec
        return made

    @classmethod
    def at(cls, reference: str, limits: Limits) -> Isolated:
        """`module:attribute`, imported there only. What is wrong with it is told at once."""
        made = cls({"reference": reference}, reference, limits)
        made._spec = ToolSpec.from_mcp(made._declared())
        made._name = made._spec.name
        return made

    @property
    def spec(self) -> ToolSpec:
        assert self._spec is not None
        return self._spec

    def start(self) -> None:
        """For what else would be told at the first call: that it cannot be had."""
        with self._lock:
            self._running()

    def call(self, arguments: Mapping[str, Any]) -> str:
        return self._ask({"arguments": dict(arguments)})

    def answer(self, argument: str) -> str:
        """Checked against the schema over there too, since a schema's patterns can hang like any code."""
        return self._ask({"argument": argument})

    def _declared(self) -> object:
        with self._lock:
            return self._running().declared

    def close(self) -> None:
        with self._lock:
            self._stop()

    def _ask(self, request: Mapping[str, Any]) -> str:
        with self._lock:
            try:
                reply = self._running().ask(request, self.limits.seconds)
            except BaseException:
                self._stop()
                raise
        if "error" in reply:
            raise InvalidInput(str(reply["error"]), reason=str(reply["reason"]), field=self._name)
        return str(reply["text"])

    def _running(self) -> _Serving:
        if self._process is not None and not self._process.is_ready:
            self._stop()
        if self._process is None:
            self._process = _Serving(self._origin, self._name, self.limits)
            try:
                self._process.greet()
            except BaseException:
                self._stop()
                raise
        return self._process

    def _stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None


class _Serving:
    """The process, as its toolbox speaks with it."""

    def __init__(self, origin: Mapping[str, str], name: str, limits: Limits) -> None:
        self._origin, self._name, self._limits = origin, name, limits
        self.declared: object = None
        self._asked = 0
        path = os.pathsep.join(each or os.curdir for each in sys.path)
        command, environment = [sys.executable, *_SERVE], {**os.environ, "PYTHONPATH": path}
        self._lines = Lines(command, name, most=limits.result, environment=environment, own_group=True)
        self.stop = self._lines.stop

    @property
    def is_ready(self) -> bool:
        return self._lines.is_ready

    def greet(self) -> None:
        limits = self._limits
        bounds = {"seconds": limits.seconds, "result": limits.result, "memory": limits.memory}
        reply = self.ask({**self._origin, **bounds, "start": limits.start_seconds}, limits.start_seconds)
        if "error" in reply:
            raise InvalidInput(str(reply["error"]), reason="BAD_TOOL", field=self._name)
        self.declared = reply["spec"]

    def ask(self, request: Mapping[str, Any], seconds: float) -> Spoken:
        self._asked += 1
        with self._lines.within(seconds):
            self._lines.send({**request, "number": self._asked})
            reply = self._lines.receive()
        if reply.get("number") != self._asked:  # a tool that forks may have answered twice
            raise no_answer(self._name)
        return reply
