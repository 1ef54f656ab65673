"""The process of an isolated tool: reads requests as lines of JSON, answers each by a line, says nothing else."""

from __future__ import annotations

import base64
import json
import os
import pickle
import resource
import signal
from collections.abc import Mapping
from typing import Any

from agentforge.kit.errors import ForgeError
from agentforge.tools.calls import answer, told
from agentforge.tools.references import found_at
from agentforge.tools.tool import Tool


def main() -> None:
    requests, replies = _private(0, "rb"), _private(1, "wb")
    first = json.loads(requests.readline())
    resource.setrlimit(resource.RLIMIT_DATA, (first["memory"], first["memory"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _alarm(first["start"])
    try:
        tool = load(first)
        _say(replies, first, {"spec": tool.spec.to_mcp()})
    except BaseException as error:
        _say(replies, first, {"error": told(error), "reason": "BAD_TOOL"})
        return
    _alarm(0)
    for line in requests:
        _alarm(first["seconds"])
        request = json.loads(line)
        _say(replies, request, _reply(tool, request, first["result"]))
        _alarm(0)


def load(origin: Mapping[str, Any]) -> Tool:
    if "pickle" in origin:
        found: Tool = pickle.loads(base64.b64decode(origin["pickle"]))  # noqa: S301 - the parent's own
        return found
    return found_at(origin["reference"])


def _reply(tool: Tool, request: Mapping[str, Any], most: int) -> dict[str, str]:
    try:
        text = tool.call(request["arguments"]) if "arguments" in request else answer(tool, request["argument"])
        if len(text) > most:
            too_long = f"its result has {len(text):,} characters, of at most {most:,}"
            return {"error": too_long, "reason": "RESULT_TOO_LONG"}
        return {"text": text}
    except BaseException as error:  # SystemExit too: a tool's end is not this process's
        reason = error.reason if isinstance(error, ForgeError) else "TOOL_FAILED"
        return {"error": told(error), "reason": reason}


def _private(number: int, mode: str) -> Any:
    """The pipe behind standard input or output, out of the tool's reach: what it prints goes nowhere."""
    own = os.dup(number)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, number)
    os.close(nowhere)
    return os.fdopen(own, mode)


def _alarm(seconds: float) -> None:
    """The kernel ends this process even where a tool holds the interpreter and the parent is gone; 0: never."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds + 1 if seconds else 0)


def _say(replies: Any, request: Mapping[str, Any], reply: Mapping[str, Any]) -> None:
    replies.write(json.dumps({**reply, "number": request["number"]}).encode() + b"\n")
    replies.flush()


if __name__ == "__main__":
    main()
