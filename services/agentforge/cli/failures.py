"""How the program ends: one place that turns every exception into words on stderr and an exit code."""

from __future__ import annotations

import difflib
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from agentforge.kit.errors import ForgeError

DEBUG_VARIABLE = "AGENTFORGE_DEBUG"
"""Environment: 1 prints tracebacks too."""

INTERRUPTED = 130


def guarded(program: Callable[..., Any]) -> int:
    """Run the typer application; never let a traceback through (but with AGENTFORGE_DEBUG=1)."""
    try:
        code = program(args=sys.argv[1:] or ["--help"], standalone_mode=False)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `agentforge runs | head`: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return report(error)
    return code if isinstance(code, int) else 0


def report(error: Exception) -> int:
    """Print the error as the user asked for it, and say which exit code it has."""
    if os.environ.get(DEBUG_VARIABLE) == "1":
        traceback.print_exception(error)
    body, code = describe(error)
    if "--json" in sys.argv:
        print(json.dumps({"error": body}), file=sys.stderr)
        return code
    print_error(body)
    return code


def print_error(body: Mapping[str, Any]) -> None:
    """What happened, where, and what to do next."""
    print(f"error: {body['message']}", file=sys.stderr)
    if body["field"] and body["field"] not in body["message"]:
        print(f"  where: {body['field']}", file=sys.stderr)
    for violation in body["violations"][1:]:
        print(f"  also:  {violation['message']} {violation['next_step']}".rstrip(), file=sys.stderr)
    if body["next_step"]:
        print(f"  next:  {body['next_step']}", file=sys.stderr)


def describe(error: Exception) -> tuple[dict[str, Any], int]:
    """The error as JSON, and its exit code."""
    if isinstance(error, ForgeError):
        return _forge(error), error.exit_code
    usage = getattr(error, "format_message", None)
    if usage is not None:  # typer's own: an unknown command or option, a missing argument
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "agentforge"
        near = difflib.get_close_matches(
            getattr(error, "option_name", ""), getattr(error, "possibilities", None) or (), 1
        )
        said = f"{error.args[0]}. Did you mean {near[0]!r}?" if near else usage()
        return _body("USAGE", said, next_step=f"See: {path} --help"), 2
    if isinstance(error, OSError):
        where = str(error.filename or "")
        message = f"{error.strerror or error}: {where}" if where else str(error)
        return _body("OS_ERROR", message, field=where, next_step="Correct the path or its permissions."), 2
    message = f"the program is at fault: {type(error).__name__}: {error}"
    hint = f"Run it again with {DEBUG_VARIABLE}=1 and report what it prints."
    return _body("INTERNAL", message, next_step=hint), 1


def brief(error: Exception) -> dict[str, Any]:
    """What the last line of `--json` says of an error."""
    body, _ = describe(error)
    return {key: body[key] for key in ("reason", "message", "field", "next_step")}


def _forge(error: ForgeError) -> dict[str, Any]:
    body = _body(error.reason, error.message, field=error.field, next_step=error.next_step)
    body["violations"] = [
        {"field": v.field, "message": v.message, "reason": v.reason, "next_step": v.next_step}
        for v in error.violations
    ]
    return body


def _body(reason: str, message: str, *, field: str = "", next_step: str = "") -> dict[str, Any]:
    return {"reason": reason, "message": message, "field": field, "next_step": next_step, "violations": []}
