"""Held-out questions: from their split alone, encoded once, every answer token at its place."""

import numpy as np
import pytest
import torch

from agentforge.data.generate import ItemStream
from agentforge.data.sources.documents import Document
from agentforge.data.splits import Split
from agentforge.data.tasks import FAMILIES
from agentforge.kit.errors import FailedPrecondition, InvalidInput
from agentforge.phase2_evomerge.evaluation import batches
from agentforge.phase2_evomerge.evaluation.batches import Encoded
from agentforge.phase2_evomerge.evaluation.questions import Questions
from tests.unit.train.helpers import codec

DRAWN = {"recall": [2, 3], "arithmetic": [2]}


def document(split: Split) -> Document:
    number = next(n for n in range(1000) if Document(f"value = {n}\n" * 9, "x").split is split)
    return Document(f"value = {number}\n" * 9, "x")


def drawn(count: int = 20, *, documents: tuple[Document, ...] = ()) -> Questions:
    return Questions.drawn(DRAWN, Split.SELECTION, count=count, seed=3, documents=documents)


def test_only_held_out_splits_ask() -> None:
    for split in (Split.TRAIN, Split.CALIBRATION):
        with pytest.raises(FailedPrecondition, match="not held out"):
            Questions.drawn(DRAWN, split, count=5, seed=1)


def test_items_and_documents_of_another_split_are_refused() -> None:
    others = ItemStream("arithmetic", Split.TEST, 1, (2,)).distinct(3)
    own = ItemStream("arithmetic", Split.SELECTION, 1, (2,)).distinct(3)
    with pytest.raises(FailedPrecondition, match="belongs to the test split"):
        Questions(Split.SELECTION, {"arithmetic": [*own, others[0]]})
    with pytest.raises(FailedPrecondition, match="not to selection"):
        drawn(documents=(document(Split.SELECTION), document(Split.TRAIN)))


def test_nothing_to_ask_is_refused() -> None:
    for items in ({}, {"arithmetic": []}):
        with pytest.raises(InvalidInput, match="no family") as caught:
            Questions(Split.TEST, items)
        assert caught.value.reason == "NO_QUESTIONS"


def test_without_difficulties_the_starters_are_asked() -> None:
    asked = Questions.drawn({"recall": []}, Split.TEST, count=60, seed=1).items["recall"]
    assert {item.difficulty for item in asked} == set(FAMILIES["recall"].starter)
    assert asked == Questions.drawn({"recall": []}, Split.TEST, count=60, seed=1).items["recall"]


def test_an_item_beyond_the_models_sight_is_refused_by_family() -> None:
    longest = max(len(codec().item_ids(item)[0]) for item in drawn().items["recall"])
    drawn().encoded(codec(), context=longest)
    with pytest.raises(InvalidInput, match=f"the model sees {longest - 1}") as caught:
        drawn().encoded(codec(), context=longest - 1)
    assert (caught.value.reason, caught.value.field) == ("SEQUENCE_TOO_LONG", "recall")


def check_places(sheet: Encoded) -> None:
    """Each answer token once; the kept position that stands for it is the one before it, and never padding."""
    places = torch.cat([batch.place_M for batch in sheet.batches])
    assert places.sort().values.tolist() == list(range(len(sheet.target_A)))
    for batch in sheet.batches:
        column_M = batch.ids_BT.shape[1] - batch.keep + batch.column_M
        assert torch.equal(batch.ids_BT[batch.row_M, column_M + 1], batch.target_M)
        assert batch.mask_BT[batch.row_M, column_M + 1].all()
        assert int(batch.column_M.min()) == 0  # no more is kept than is needed
        assert np.array_equal(batch.target_M.numpy(), sheet.target_A[batch.place_M])


def test_answers_stand_family_by_family_whatever_the_batches() -> None:
    questions = drawn(documents=(document(Split.SELECTION),))
    sheet = questions.encoded(codec(), context=40, text_length=16, batch=7)
    check_places(sheet)
    expected = []
    for family in ("arithmetic", "recall"):
        for item in questions.items[family]:
            expected += [*codec().ids(item.completion), codec().eos]
    assert sheet.target_A[: len(expected)].tolist() == expected
    ids = [*codec().document_ids(document(Split.SELECTION).text), codec().eos]
    assert sheet.target_A[len(expected) :].tolist() == ids[1:]  # all but the text's first, each once
    assert list(sheet.spans) == ["arithmetic", "recall", "text"]
    assert (sheet.count("arithmetic"), sheet.count("text")) == (20, -(-(len(ids) - 1) // 15))
    assert sheet.answer_tokens("text") == len(ids) - 1
    assert sheet.tokens == sum(int(batch.mask_BT.sum()) for batch in sheet.batches)
    assert max(len(batch.ids_BT) for batch in sheet.batches) == 7


def test_logits_of_a_batch_stay_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    widest = max(batch.ids_BT.shape[1] for batch in drawn().encoded(codec(), context=None).batches)
    monkeypatch.setattr(batches, "_MOST_LOGITS", 3 * widest * codec().vocabulary)
    sheet = drawn().encoded(codec(), context=None)
    assert max(len(batch.ids_BT) for batch in sheet.batches) == 3
    check_places(sheet)
