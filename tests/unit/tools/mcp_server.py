"""A small MCP server, with faults on demand: python -m tests.unit.tools.mcp_server [fault]."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

SCHEMA = {"type": "object", "properties": {"what": {"type": "string"}}, "required": ["what"]}
PAGES = [["say"], ["get-weather", "fails"]]


def main(fault: str) -> None:
    greeted = False
    for line in sys.stdin:
        message = json.loads(line)
        match message.get("method"):
            case "initialize" if fault == "mute":
                time.sleep(1_000)
            case "initialize" if fault == "deny":
                say({"id": message["id"], "error": {"code": 1, "message": "go away"}})
            case "initialize":
                say({"method": "notifications/message", "params": {"data": "hello"}})
                say({"id": 1, "method": "ping"})  # its numbers are its own
                say({"id": "s2", "method": "roots/list"})
                result(message, {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}})
            case "notifications/initialized":
                greeted = True
            case "tools/list" if greeted:
                page = int(message["params"].get("cursor", 0))
                more = {"nextCursor": "1"} if page == 0 or fault == "endless" else {}
                listed = [{"name": name, "description": "A tool.", "inputSchema": SCHEMA} for name in PAGES[page]]
                result(message, {"tools": listed, **more})
            case "tools/call" if greeted:
                call(message)
            case None:
                assert message.get("result") == {} or message["error"]["code"] == -32601


def call(message: dict[str, Any]) -> None:
    what, failed = message["params"]["arguments"]["what"], message["params"]["name"] == "fails"
    match what:
        case "hang":
            time.sleep(1_000)
        case "die":
            os._exit(3)
        case "flood":
            sys.stdout.write("x" * 10_000_000)
        case "deny":
            say({"id": message["id"], "error": {"code": -32602, "message": "not that"}})
        case "rubbish":
            result(message, 3)
    parts = [{"type": "text", "text": f"said {what}"}, {"type": "image", "data": "", "mimeType": "image/png"}]
    result(message, {"content": parts, "isError": failed})


def result(message: dict[str, Any], value: Any) -> None:
    say({"id": message["id"], "result": value})


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
