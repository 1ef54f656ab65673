"""`agentforge chat`: prompts from the command line, from a pipe, or typed; answers as they come, or as JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agentforge.cli.failures import describe, print_error
from agentforge.kit.errors import ForgeError, MissingTool

if TYPE_CHECKING:
    from agentforge.train.loading import LoadedModel
    from agentforge.train.talk import Talker

_LEARN = frozenset({"torch", "transformers", "tokenizers", "safetensors", "numpy"})  # the extra [learn]


@dataclass(frozen=True)
class ChatOptions:
    model: Path
    prompts: list[str]
    max_new_tokens: int
    temperature: float
    seed: int
    trust_remote_code: bool
    as_json: bool


def chat(options: ChatOptions) -> int:
    loaded = load(options.model, trust_remote_code=options.trust_remote_code)
    from agentforge.train.talk import Talker

    talker = Talker(
        loaded, max_new_tokens=options.max_new_tokens, temperature=options.temperature, seed=options.seed
    )
    for prompt in options.prompts:
        talker.ids(prompt)  # what cannot be asked is told before anything is answered
    typed = not options.prompts and sys.stdin.isatty() and not options.as_json
    if typed:
        print(f"{loaded.directory}: every line is answered by itself; Ctrl-D ends.", file=sys.stderr)
    for prompt in options.prompts or _lines(typed=typed):
        _answer(talker, prompt, typed=typed, as_json=options.as_json)
    return 0


def load(path: Path, *, trust_remote_code: bool, offline: bool = True) -> LoadedModel:
    """The model, quietly; or what must be installed to have one."""
    if offline and not trust_remote_code:
        os.environ["HF_HUB_OFFLINE"] = "1"  # read at import; a directory needs no network
    try:
        import torch  # noqa: F401  # without it transformers fails with an error that does not name it
        import transformers

        from agentforge.train.loading import load_model
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _LEARN:
            raise
        message = f"a model needs the package {package!r}, which is not installed"
        step = "Install it: pip install 'agentforge[learn]'."
        raise MissingTool(message, field=package, next_step=step) from error
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    return load_model(path, trust_remote_code=trust_remote_code)


def _lines(*, typed: bool) -> Iterator[str]:
    """Typed lines, or those of a pipe, as long as there are any; empty ones ask nothing."""
    while True:
        try:
            line = input("> " if typed else "")
        except EOFError:
            if typed:
                print()
            return
        if line.strip():
            yield line


def _answer(talker: Talker, prompt: str, *, typed: bool, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"prompt": prompt, "text": talker.say(prompt)}, ensure_ascii=False), flush=True)
        return
    try:
        talker.say(prompt, lambda piece: print(piece, end="", flush=True))
        print(flush=True)
    except ForgeError as error:
        if not typed:
            raise
        print_error(describe(error)[0])  # the next line may be better
