"""The marks of a thought: found in our tokenizer, added to another's, refused where they mean something else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from agentforge.data.tokenizer import THOUGHT_CLOSE, THOUGHT_OPEN
from agentforge.kit.errors import FailedPrecondition, InvalidInput
from agentforge.models.thoughts.foreign import check_model
from agentforge.models.thoughts.generate import generate
from agentforge.models.thoughts.places import all_places
from agentforge.models.thoughts.room import check_room
from agentforge.models.thoughts.sampling import Draws, Sampling
from agentforge.models.thoughts.text import read
from agentforge.models.thoughts.tokens import Marks, add_marks, find_marks
from tests import pico
from tests.unit.quietstar.models import MARKS, llama, text


def foreign(words: list[str], **named: str) -> Any:
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="?"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="?", **named)


def sized(vocabulary: int, **fields: Any) -> Any:
    return pico.llama(vocab_size=vocabulary, **fields)


def test_ours_has_them_and_nothing_changes() -> None:
    model = pico.titan()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert add_marks(pico.tokenizer(), model) == MARKS
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("dash", [True, False])
def test_new_ones_make_the_embedding_grow_and_begin_as_the_dash_or_the_mean(dash: bool, tied: bool) -> None:
    tokenizer = foreign(["?", "a", "—" if dash else "b"])
    model = sized(3, tie_word_embeddings=tied)
    old = [model.get_input_embeddings().weight.clone(), model.get_output_embeddings().weight.clone()]
    assert add_marks(tokenizer, model) == Marks(3, 4) == find_marks(tokenizer)
    assert tokenizer.encode(f"a{THOUGHT_OPEN}a{THOUGHT_CLOSE}") == [1, 3, 1, 4]
    new = [model.get_input_embeddings().weight, model.get_output_embeddings().weight]
    assert model.config.vocab_size == 5
    assert (new[0] is new[1]) == tied
    for before, after in zip(old, new, strict=True):
        assert torch.equal(after[:3], before)
        wanted = before[2] if dash else before.mean(0)
        torch.testing.assert_close(after[3:], torch.stack([wanted, wanted]))
    assert model(input_ids=torch.tensor([[3, 4]])).logits.shape == (1, 2, 5)


def test_free_rows_of_the_embedding_are_used_first() -> None:
    model = sized(8)
    assert add_marks(foreign(["?", "a", "b"]), model) == Marks(3, 4)
    assert model.get_input_embeddings().num_embeddings == 8


def test_titan_grows_too() -> None:
    model = pico.titan(vocab_size=3)
    assert add_marks(foreign(["?", "a", "b"]), model) == Marks(3, 4)
    assert model.lm_head.weight is model.embed_tokens.weight
    assert len(model.lm_head.weight) == model.config.vocab_size == 5


@pytest.mark.parametrize("mark", [THOUGHT_OPEN, THOUGHT_CLOSE])
def test_marks_with_another_meaning_are_refused(mark: str) -> None:
    for tokenizer in (foreign(["?", "a", mark]), foreign(["?", "a", mark], eos_token=mark)):
        model = sized(3)
        with pytest.raises(InvalidInput, match="id 2") as caught:
            add_marks(tokenizer, model)
        assert caught.value.reason == "THOUGHT_TOKEN_TAKEN"
        assert len(tokenizer) == 3
        assert model.config.vocab_size == 3


def test_a_vocabulary_at_its_limit_is_refused() -> None:
    tokenizer, model = foreign(["?", "a", "b"]), sized(3)
    with pytest.raises(InvalidInput) as caught:
        add_marks(tokenizer, model, limit=4)
    assert caught.value.reason == "VOCABULARY_FULL"
    assert len(tokenizer) == 3
    assert add_marks(tokenizer, model, limit=5) == Marks(3, 4)


def test_a_model_without_marks_is_told_so() -> None:
    with pytest.raises(FailedPrecondition) as caught:
        find_marks(foreign(["?", "a"]))
    assert caught.value.reason == "NO_THOUGHT_TOKENS"


def test_texts_that_leave_no_room() -> None:
    with pytest.raises(InvalidInput) as caught:
        check_room(9, 8, None)
    assert caught.value.reason == "SEQUENCE_TOO_SHORT"
    with pytest.raises(InvalidInput) as caught:
        check_room(40, 8, 10)
    assert caught.value.reason == "THOUGHT_TOO_LONG"
    check_room(10, 8, 11)
    with pytest.raises(InvalidInput) as caught:
        all_places(torch.tensor([[0, 1], [0, 0]]), 1)
    assert caught.value.reason == "TEXT_TOO_SHORT"
    with pytest.raises(InvalidInput, match="row 1") as caught:
        read(llama(), text(2, 2), torch.tensor([[1, 1], [0, 0]]))
    assert caught.value.reason == "EMPTY_ROW"


@torch.no_grad()
def test_thoughts_beyond_a_models_positions_are_refused() -> None:
    whole = read(llama(max_position_embeddings=16), text(1, 10))
    with pytest.raises(InvalidInput) as caught:
        generate(whole, torch.tensor([[9]]), MARKS, Sampling(1, 5), Draws(0))
    assert caught.value.reason == "SEQUENCE_TOO_LONG"
    generate(whole, torch.tensor([[9]]), MARKS, Sampling(1, 4), Draws(0))


def test_models_that_cannot_keep_thoughts_apart_are_refused() -> None:
    from transformers import BloomConfig, BloomForCausalLM, GPT2Config, GPT2LMHeadModel

    check_model(llama())
    check_model(pico.titan().eval())
    gpt = GPT2LMHeadModel(GPT2Config(vocab_size=40, n_embd=16, n_layer=2, n_head=2, n_positions=32))
    check_model(gpt.eval())
    torch.manual_seed(0)
    bloom = BloomForCausalLM(BloomConfig(vocab_size=40, hidden_size=16, n_layer=2, n_head=2)).eval()
    with pytest.raises(InvalidInput, match="bloom") as caught:  # places by distance in the row, not by position
        check_model(bloom)
    assert caught.value.reason == "THOUGHTS_UNSUPPORTED"
