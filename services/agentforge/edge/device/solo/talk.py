"""Asked from a terminal, or line by line by another program."""

from __future__ import annotations

import json
import sys
from typing import Any, TextIO

from ..runtime.errors import EdgeError
from .agent import Agent, Wish

_GREETING = "Each line is a question of its own. Begin it with + to go on from the last answer; Ctrl-D ends.\n"
_KINDS: dict[str, tuple[type, ...]] = {"max_tokens": (int,), "temperature": (int, float), "seed": (int,)}


def chat(agent: Agent, wish: Wish) -> int:
    out, session = sys.stdout, agent.session()
    if sys.stdin.isatty():
        out.write(_GREETING)
    while True:
        try:
            line = input("> " if sys.stdin.isatty() else "")
        except (EOFError, KeyboardInterrupt):
            out.write("\n" if sys.stdin.isatty() else "")
            return 0
        goes_on = line.startswith("+")
        if not line[goes_on:].strip():
            continue
        session = session if goes_on else agent.session()
        try:
            for piece in agent.pieces(session, line[goes_on:], wish):
                out.write(piece)
                out.flush()
        except KeyboardInterrupt:
            session = agent.session()  # the answer was cut in the middle of a step
        except EdgeError as error:
            sys.stderr.write(f"{error}\n")
        out.write("\n")
        out.flush()


def serve(agent: Agent, wish: Wish, lines: TextIO, out: TextIO) -> int:
    """A line of JSON in, {"prompt": …} with what else is wished; a line out, with "text" or "error"."""
    for line in lines:
        if line.strip():
            out.write(json.dumps(_served(agent, wish, line)) + "\n")
            out.flush()
    return 0


def _served(agent: Agent, wish: Wish, line: str) -> dict[str, Any]:
    prompt: Any = None
    try:
        asked = json.loads(line)
        if not isinstance(asked, dict) or not isinstance(asked.get("prompt"), str):
            raise ValueError('a line must be an object with a string "prompt"')
        prompt = asked.pop("prompt")
        return {"prompt": prompt, "text": agent.answer(prompt, _wished(wish, asked))}
    except (ValueError, EdgeError, RecursionError) as error:
        return {"prompt": prompt, "error": str(error)}


def _wished(wish: Wish, asked: dict[str, Any]) -> Wish:
    for name, value in asked.items():
        kinds = _KINDS.get(name)
        if kinds is None:
            raise ValueError(f"{name!r} is not known: there are prompt, {', '.join(_KINDS)}")
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise ValueError(f"{name} must be a number, not {value!r}")
    made = wish._replace(**asked)
    if made.faults():
        raise ValueError("; ".join(made.faults()))
    return made
