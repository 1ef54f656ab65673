"""`agentforge chat`: prompts from the command line, from a pipe, or typed; answers as they come, or as JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentforge.cli.failures import describe, print_error
from agentforge.kit.errors import FailedPrecondition, ForgeError, InvalidInput, MissingTool

if TYPE_CHECKING:
    from agentforge.models.thoughts.thinker import Thinker
    from agentforge.tools.saving import Kit
    from agentforge.train.loading import LoadedModel
    from agentforge.train.talk import Called, Talker

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
    show_thoughts: bool = False
    no_thoughts: bool = False
    think_from: float | None = None  # instead of the habits' own threshold
    no_tools: bool = False


def chat(options: ChatOptions) -> int:
    asked = "--show-thoughts" if options.show_thoughts else "--think-from" if options.think_from is not None else ""
    if options.no_thoughts and asked:
        message = f"--no-thoughts and {asked} exclude each other"
        raise InvalidInput(message, reason="CONFLICTING_OPTIONS", field=asked, next_step="Leave one of them out.")
    loaded = load(options.model, trust_remote_code=options.trust_remote_code)
    kit = None if options.no_tools else _kit(loaded, options, asked)
    thinker = None if options.no_thoughts or kit is not None else _thinker(loaded, options, asked)
    talker, engine = _talker(loaded, options, thinker, kit)
    for prompt in options.prompts:
        talker.ids(prompt)  # what cannot be asked is told before anything is answered
    typed = not options.prompts and sys.stdin.isatty() and not options.as_json
    if typed:
        by = f" (computed by {engine})" if engine else ""
        print(f"{loaded.directory}{by}: every line is answered by itself; Ctrl-D ends.", file=sys.stderr)
    for prompt in options.prompts or _lines(typed=typed):
        _answer(talker, prompt, options, engine, typed=typed)
    return 0


def _kit(loaded: LoadedModel, options: ChatOptions, asked: str) -> Kit | None:
    """The tools that the model was made to call, if there are any; it does not think meanwhile."""
    from agentforge.tools.saving import load_tools

    kit = load_tools(loaded.directory, trusted=options.trust_remote_code, marks=loaded.tokenizer.all_special_tokens)
    if kit is not None and asked:
        message = f"{asked}: this model calls tools, and has no thoughts while it does"
        step = "Leave the option out, or add --no-tools."
        raise InvalidInput(message, reason="CONFLICTING_OPTIONS", field=asked, next_step=step)
    return kit


def _talker(
    loaded: LoadedModel, options: ChatOptions, thinker: Thinker | None, kit: Kit | None
) -> tuple[Talker, str | None]:
    """And what computes the model, if it is ternary."""
    from agentforge.train.engine import TORCH, runner, use_kernels
    from agentforge.train.talk import Talker

    engine = use_kernels(loaded.model)
    thinks = thinker is not None and thinker.habits.threshold is not None
    by = None if thinks or kit is not None or engine in (None, TORCH) else runner(loaded.model)
    talker = Talker(
        loaded, max_new_tokens=options.max_new_tokens, temperature=options.temperature, seed=options.seed,
        thinker=thinker, runner=by, kit=kit,
    )  # fmt: skip
    return talker, engine if by is None else by.name


def _thinker(loaded: LoadedModel, options: ChatOptions, asked: str) -> Thinker | None:
    """The model with its thoughts, if it has any; refused where they were `asked` for and will not come."""
    from agentforge.models.thoughts.saving import HABITS, load_thinker

    thinker = load_thinker(loaded.directory, loaded.model, loaded.tokenizer)
    if thinker is None:
        if not asked:
            return None
        message = f"{asked}: this model has no thoughts ({loaded.directory} holds no {HABITS})"
        step = "Take it through phase quietstar, or leave the option out."
        raise InvalidInput(message, reason="NO_THOUGHTS", field=asked, next_step=step)
    if options.think_from is not None:
        thinker.habits = replace(thinker.habits, threshold=options.think_from)
    if options.show_thoughts and thinker.habits.threshold is None:
        message = f"--show-thoughts: this model can think, but its habits are never to (threshold in {HABITS})"
        step = "Add --think-from 0 to have it think all the time, or up to 1 for hard tokens only."
        raise FailedPrecondition(message, reason="NEVER_THINKS", field=asked, next_step=step)
    return thinker


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


def _answer(talker: Talker, prompt: str, options: ChatOptions, engine: str | None, *, typed: bool) -> None:
    if options.as_json:
        said = talker.say(prompt)
        line: dict[str, Any] = {"prompt": prompt, "text": said.text}
        if engine:
            line["engine"] = engine
        if talker.kit is not None:
            line["calls"] = [_plainly(each) for each in said.calls]
        if options.show_thoughts:
            line["thoughts"] = [asdict(thought) for thought in said.thoughts]
        print(json.dumps(line, ensure_ascii=False), flush=True)
        return
    try:
        talker.say(prompt, _print, _print_thought if options.show_thoughts else lambda texts: None, _print_call)
        print(flush=True)
    except ForgeError as error:
        if not typed:
            raise
        print_error(describe(error)[0])  # the next line may be better


def _print(piece: str) -> None:
    print(piece, end="", flush=True)


def _plainly(call: Called) -> dict[str, str]:
    tool, _, argument = call.body.partition("(")
    found = {"tool": tool.strip(), "argument": argument.rstrip().removesuffix(")"), "result": call.result}
    return {**found, "error": call.error} if call.error else found


def _print_call(call: Called) -> None:
    """A line of its own before what is said with it."""
    text = f"{call.body} = {call.result}"
    text = text if text.isprintable() else text.encode("unicode_escape").decode()
    print(f"\x1b[2m[{text}]\x1b[22m" if sys.stdout.isatty() else f"[{text}]", flush=True)


def _print_thought(texts: list[str]) -> None:
    """The first of them, in its place in the answer: dim on a terminal, else between the marks that parted it."""
    from agentforge.data.tokenizer import THOUGHT_CLOSE, THOUGHT_OPEN

    first = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in texts[0])
    more = f" (+{len(texts) - 1} more)" if len(texts) > 1 else ""
    dim = sys.stdout.isatty()
    _print(f"\x1b[2m[{first}{more}]\x1b[22m" if dim else f"{THOUGHT_OPEN}{first}{more}{THOUGHT_CLOSE}")
