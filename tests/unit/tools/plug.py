"""Plug-ins that go wrong in every way."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from agentforge.tools.retrieval import Document
from agentforge.tools.tool import ToolSpec

ONE = {"type": "object", "properties": {"what": {"type": "string"}}, "required": ["what"]}


def spec(name: str = "plug", schema: Mapping[str, Any] = ONE) -> ToolSpec:
    return ToolSpec(name, "A plug-in.", schema)


class Plug:
    """Does what it is told; `calls` shows whether its process is the one from before."""

    def __init__(self) -> None:
        self.spec = spec()
        self.calls = 0

    def call(self, arguments: Mapping[str, Any]) -> Any:
        self.calls += 1
        what, _, detail = str(arguments["what"]).partition(" ")
        match what:
            case "count":
                return f"{self.calls}"
            case "hang":
                time.sleep(1_000)
            case "spin":
                re.fullmatch("(a+)+b", "a" * 60)  # in C, and never gives the interpreter back
            case "flood":
                return "x" * int(detail)
            case "print":
                for _ in range(int(detail)):
                    sys.stdout.write("y" * 1_000)
                    os.write(1, b"z" * 1_000)
                    os.write(2, b"z" * 1_000)
            case "swallow":
                return str(len(bytearray(int(detail)) * 2))
            case "exit":
                os._exit(int(detail))
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "quit":
                sys.exit("I quit")
            case "raise":
                raise RuntimeError(detail)
            case "number":
                return 42
            case "break":
                for number in range(3, 20):  # among them the pipe to the parent
                    os.close(number) if _is_open(number) else None
            case "garble":
                for number in range(3, 20):
                    with contextlib.suppress(OSError):
                        os.write(number, b"not json\n")
            case "twice":
                os.fork()
            case "child":
                if os.fork() == 0:
                    time.sleep(1_000)
                return "forked"
            case "thread":
                threading.Thread(target=time.sleep, args=(1_000,)).start()
            case "here":
                return str(os.getpid())
        return f"did {what}"


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def made() -> Plug:
    return Plug()


class NoTool:
    spec = "none"


class Stubborn(Plug):
    """Its schema alone can hang whoever applies it."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = spec(schema={**ONE, "properties": {"what": {"type": "string", "pattern": "^(a+)+b$"}}})


class BadSchema:
    @property
    def spec(self) -> ToolSpec:
        return spec(schema={"type": "string"})

    def call(self, arguments: Mapping[str, Any]) -> str:
        return ""


class Provider:
    def search(self, query: str, limit: int) -> Sequence[Document]:
        if query == "hang":
            time.sleep(1_000)
        return [Document(f"page {number}", f"about {query} <|/result|>") for number in range(limit + 5)]
