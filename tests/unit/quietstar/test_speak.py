"""Speaking with thoughts is what the finished text, read with its thoughts, says that it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor

from agentforge.kit.errors import InvalidInput
from agentforge.models.thoughts import speak as speaking
from agentforge.models.thoughts.generate import Thoughts, generate, retell
from agentforge.models.thoughts.injection import Injection, difficulty
from agentforge.models.thoughts.mixing import mean_prediction
from agentforge.models.thoughts.places import targets
from agentforge.models.thoughts.sampling import Draws, Sampling
from agentforge.models.thoughts.speak import HadThought, Heard, Spoken, speak
from agentforge.models.thoughts.text import read
from agentforge.models.thoughts.thinker import Habits, Thinker, mixed, places_to_think
from tests.unit.quietstar.models import MARKS, VOCAB, llama, titan

EOS, PAD, AHEAD = 1, 2, 3
SAMPLING = Sampling(thoughts=3, length=4, temperature=30.0, top_p=1.0)  # now and then a thought ends by itself
PROMPTS = [[14, 30, 22, 17, 39], [25, 16], [33, 15, 28, 19, 31, 20, 24, 18]]
ROOMS = [10, 12, 7]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def thinker(model: Any, threshold: float | None, seed: int = 5, ahead: int = AHEAD) -> Thinker:
    """Its mixing head lets thoughts say much, and not always the same share."""
    torch.manual_seed(1)
    made = Thinker(model, MARKS, Habits(SAMPLING, ahead, threshold, seed)).to(next(model.parameters()).dtype)
    torch.nn.init.normal_(made.head.outer.weight)
    torch.nn.init.zeros_(made.head.outer.bias)
    return made


def middling(model: Any) -> float:
    """A difficulty that some columns have and some have not."""
    ids_BT = torch.tensor([PROMPTS[2]])
    text = read(model, ids_BT)
    return float(difficulty(text, text.head(text.hidden_BTD), Injection()).median())


def say(made: Thinker, prompts: list[list[int]] = PROMPTS, rooms: list[int] = ROOMS, **how: Any) -> list[Spoken]:
    return speak(made, prompts, rooms, eos=how.pop("eos", EOS), pad=PAD, **how)


def recorded(made: Thinker, **how: Any) -> tuple[list[Spoken], list[Tensor]]:
    """What is said, and the logits [B, V] of each step."""
    steps: list[Tensor] = []
    chosen = speaking._chosen

    def record(log_BV: Tensor, *rest: Any) -> list[int]:
        steps.append(log_BV)
        return chosen(log_BV, *rest)

    with mock.patch.object(speaking, "_chosen", record):
        return say(made, **how), steps


def check_row(made: Thinker, row: int, spoken: Spoken, steps: list[Tensor], spoil: Any = None) -> int:
    """One row against its finished text; how many thoughts it had."""
    prompt, habits = PROMPTS[row], made.habits
    ids = [*spoken.ids, EOS] if len(spoken.ids) < ROOMS[row] else spoken.ids
    ids_1T = torch.tensor([[*prompt, *ids]])
    text = read(made.model, ids_1T)
    base_1TV = text.head(text.hidden_BTD)
    allowed_1T = torch.zeros_like(ids_1T, dtype=torch.bool)
    allowed_1T[:, len(prompt) - 1 : -1] = True
    places_1P = places_to_think(difficulty(text, base_1TV, Injection()), allowed_1T, habits)
    assert places_1P[0].tolist() == [len(prompt) - 1 + had.after for had in spoken.thoughts]
    wanted_LV = base_1TV[0, len(prompt) - 1 : -1].log_softmax(-1)
    if spoken.thoughts:
        told_alpha = put_in(made, text, row, ids_1T, places_1P, wanted_LV, len(prompt), spoken, spoil)
        found = [alpha for had in spoken.thoughts for alpha in had.alpha]
        torch.testing.assert_close(torch.tensor(found).double(), told_alpha, rtol=0, atol=1e-6)
        assert len({round(alpha, 3) for alpha in found}) > 1
    wanted_LV[:, [MARKS.start, MARKS.end]] = -math.inf
    found_LV = torch.stack([steps[step][row] for step in range(len(ids))]).log_softmax(-1)
    torch.testing.assert_close(found_LV, wanted_LV.log_softmax(-1), rtol=0, atol=1e-10)
    return len(spoken.thoughts)


def put_in(
    made: Thinker, text: Any, row: int, ids_1T: Tensor, places_1P: Tensor, wanted_LV: Tensor, given: int,
    spoken: Spoken, spoil: Any,
) -> Tensor:  # fmt: skip
    """Write the mixed predictions over the plain ones; alpha of each served token, mean over thoughts."""
    draws = Draws(made.habits.seed, rows=[row])
    thoughts, told = generate(text, places_1P, MARKS, made.habits.sampling, draws)
    if spoil is not None:
        thoughts = spoil(thoughts)
        told = retell(text, thoughts)
    targets_1PA, there_1PA = targets(ids_1T, torch.ones_like(ids_1T), places_1P, made.habits.ahead)
    found = mixed(made, text, told, places_1P, targets_1PA, there_1PA)
    kept_1PN = torch.ones(found.logits_BPNAV.shape[:3], dtype=torch.bool)
    mean_PAV = mean_prediction(found.logits_BPNAV, found.base_BPAV, kept_1PN)[0]
    for place, (column, had) in enumerate(zip(places_1P[0].tolist(), spoken.thoughts, strict=True)):
        for number, live_L in enumerate(thoughts.live_BPNL[0, place]):
            assert had.ids[number] == thoughts.ids_BPNL[0, place, number][live_L][1:-1].tolist()
        count = int(there_1PA[0, place].sum())
        wanted_LV[column + 1 - given : column + 1 - given + count] = mean_PAV[place, :count]
    return found.alpha_BPNA.mean(2)[0][there_1PA[0]]


MODELS: dict[str, Callable[[], Any]] = {
    "titan": titan, "wide titan": lambda: titan(sliding_window=64),
    "plain titan": lambda: titan(memory=False, act=False),
    "llama": llama, "untied llama": lambda: llama(tie_word_embeddings=False),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("always", [True, False])
def test_it_is_what_the_finished_text_says(name: str, always: bool) -> None:
    model = MODELS[name]()
    made = thinker(model, 0.0 if always else middling(model))
    said, steps = recorded(made, temperature=0.0 if always else 2.0)  # greedy, they soon repeat one token
    for row, spoken in enumerate(said):
        likeliest = [int(log_BV[row].argmax()) for log_BV in steps[: len(spoken.ids)]]
        assert (spoken.ids == likeliest) == always
    assert sum(check_row(made, row, spoken, steps) for row, spoken in enumerate(said)) > 0
    gaps = {had.after % AHEAD for spoken in said for had in spoken.thoughts}
    assert (gaps == {0}) == always
    lengths = {len(ids) for spoken in said for had in spoken.thoughts for ids in had.ids}
    assert len(lengths) > 1 or not always


@torch.no_grad()
@pytest.mark.parametrize("make", [titan, llama])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_thoughts_it_is_plain_decoding_to_the_bit(make: Any, dtype: torch.dtype) -> None:
    model = make().to(dtype)
    width = max(map(len, PROMPTS))
    ids_BT = torch.tensor([[PAD] * (width - len(ids)) + ids for ids in PROMPTS])
    mask_BT = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in PROMPTS])
    out = model.generate(
        input_ids=ids_BT, attention_mask=mask_BT, max_new_tokens=12, do_sample=False, eos_token_id=EOS,
        pad_token_id=PAD, return_dict_in_generate=True, output_logits=True,
    )  # fmt: skip
    said, steps = recorded(thinker(model, None), rooms=[12] * 3)
    for row, spoken in enumerate(said):
        wanted = out.sequences[row, width:].tolist()
        assert spoken.ids == (wanted[: wanted.index(EOS)] if EOS in wanted else wanted)
        assert spoken.thoughts == []
    assert len(steps) == len(out.logits)
    for found_BV, wanted_BV in zip(steps, out.logits, strict=True):
        assert torch.equal(found_BV.float(), wanted_BV)
    never, unmarked = recorded(thinker(model, 1.1), rooms=[12] * 3)  # it may think, but nothing is that hard
    others = [number for number in range(VOCAB) if number not in (MARKS.start, MARKS.end)]
    assert torch.equal(unmarked[0][:, others], steps[0][:, others])
    assert not any(spoken.thoughts for spoken in never)


@pytest.mark.parametrize("make", [titan, llama])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_company_changes_nothing(make: Any, temperature: float) -> None:
    made = thinker(make(), 0.0)
    together = say(made, temperature=temperature, seed=3)
    for row in range(3):
        (alone,) = say(
            made, PROMPTS[row : row + 1], ROOMS[row : row + 1], temperature=temperature, seed=3, rows=[row]
        )
        assert alone.ids == together[row].ids
        assert [had.ids for had in alone.thoughts] == [had.ids for had in together[row].thoughts]
    others = say(replaced(made, seed=6), temperature=temperature, seed=3)
    assert [had.ids for had in others[0].thoughts] != [had.ids for had in together[0].thoughts]
    if temperature:
        assert say(made, temperature=temperature, seed=4) != together


def replaced(made: Thinker, **fields: Any) -> Thinker:
    return Thinker(made.model, made.marks, replace(made.habits, **fields), made.head)


def test_it_is_heard_as_it_comes() -> None:
    made, heard = thinker(titan(), 0.0), list[Heard]()
    said = say(made, hear=heard.append)
    for row, spoken in enumerate(said):
        told = [each.what for each in heard if each.row == row]
        assert [what for what in told if isinstance(what, int)] == spoken.ids
        thoughts = [(place, what) for place, what in enumerate(told) if isinstance(what, HadThought)]
        assert [what for _, what in thoughts] == [replace(had, alpha=[]) for had in spoken.thoughts]
        assert [place - number for number, (place, _) in enumerate(thoughts)] == [
            had.after for had in spoken.thoughts
        ]


def test_an_end_ends_one_row_and_its_last_thought() -> None:
    model = llama()
    first = say(thinker(model, 0.0), temperature=2.0)
    end = first[0].ids[4]  # the second token that the second thought serves
    assert end not in first[0].ids[:4]
    cut = say(thinker(model, 0.0), eos=end, temperature=2.0)
    assert cut[0].ids == first[0].ids[:4]
    assert [had.after for had in cut[0].thoughts] == [0, 3]
    assert [len(had.alpha) for had in cut[0].thoughts] == [3, 2]
    for before, after in zip(first[1:], cut[1:], strict=True):
        assert after.ids == (before.ids[: before.ids.index(end)] if end in before.ids else before.ids)
    assert [len(spoken.ids) for spoken in say(thinker(model, 0.0), rooms=[0, 1, 7])] == [0, 1, len(first[2].ids)]


def test_marks_are_not_said() -> None:
    """Even by a model that would say nothing else."""
    model = llama(tie_word_embeddings=False)
    with torch.no_grad():
        weight_VD = model.get_output_embeddings().weight
        weight_VD[: MARKS.start] = weight_VD[MARKS.end + 1 :] = 0
        weight_VD[MARKS.end] = -weight_VD[MARKS.start]  # one of the two is above 0, and all else is 0
    marks = {MARKS.start, MARKS.end}
    assert all({*spoken.ids} <= marks for spoken in say(thinker(model, None)))
    assert not any({*spoken.ids} & marks for spoken in say(thinker(model, 0.0)))


@pytest.mark.parametrize("make", [titan, llama])
def test_spoiled_thoughts_serve_in_place_of_the_own(make: Any) -> None:
    def spoil(thoughts: Thoughts) -> Thoughts:
        inner = thoughts.live_BPNL & ~((thoughts.ids_BPNL == MARKS.start) | (thoughts.ids_BPNL == MARKS.end))
        return replace(thoughts, ids_BPNL=torch.where(inner, 20, thoughts.ids_BPNL))

    made = thinker(make(), 0.0)
    said, steps = recorded(made, spoil=spoil)
    assert {number for spoken in said for had in spoken.thoughts for ids in had.ids for number in ids} == {20}
    assert all(check_row(made, row, spoken, steps, spoil) for row, spoken in enumerate(said))


def test_the_last_position_is_reached_and_not_passed() -> None:
    """64 positions: the prompt, what is said, and a thought before the last token."""
    made, room = thinker(llama(), 0.0, ahead=1), 64 - 1 - 50 - SAMPLING.length
    prompt = [14 + number % 26 for number in range(50)]
    (fits,) = say(made, [prompt], [room])
    assert len(fits.ids) == room
    with pytest.raises(InvalidInput) as caught:
        say(made, [prompt], [room + 1])
    assert caught.value.reason == "SEQUENCE_TOO_LONG"
