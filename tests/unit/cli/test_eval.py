"""`agentforge eval` on small models whose numbers are known beforehand."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from agentforge.cli.eval import EvalOptions, evaluate
from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream
from agentforge.data.items import Item
from agentforge.data.splits import Split
from agentforge.data.tasks import FAMILIES
from agentforge.data.tokenizer import BOS, wrap
from agentforge.kit.errors import ForgeError
from agentforge.models.thoughts.mixing import MixingHead
from agentforge.models.thoughts.sampling import Sampling
from agentforge.models.thoughts.saving import save_thinker
from agentforge.models.thoughts.thinker import Habits, Thinker
from agentforge.models.thoughts.tokens import find_marks
from agentforge.train.examine import counts_bytes, examine, held_out_texts, plan
from agentforge.train.loading import LoadedModel, load_model
from tests import pico
from tests.unit.cli.program import Program
from tests.unit.cli.test_chat import codec, small_llama, small_titan


@pytest.fixture(scope="module")
def titan(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(small_titan(tmp_path_factory.mktemp("titan") / "model"))


def test_a_model_that_knows_three_of_five_has_sixty_percent(forge: Program, tmp_path: Path) -> None:
    """It learned the test items themselves, two of them wrong; what the program measures is known to the item."""
    asked = ItemStream("arithmetic", Split.TEST, 0).distinct(5)
    taught = [replace(item, answer="7") if place in (1, 3) else item for place, item in enumerate(asked)]
    assert all(item.answer != "7" for item in asked)
    model = small_llama(tmp_path / "model", taught, steps=100)
    done = forge("eval", model, "--family", "arithmetic", "--items", "5", "--json")
    assert done.code == 0, done
    assert done.err == ""
    report = json.loads(done.out)
    perplexity = report["families"]["arithmetic"].pop("perplexity")
    assert report["families"] == {"arithmetic": {"accuracy": 0.6, "n": 5}}
    assert perplexity == pytest.approx(report["answer_perplexity"])
    assert report["parameters"] == load_model(model).model.num_parameters()
    assert report["bits_per_byte_n"] == len(held_out_texts())
    assert report["bits_per_byte"] > 1
    listed = {one["name"]: one for one in report["measurements"]}
    assert set(listed["bits_per_byte"]) == {"name", "value", "unit", "method", "n", "spread"}
    assert "test split" in listed["accuracy/arithmetic"]["method"]
    assert "answer tokens of 5 items" in listed["perplexity/arithmetic"]["method"]


def test_people_see_a_line_for_each_number(
    titan: LoadedModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert evaluate(EvalOptions(titan.directory, ["nested", "copy"], 3, False, False)) == 0
    lines = capsys.readouterr().out.splitlines()
    families = [f"{kind}/{family}" for family in ("nested", "copy") for kind in ("accuracy", "perplexity")]
    wanted = ["parameters", *families, "answer_loss", "answer_perplexity", "bits_per_byte"]
    assert [line.split()[0] for line in lines] == wanted
    assert lines[1].endswith("(n=3)")
    assert "bit/By" in lines[-1]


def test_an_even_model_has_the_bits_of_its_vocabulary(titan: LoadedModel) -> None:
    """All logits equal: the loss of an answer token is the logarithm of the vocabulary, at any row length."""
    titan_model = load_model(titan.directory).model
    torch.nn.init.zeros_(titan_model.lm_head.weight)
    even = replace(titan, model=titan_model)
    found = {one.name: one for one in examine(even, codec(), plan(even, codec(), 4, ["recall", "recall"]))}
    assert found["answer_loss"].value == pytest.approx(math.log(codec().vocabulary), rel=1e-5)
    assert found["answer_perplexity"].value == pytest.approx(codec().vocabulary, rel=1e-4)
    assert found["perplexity/recall"].value == pytest.approx(codec().vocabulary, rel=1e-4)
    assert found["accuracy/recall"].n == 4


def test_what_does_not_fit_is_not_measured_and_named(tmp_path: Path) -> None:
    small = load_model(small_llama(tmp_path / "model"))
    planned = plan(small, codec(), 3)
    assert "arithmetic" in planned.items
    assert "64" in planned.skipped["recall_long"]
    assert not planned.items.keys() & planned.skipped.keys()
    with pytest.raises(ForgeError, match="recall_long"):
        plan(small, codec(), 3, ["recall_long"])


def test_a_family_that_is_none_is_told(titan: LoadedModel) -> None:
    with pytest.raises(ForgeError, match="arithmetic"):
        plan(titan, codec(), 3, ["arithmetc"])


def test_items_are_held_out_and_the_same_for_every_model(titan: LoadedModel) -> None:
    planned = plan(titan, codec(), 6)
    assert planned == plan(titan, codec(), 6)
    assert {item.split for items in planned.items.values() for item in items} == {Split.TEST}
    assert list(planned.items) == list(FAMILIES)
    texts = held_out_texts()
    assert len(set(texts)) == len(texts) > 10


def test_a_tokenizer_that_begins_texts_does_so_for_prompts_and_not_twice() -> None:
    backend = Tokenizer.from_str(codec().tokenizer.backend_tokenizer.to_str())
    backend.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, 0)])
    led = Codec(wrap(backend))
    item = Item("arithmetic", "Q: 2 + 3 = A:", "5", 1)
    ids, learned = led.item_ids(item)
    assert ids == [0, *codec().item_ids(item)[0]]
    assert (learned[0], len(learned)) == (False, len(ids))
    assert led.ids("ab") == codec().ids("ab")
    assert led.prompt_ids("ab") == [0, *codec().ids("ab")]
    assert led.encode_bytes(b"ab") == codec().ids("ab")
    assert led.document_ids("ab") == [0, *codec().document_ids("ab")]
    assert counts_bytes(led, ["a text", "ünï"])
    assert codec().prompt_ids("ab") == codec().ids("ab")


def test_bits_per_byte_are_left_out_where_tokens_do_not_say_their_bytes(titan: LoadedModel) -> None:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.train_from_iterator(held_out_texts(), trainers.BpeTrainer(vocab_size=200, special_tokens=["<end>"]))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>")  # type: ignore[no-untyped-call]
    foreign = Codec(tokenizer)
    planned = plan(titan, codec(), 2, ["arithmetic"])
    names = [one.name for one in examine(titan, foreign, planned)]
    assert "bits_per_byte" not in names
    assert "byte-level" in planned.skipped["bits_per_byte"]
    assert all(first != second for first, second in pairwise(names))


def test_a_model_that_thinks_answers_in_both_ways(tmp_path: Path) -> None:
    """Its thoughts are had, and here they are all the same: alpha is 1, so the answers are the plain ones."""
    directory = pico.save(pico.trained(pico.titan(), [("chain", 2)], 60, seed=1), tmp_path / "model")
    loaded = load_model(directory)
    head = MixingHead(loaded.model.config.hidden_size)
    torch.nn.init.constant_(head.outer.bias, 200.0)
    for threshold, wanted in ((None, 1), (0.0, 2)):
        habits = Habits(Sampling(thoughts=2, length=3), threshold=threshold)
        save_thinker(directory, Thinker(loaded.model, find_marks(loaded.tokenizer), habits, head), {})
        kept = Codec(loaded.tokenizer)
        found = [one for one in examine(loaded, kept, plan(loaded, kept, 10, ["chain"])) if "accuracy" in one.name]
        assert [one.name for one in found] == ["accuracy/chain", "accuracy_with_thoughts/chain"][:wanted]
        assert len({one.value for one in found}) == 1
    assert "thinking as its habits say" in found[1].method
