"""Talking with a model: a prompt in the form that it was trained on, and what it says, as it says it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from transformers import GenerationConfig
from transformers.generation.streamers import BaseStreamer

from agentforge.data.codec import Codec
from agentforge.data.items import ANSWER_CUE, STEPS_CUE
from agentforge.data.tokenizer import BOS, EOS, PAD
from agentforge.data.toolcalls import TOOL_CLOSE
from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng
from agentforge.models.thoughts.speak import HadThought, Heard, speak
from agentforge.models.thoughts.thinker import Thinker
from agentforge.tools.saving import Kit
from agentforge.train.engine import Runner
from agentforge.train.loading import LoadedModel
from agentforge.train.rollouts import rollouts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_PROBLEM = re.compile(r"(\d+)\s*([-+*])\s*(\d+)\s*=?")
_COOLEST, _HOTTEST = 1e-3, 100.0  # beyond, softmax overflows or says nothing but noise


@dataclass(frozen=True)
class Thought:
    after: int  # tokens said before it
    texts: list[str]  # of each of its N
    alpha: list[float]  # share of the plain prediction in each token that it served, mean over N


@dataclass(frozen=True)
class Called:
    """A call as the model made it, and what it was answered. `error`: why it could not be run, if so."""

    body: str
    result: str
    error: str


@dataclass(frozen=True)
class Said:
    text: str  # without the end; of a model with tools what it says in the end, its calls beside
    thoughts: list[Thought]
    calls: list[Called] = field(default_factory=list)


class Talker:
    """Every prompt is answered by itself: nothing is remembered from one to the next.

    With a thinker, thoughts are had as its habits say. Where none are had, a runner says the same, sooner. With a
    kit of tools its calls are run, and it goes on with their results; such a model has no thoughts meanwhile.
    """

    def __init__(
        self, loaded: LoadedModel, *, max_new_tokens: int = 128, temperature: float = 0.0, seed: int = 0,
        thinker: Thinker | None = None, runner: Runner | None = None, kit: Kit | None = None,
    ) -> None:  # fmt: skip
        if temperature != 0 and not _COOLEST <= temperature <= _HOTTEST:
            message = f"a temperature of {temperature} is neither 0 (greedy) nor from {_COOLEST} to {_HOTTEST:g}"
            raise InvalidInput(message, reason="OUT_OF_RANGE", field="temperature")
        self.loaded, self.codec = loaded, Codec(loaded.tokenizer)
        self.max_new_tokens, self.temperature, self.seed = max_new_tokens, temperature, seed
        self.thinker = thinker if thinker is not None and thinker.habits.threshold is not None else None
        self.runner = runner if self.thinker is None else None
        self.kit = kit
        self._said = 0

    def ids(self, prompt: str) -> list[int]:
        """The prompt as the model reads it; refused where it cannot read all of it."""
        _check_text(prompt)
        tokenizer = self.loaded.tokenizer
        if tokenizer.chat_template:
            turn = [{"role": "user", "content": prompt}]
            text = str(tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False))
            ids = self.codec.ids(text)  # a template writes its special tokens itself
        else:
            ids = self.codec.prompt_ids(as_trained(prompt, tokenizer))
        self._check_length(len(ids))
        return ids

    def _check_length(self, given: int) -> None:
        limit, slides = self.loaded.context, self.loaded.slides
        if limit is None or (given <= limit if slides else self._room(given) > 0):
            return
        message, step = f"the prompt has {given:,} tokens, and the model sees {limit:,}", "Shorten it."
        if not slides:
            message += ", what it says included"
        if self.thinker is not None and not slides:
            message += f", and a thought of up to {self.thinker.habits.sampling.length} with its two marks"
            step = "Shorten it, or do without thoughts (--no-thoughts)."
        raise InvalidInput(message, reason="PROMPT_TOO_LONG", field="prompt", next_step=step)

    def say(
        self,
        prompt: str,
        hear: Callable[[str], object] = lambda piece: None,
        think: Callable[[list[str]], object] = lambda texts: None,
        call: Callable[[Called], object] = lambda called: None,
    ) -> Said:
        """`hear` gets what is said in pieces as they come; `think` each thought when it has been had; `call` each
        call when it has been answered."""
        ids, voice = self.ids(prompt), _Voice(self.codec, hear)
        dice = Rng(self.seed, "chat", self._said)
        self._said += 1
        if self.kit is not None:
            return self._with_tools(self.kit, ids, dice.seed, hear, call)
        if self.thinker is None:
            if self.runner is None:
                self._generate(ids, voice, dice.seed)
            else:
                self._run(self.runner, ids, voice, dice)
            return Said(voice.text, [])

        def heard(each: Heard) -> None:
            if isinstance(each.what, HadThought):
                think(self._texts(each.what))
            else:
                voice.add([each.what])

        how: dict[str, Any] = {"eos": self.codec.eos, "pad": self.codec.pad, "temperature": self.temperature}
        (spoken,) = speak(self.thinker, [ids], [self._room(len(ids))], **how, seed=dice.seed, hear=heard)
        voice.end()
        return Said(voice.text, [Thought(had.after, self._texts(had), had.alpha) for had in spoken.thoughts])

    def _with_tools(
        self, kit: Kit, ids: list[int], seed: int, hear: Callable[[str], object], call: Callable[[Called], object]
    ) -> Said:
        calls: list[Called] = []

        def run(body: str) -> str:
            result = kit.toolbox.run(body)
            calls.append(Called(body, result.text, result.error))
            call(calls[-1])
            return result.text

        (found,) = rollouts(
            self.loaded.model, self.codec, [ids], run=run, room=self._room(len(ids)), calls=kit.calls,
            temperature=self.temperature, seed=seed,
        )  # fmt: skip
        said = zip(found.ids, found.own, strict=True)
        text = self.codec.text([token for token, own in said if own and token != self.codec.eos])
        if calls:
            text = text.rpartition(TOOL_CLOSE)[2]
        hear(text.removeprefix(" "))
        return Said(text.removeprefix(" "), [], calls)

    def _texts(self, had: HadThought) -> list[str]:
        return [self.codec.text(ids) for ids in had.ids]

    @torch.no_grad()
    def _generate(self, ids: list[int], voice: _Voice, seed: int) -> None:
        torch.manual_seed(seed)  # transformers knows no other way
        ids_1T = torch.tensor([ids], device=self.loaded.model.device)
        sampling: dict[str, Any] = {}
        if self.temperature:
            sampling = {"do_sample": True, "temperature": self.temperature, "top_k": 0}
        how = GenerationConfig(  # type: ignore[no-untyped-call]
            max_new_tokens=self._room(len(ids)),
            eos_token_id=self.codec.eos,
            pad_token_id=self.codec.pad,
            **sampling,
        )
        self.loaded.model.generate(
            input_ids=ids_1T, attention_mask=torch.ones_like(ids_1T), generation_config=how, streamer=voice
        )

    def _run(self, runner: Runner, ids: list[int], voice: _Voice, dice: Rng) -> None:
        for token in runner.answer(ids, self._room(len(ids)), self.temperature, dice.torch()):
            if token == self.codec.eos:
                break
            voice.add([token])
        voice.end()

    def _room(self, given: int) -> int:
        """Tokens that may be said; a thought before the last of them must have positions, too."""
        if self.loaded.context is None or self.loaded.slides:
            return self.max_new_tokens
        thought = 0 if self.thinker is None else self.thinker.habits.sampling.length + 1
        return min(self.max_new_tokens, self.loaded.context - given - thought)


class _Voice(BaseStreamer):
    """Turns tokens into text as they come; a character of several tokens waits until it is whole."""

    def __init__(self, codec: Codec, hear: Callable[[str], object]) -> None:
        self.codec, self.hear = codec, hear
        self.text = ""
        self._ids: list[int] = []
        self._prompt_seen = False

    def put(self, value: torch.Tensor) -> None:
        if self._prompt_seen:
            self.add([number for number in value.flatten().tolist() if number != self.codec.eos])
        self._prompt_seen = True

    def add(self, ids: list[int]) -> None:
        self._ids += ids
        self._tell(last=False)

    def end(self) -> None:
        self._tell(last=True)

    def _tell(self, *, last: bool) -> None:
        text = self.codec.text(self._ids).removeprefix(" ")  # it only parts the answer from the prompt
        if last or not text.endswith("\ufffd"):
            piece, self.text = text[len(self.text) :], text
            if piece:
                self.hear(piece)


def as_trained(prompt: str, tokenizer: PreTrainedTokenizerFast) -> str:
    """docs/data.md: our models learn from "Q: 25 + 17 = A:". Other prompts, and other models', stay as they are."""
    if tokenizer.convert_ids_to_tokens([0, 1, 2]) != [BOS, EOS, PAD]:  # so every tokenizer of ours begins
        return prompt
    problem = _PROBLEM.fullmatch(prompt.strip())
    if problem is not None:
        return f"Q: {problem[1]} {problem[2]} {problem[3]} = {ANSWER_CUE}"
    if not prompt.startswith("Q:"):
        return prompt
    question = prompt.rstrip()
    return question if question.endswith((ANSWER_CUE, STEPS_CUE)) else f"{question} {ANSWER_CUE}"


def _check_text(prompt: str) -> None:
    if not prompt.strip():
        raise InvalidInput("the prompt is empty", reason="EMPTY_PROMPT", field="prompt", next_step="Say something.")
    if any("\ud800" <= character <= "\udfff" for character in prompt):
        message = "the prompt is not UTF-8 text"
        raise InvalidInput(message, reason="NOT_TEXT", field="prompt")
