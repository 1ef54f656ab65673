"""How often each token is used, in text and items that may be looked at: never those that numbers are told of."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from agentforge.data.codec import Codec
from agentforge.data.items import Item
from agentforge.data.sources.documents import Document
from agentforge.data.splits import Split
from agentforge.kit.errors import FailedPrecondition

Counts = NDArray[np.int64]  # [V]

_SEEN = (Split.TRAIN, Split.CALIBRATION)


def usage(codec: Codec, *, documents: Iterable[Document] = (), items: Iterable[Item] = ()) -> Counts:
    """[V], each document and item with its end."""
    counts_V = np.zeros(codec.vocabulary, np.int64)
    for document in documents:
        _check(document.split, document.text)
        np.add.at(counts_V, [*codec.document_ids(document.text), codec.eos], 1)
    for item in items:
        _check(item.split, item.text)
        np.add.at(counts_V, codec.item_ids(item)[0], 1)
    return counts_V


def _check(split: Split, text: str) -> None:
    if split not in _SEEN:
        message = f"{text[:60]!r} belongs to the {split} split, by which no vocabulary may be chosen"
        step = "Count text and items of the train or the calibration split."
        raise FailedPrecondition(message, reason="WRONG_SPLIT", field=str(split), next_step=step)
