"""Whatever a model of noise says under the grammar, its calls are calls."""

from __future__ import annotations

import functools
import importlib.util
import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from agentforge.data.toolcalls import parse_calls
from agentforge.kit.errors import FailedPrecondition, InvalidInput, MissingTool
from agentforge.tools.builtin import builtin_tools
from agentforge.tools.calls import arguments_of, split_body
from agentforge.tools.grammar import call_grammar, checked
from agentforge.tools.tool import ToolSpec
from agentforge.tools.toolbox import Toolbox
from agentforge.train.constrained import Constraint, allowed
from tests import pico
from tests.unit.tools.plug import ONE
from tests.unit.tools.test_tool import WEATHER

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

BUILT_IN = builtin_tools(["calculator", "lookup", "search"])
SPECS = [
    *(tool.spec for tool in BUILT_IN),
    ToolSpec("python", "Runs code.", {**ONE, "properties": {"what": {"type": "string", "maxLength": 30}}}),
    ToolSpec.from_mcp(WEATHER),
]


@functools.cache
def foreign() -> PreTrainedTokenizerFast:
    """Spells the marks in several tokens; one of them holds the end of a mark and more."""
    from transformers import PreTrainedTokenizerFast

    merges = [("<", "|"), ("o", "l"), ("|", ">"), ("|>", "c"), (")", "<|"), ("ol", "|>c")]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, *(left + right for left, right in merges), "</s>"]
    backend = Tokenizer(models.BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", pad_token="</s>")  # type: ignore[no-untyped-call]


@functools.cache
def constraint(which: str) -> Constraint:
    return Constraint(SPECS, tokenizer(which))


def tokenizer(which: str) -> PreTrainedTokenizerFast:
    return pico.tokenizer() if which == "own" else foreign()


def taken(which: str, text: str) -> tuple[bool, bool]:
    """Whether all of a text may be said, and whether it may end there."""
    matcher = constraint(which).matcher()
    ids = tokenizer(which)(text, add_special_tokens=False).input_ids
    return matcher.try_consume_tokens(ids) == len(ids), matcher.is_accepting()


@pytest.mark.parametrize("which", ["own", "foreign"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        " 42 , said < and |> and <|x|>",
        "<|tool|>calculator(25 + 17)<|/tool|> 42",
        " so <|tool|>lookup(home of tuba)<|/tool|> and\n<|tool|>search(news of bada)<|/tool|>",
        "<|tool|>python(print((1) < 2, f(')')))<|/tool|> good",
        '<|tool|>weather({"city":"Ulm)","days":3})<|/tool|> rain',
    ],
)
def test_calls_in_text_are_said(which: str, text: str) -> None:
    assert taken(which, text) == (True, True)


@pytest.mark.parametrize("which", ["own", "foreign"])
@pytest.mark.parametrize(
    "text",
    [
        "<|/tool|>",
        "<|result|>42<|/result|>",
        "<|tool|>oracle(",
        "<|tool|>calculator(1 +)",
        "<|tool|>calculator(007)",
        "<|tool|>calculator(1 // 0)",
        "<|tool|>calculator()",
        "<|tool|>lookup(sound of tuba)",
        "<|tool|>python(" + "x" * 31,
        "<|tool|>python(x<|/tool|>",
        "<|tool|>python(x<|tool|>",
        "<|tool|>weather({})",
        '<|tool|>weather({"city":"Ulm","days":0})',
        '<|tool|>weather({"city":"Ulm","days":3,"more":1})',
        '<|tool|>weather({"city":"<|/tool|>',
        "<|tool|> <|tool|>",
    ],
)
def test_what_is_no_call_is_not_said(which: str, text: str) -> None:
    assert not taken(which, text)[0]


@pytest.mark.parametrize("which", ["own", "foreign"])
def test_an_unfinished_call_cannot_end(which: str) -> None:
    assert taken(which, "<|tool|>calculator(25 + 17)") == (True, False)


def spoken(which: str, seed: int, rows: int, **how: Any) -> list[str]:
    """A model of noise that likes to open calls and to close them."""
    names = tokenizer(which)
    model: Any = pico.llama(seed, vocab_size=len(names) + 3, max_position_embeddings=256)
    processors = LogitsProcessorList([_Likes(names), constraint(which).processor()])
    prompt_BT = torch.tensor([names("<|result|> 1 + <|tool|>", add_special_tokens=False).input_ids] * rows)
    torch.manual_seed(seed)
    config = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=120, eos_token_id=names.eos_token_id, pad_token_id=names.pad_token_id, top_k=0, **how
    )
    mask_BT = torch.ones_like(prompt_BT)
    said = model.generate(prompt_BT, attention_mask=mask_BT, generation_config=config, logits_processor=processors)
    return [str(names.decode(row[prompt_BT.shape[1] :])) for row in said]


class _Likes(LogitsProcessor):
    """Begins a mark now and then, and goes on with one that it began."""

    def __init__(self, names: PreTrainedTokenizerFast) -> None:
        self._marks = [names(mark, add_special_tokens=False).input_ids for mark in ("<|tool|>", "<|/tool|>")]
        self._digits = names.convert_tokens_to_ids(list('0123456789"})'))

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores[:, self._digits] += 4
        for row, said in enumerate(input_ids.tolist()):
            for mark in self._marks:
                begun = max(size for size in range(len(mark)) if said[len(said) - size :] == mark[:size])
                scores[row, mark[begun]] += 12 if begun else 4
        return scores


@pytest.mark.parametrize("which", ["own", "foreign"])
def test_every_call_of_a_model_of_noise_parses(which: str) -> None:
    specs = {spec.name: spec for spec in SPECS}
    box = Toolbox(BUILT_IN)
    seen: dict[str, int] = dict.fromkeys(specs, 0)
    for text in spoken(which, 0, rows=8, do_sample=True):
        assert "<|result|>" not in text
        for call in parse_calls(text):
            assert call is not None, text
            assert arguments_of(specs[call.tool], call.argument) is not None
            assert call.tool not in ("calculator", "lookup") or not box.run(f"{call.tool}({call.argument})").error
            seen[call.tool] += 1
        assert all(split_body(body.partition("<|/tool|>")[0]) for body in text.split("<|tool|>")[1:-1])
    assert sum(seen.values()) >= 6, seen


def test_beams_swap_rows_and_each_keeps_its_state() -> None:
    for text in spoken("own", 1, rows=2, num_beams=3, do_sample=True):
        assert None not in parse_calls(text)


def test_places_without_a_token_stay_forbidden() -> None:
    matcher = constraint("own").matcher()
    size = len(pico.tokenizer())
    assert not allowed(matcher, size + 100)[size:].any()
    assert len(allowed(matcher, size - 10)) == size - 10
    known = pico.tokenizer().get_vocab()
    may = allowed(matcher, size)
    assert all(may[known[token]] for token in ("a", "<|tool|>", "<|eos|>"))
    assert not any(may[known[token]] for token in ("<|/tool|>", "<|result|>", "<|bos|>"))


def test_a_processor_that_is_gone_round_says_so() -> None:
    processor = constraint("own").processor()
    scores = torch.zeros(1, len(pico.tokenizer()))
    known = pico.tokenizer().get_vocab()
    processor(torch.tensor([[5, 6]]), scores)
    with pytest.raises(FailedPrecondition, match="no place for token") as caught:
        processor(torch.tensor([[5, 6, known["<|/tool|>"]]]), scores)
    assert caught.value.reason == "NOT_IN_GRAMMAR"


def with_property(**schema: Any) -> ToolSpec:
    return ToolSpec("odd", "", {"type": "object", "properties": {"a": schema}, "required": ["a"]})


@pytest.mark.parametrize(
    ("spec", "good", "bad"),
    [
        (with_property(type="string", enum=["a/b", 'c"d', "e)"]), ["a/b", 'c"d', "e)"], ["a", ""]),
        (with_property(type="string", const="x"), ["x"], ["y", ""]),
        (with_property(type="string", pattern="^[ab/]+$"), ["a/b"], ["c", ""]),
        (with_property(type="string", pattern="ab|c"), ["xaby", "c"], ["ax"]),
        (with_property(type="string", pattern="^a|b$"), ["ax", "xb"], ["xa"]),
        (with_property(type="string", pattern="a$"), ["xa"], ["ax"]),
        (with_property(type="string", pattern=r"^(a|[|)]\|)$"), ["a", "||"], ["|"]),
        (with_property(type="string", minLength=2, maxLength=3), ["ab", "a)"], ["a", "abcd"]),
        (with_property(type="string"), ["", "a b (c)"], ["a\nb"]),
        (with_property(type="array", items={"type": "integer"}), ['{"a":[1,2]}'], ['{"a":[1.5]}', "{}", "1"]),
        (with_property(), ['{"a":"x"}', '{"a":1}'], ['{"a":"<"}']),
        (with_property(anyOf=[{"type": "string"}, {"type": "null"}]), ['{"a":null}'], ['{"a":"<"}', '{"a":1}']),
        (ToolSpec("odd", "", {"type": "object"}), ["{}"], ["1"]),
    ],
)
def test_arguments_follow_the_schema(spec: ToolSpec, good: list[str], bad: list[str]) -> None:
    made = Constraint([spec], pico.tokenizer())
    for arguments, fits in ((good, True), (bad, False)):
        for argument in arguments:
            ids = pico.tokenizer()(f"<|tool|>odd({argument})<|/tool|>", add_special_tokens=False).input_ids
            assert (made.matcher().try_consume_tokens(ids) == len(ids)) is fits, argument
            if fits:
                arguments_of(spec, argument)  # what the grammar takes, the toolbox takes


@pytest.mark.parametrize("special", [True, False])
def test_what_no_grammar_can_hold_is_refused_by_name(special: bool) -> None:
    odd = with_property(type="string", pattern=r"^(?=a)\w+$")
    with pytest.raises(InvalidInput, match="no grammar can be made of odd") as caught:
        checked([*SPECS, odd], call_grammar([*SPECS, odd], special=special), special)
    assert (caught.value.reason, caught.value.field) == ("BAD_GRAMMAR", "odd")
    with pytest.raises(InvalidInput, match="no tools"):
        call_grammar([], special=special)


def test_without_the_package_the_way_to_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingTool, match="llguidance"):
        Constraint(SPECS, pico.tokenizer())


def test_the_schema_of_a_tool_is_not_changed() -> None:
    before = json.dumps(WEATHER)
    call_grammar(SPECS, special=True)
    assert json.dumps(WEATHER) == before
