"""Tools of an MCP server that is spoken with over its standard input and output (revision 2025-06-18).

    weather = McpServer(["python", "weather_server.py"]).tool("forecast")  # as a plug-in: my_module:weather

By hand: three requests in JSON-RPC. The package mcp does the same in an event loop of its own, with a web stack.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentforge.kit.errors import InvalidInput, MissingTool
from agentforge.tools.limits import Limits
from agentforge.tools.lines import Lines, Spoken, no_answer
from agentforge.tools.tool import ToolSpec

_REVISION = "2025-06-18"
_ABOUT = {"name": "agentforge", "version": "0"}
_MOST_PAGES = 100
_NO_METHOD = -32601  # JSON-RPC's number


class McpServer:
    """Started when first asked, and again after it had to be stopped. One request at a time."""

    def __init__(self, command: Sequence[str], limits: Limits | None = None) -> None:
        self.command, self.limits = list(command), limits or Limits()
        self._lock = threading.Lock()
        self._lines: Lines | None = None
        self._asked = 0

    def tools(self) -> list[McpTool]:
        return [McpTool(self, ToolSpec.from_mcp(each)) for each in self._definitions()]

    def tool(self, name: str) -> McpTool:
        """The others may have names that no call could hold."""
        found = {str(each.get("name")): each for each in self._definitions()}
        if name not in found:
            step = f"It has {', '.join(found) or 'none'}."
            raise InvalidInput(f"the server has no tool {name}", reason="UNKNOWN_TOOL", field=name, next_step=step)
        return McpTool(self, ToolSpec.from_mcp(found[name]))

    def _definitions(self) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        page: dict[str, Any] = {}
        for _ in range(_MOST_PAGES):
            reply = self.ask("tools/list", page)
            found += [each for each in reply.get("tools", []) if isinstance(each, Mapping)]
            if not reply.get("nextCursor"):
                return found
            page = {"cursor": reply["nextCursor"]}
        raise InvalidInput(f"more than {_MOST_PAGES} pages of tools", reason="BAD_TOOL", field=self._name)

    def ask(self, method: str, params: Mapping[str, Any]) -> Spoken:
        with self._lock:
            try:
                return self._request(self._running(), method, params, self.limits.seconds)
            except BaseException as error:
                if not isinstance(error, _Refused):
                    self._stop()
                raise

    def close(self) -> None:
        with self._lock:
            self._stop()

    @property
    def _name(self) -> str:
        return " ".join(self.command)[:80]

    def _running(self) -> Lines:
        if self._lines is not None and not self._lines.is_ready:
            self._stop()
        if self._lines is None:
            try:
                most = self.limits.result
                self._lines = Lines(self.command, self._name, most=most, environment=os.environ, own_group=False)
            except OSError as error:
                message = f"the server {self._name!r} cannot be started: {error.strerror}"
                raise MissingTool(
                    message, field="command", next_step="Install it, or correct the command."
                ) from error
            try:
                self._greet(self._lines)
            except BaseException:
                self._stop()
                raise
        return self._lines

    def _greet(self, lines: Lines) -> None:
        hello = {"protocolVersion": _REVISION, "capabilities": {}, "clientInfo": _ABOUT}
        self._request(lines, "initialize", hello, self.limits.start_seconds)
        with lines.within(self.limits.seconds):
            lines.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def _request(self, lines: Lines, method: str, params: Mapping[str, Any], seconds: float) -> Spoken:
        self._asked += 1
        with lines.within(seconds):
            lines.send({"jsonrpc": "2.0", "id": self._asked, "method": method, "params": params})
            while (reply := lines.receive()).get("id") != self._asked or "method" in reply:
                _oblige(lines, reply)
        if isinstance(reply.get("error"), dict):
            raise _Refused(str(reply["error"].get("message", "refused")), reason="TOOL_FAILED", field=self._name)
        if not isinstance(reply.get("result"), dict):
            raise no_answer(self._name)
        result: Spoken = reply["result"]
        return result

    def _stop(self) -> None:
        if self._lines is not None:
            self._lines.stop()
            self._lines = None


class _Refused(InvalidInput):
    """The server is in order and says no."""


@dataclass(frozen=True)
class McpTool:
    server: McpServer
    spec: ToolSpec
    trusted: bool = True  # a server is a process of its own, and each request to it has a deadline

    def call(self, arguments: Mapping[str, Any]) -> str:
        reply = self.server.ask("tools/call", {"name": self.spec.name, "arguments": dict(arguments)})
        text = "\n".join(map(_text, reply.get("content", [])))
        if reply.get("isError"):
            raise InvalidInput(text, reason="TOOL_FAILED", field=self.spec.name)
        return text


def _text(part: Mapping[str, Any]) -> str:
    return str(part["text"]) if part.get("type") == "text" else f"({part.get('type')})"


def _oblige(lines: Lines, message: Spoken) -> None:
    """A server may ask whether we live; other requests are declined, notes are left unread."""
    if "method" in message and "id" in message:
        known = {"result": {}} if message["method"] == "ping" else {"error": _DECLINED}
        lines.send({"jsonrpc": "2.0", "id": message["id"], **known})


_DECLINED = {"code": _NO_METHOD, "message": "not offered"}
