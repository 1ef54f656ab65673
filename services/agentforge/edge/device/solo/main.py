"""The command line of agent.pyz."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from ....codecs.container import parse
from ....codecs.payload import Broken
from ..runtime.errors import BrokenPackage, EdgeError
from ..runtime.golden import Expected, Golden, replay
from .agent import Agent, Wish
from .archive import Archive
from .talk import chat, serve

_SHOWN = (
    "model", "parameters", "weights_by_codec", "model_bytes", "float32_bytes", "vocabulary", "context", "window",
    "golden_prompts", "made_by",
)  # fmt: skip
FINE, FAILED, DAMAGED = 0, 1, 2  # 2 is also argparse's for a command that it does not understand


def main(path: str, arguments: Sequence[str] | None = None) -> int:
    options = _options(path, arguments)
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(encoding="utf-8", errors="replace")
    try:
        return _run(Archive(path), options)
    except (Broken, BrokenPackage) as error:
        sys.stderr.write(f"{path} is damaged: {error}\n")
        return DAMAGED
    except EdgeError as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    except BrokenPipeError:  # whoever read has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _options(path: str, arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=Path(path).name, description="A language model in one file. Without arguments: a conversation."
    )
    parser.add_argument("--prompt", action="append", help="answer this and end; may be given several times")
    parser.add_argument("--json", action="store_true", help='a line {"prompt", "text"} for each prompt')
    parser.add_argument("--serve-stdin", action="store_true", help="answer JSON lines, each with a prompt")
    parser.add_argument(
        "--verify", action="store_true", help="check this file, and ask it what it was asked when made"
    )
    parser.add_argument("--info", action="store_true", help="what is in this file")
    parser.add_argument("--max-tokens", type=int, default=Wish().max_tokens, metavar="N")
    parser.add_argument("--temperature", type=float, default=0.0, help="0, the default: always the likeliest token")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    options.wish = Wish(options.max_tokens, options.temperature, options.seed)
    if options.wish.faults():
        parser.error("; ".join(options.wish.faults()))
    return options


def _run(archive: Archive, options: argparse.Namespace) -> int:
    if options.info:
        shown = archive.about["shown"]
        return _tell(shown if options.json else {name: shown[name] for name in _SHOWN}, options.json)
    if options.verify:
        return _verify(archive, options.json)
    agent = load(archive)
    if options.serve_stdin:
        return serve(agent, options.wish, sys.stdin, sys.stdout)
    if not options.prompt:
        return chat(agent, options.wish)
    for prompt in options.prompt:
        text = agent.answer(prompt, options.wish)
        sys.stdout.write(json.dumps({"prompt": prompt, "text": text}) + "\n" if options.json else text + "\n")
        sys.stdout.flush()
    return FINE


def load(archive: Archive) -> Agent:
    forge = parse(archive.read("model.forge"))
    return Agent(forge.payloads, archive.json("config.json"), archive.json("tokenizer.json"), archive.about["eos"])


def _verify(archive: Archive, as_json: bool) -> int:
    """0: every file and every answer is what it was. 1: an answer is not. 2: a file is not."""
    faults = archive.faults()
    if faults:
        raise BrokenPackage("; ".join(faults))
    began = perf_counter()
    agent = load(archive)
    found: dict[str, Any] = {"files": len(archive.about["files"]), "load_seconds": perf_counter() - began}
    found.update(python=platform.python_version(), numpy=str(np.__version__), passed=True, golden=None)
    told = archive.json("golden.json")
    if told["items"]:
        expected = [Expected(**item) for item in told["items"]]
        text: Any = agent.text
        found["golden"] = replay(agent.engine, text, Golden(expected, told["logits"], told["answers"]))
        found["passed"] = found["golden"]["passed"]
    _tell(found if as_json else _words(found), as_json)
    return FINE if found["passed"] else FAILED


def _words(found: dict[str, Any]) -> dict[str, Any]:
    golden = found["golden"]
    answers: Any = "none was recorded"
    if golden:
        answers = f"{golden['equal']} of {golden['prompts']} as recorded, "
        answers += f"logits within {golden['logits_worst']:.2g} ({golden['logits_tolerance']:.2g} allowed)"
    verdict = "whole, and answers as it did" if found["passed"] else "ANSWERS OTHERWISE THAN IT DID"
    return {"verdict": verdict, "files": f"{found['files']} as packed", "answers": answers}


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{_plain(each)} of {name}" for name, each in sorted(value.items()))
    return f"{value:,}" if isinstance(value, int) else str(value)


def _tell(facts: dict[str, Any], as_json: bool) -> int:
    if as_json:
        sys.stdout.write(json.dumps(facts) + "\n")
    else:
        sys.stdout.write("".join(f"{name:<16} {_plain(value)}\n" for name, value in facts.items()))
    return FINE
