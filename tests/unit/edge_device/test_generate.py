"""Answers: text that is never half a character, stops, seeds, turns, and the bounds of the context."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agentforge.edge.device.runtime.errors import ContextFull, EdgeError
from agentforge.edge.device.runtime.generate import Engine, Session
from agentforge.edge.device.runtime.golden import greedy
from agentforge.edge.device.runtime.sampling import Sampling, choose_token, shares
from agentforge.edge.device.runtime.text import HOLE, Text, TextStream

from .toy import EOS, VOCABULARY, Toy, encode

WORDS = "Grüße, 12 € und 👩\u200d🚀 – fertig"


def all_of(session: Session, *arguments: Any, **named: Any) -> tuple[str, list[int], str]:
    pieces = list(session.generate(*arguments, **named))
    assert [piece.finish for piece in pieces[:-1]] == [""] * (len(pieces) - 1)
    return "".join(p.text for p in pieces), [number for p in pieces for number in p.ids], pieces[-1].finish


def test_text_comes_in_whole_characters(text: Text) -> None:
    stream = TextStream(text)
    pieces = [stream.push(token) for token in encode(WORDS * 4)]
    assert "".join(pieces) == WORDS * 4
    assert max(len(piece) for piece in pieces) == 1
    assert stream.end() == ""


def test_bytes_that_are_no_text_become_holes_and_nothing_is_lost(text: Text) -> None:
    euro, broken = encode("€"), encode("€")[:2]
    stream = TextStream(text)
    came = "".join(stream.push(token) for token in [*broken, *euro, *broken, *broken, *encode("a"), *broken])
    assert came + stream.end() == f"{HOLE}€{HOLE}{HOLE}a{HOLE}"
    assert came.endswith("a")


@pytest.mark.parametrize(
    ("stop", "given"),
    [
        (["12"], "Grüße, "),
        (["€ und", "zzz"], "Grüße, 12 "),
        (["fertig!"], WORDS),
        (["ß", "ü"], "Gr"),
        ([""], WORDS),
    ],
)
def test_stop_strings_never_show(text: Text, stop: list[str], given: str) -> None:
    stream, came = TextStream(text, stop), ""
    for token in encode(WORDS):
        came += stream.push(token)
        if stream.stopped:
            break
    assert came + stream.end() == given
    assert stream.stopped == (given != WORDS)


def test_shares_after_temperature_top_k_and_top_p() -> None:
    logits = np.log(np.array([0.5, 0.25, 0.125, 0.125], np.float32))
    assert shares(logits, Sampling(1.0)) == pytest.approx([0.5, 0.25, 0.125, 0.125])
    assert shares(logits, Sampling(1.0, top_k=2)) == pytest.approx([2 / 3, 1 / 3, 0, 0])
    assert shares(logits, Sampling(1.0, top_p=0.6)) == pytest.approx([2 / 3, 1 / 3, 0, 0])
    assert shares(logits, Sampling(1.0, top_p=0.4)) == pytest.approx([1, 0, 0, 0])
    assert shares(logits, Sampling(0.5)) == pytest.approx(np.array([16, 4, 1, 1]) / 22)
    drawn = [choose_token(logits, Sampling(1.0, seed=3), step) for step in range(2000)]
    assert np.bincount(drawn) / 2000 == pytest.approx([0.5, 0.25, 0.125, 0.125], abs=0.03)
    assert choose_token(logits * 1e4, Sampling(1e-9), 0) == 0
    with pytest.raises(EdgeError, match="no finite number"):
        choose_token(np.array([0.0, np.nan]), Sampling(), 0)


def test_settings_that_make_no_sense_are_named() -> None:
    assert not Sampling(0.7, 40, 0.9, 1).faults()
    assert [fault.split()[0] for fault in Sampling(float("nan"), -1, 1.5, -1).faults()] == [
        "temperature", "top_k", "top_p", "seed",
    ]  # fmt: skip
    assert Sampling(float("inf")).faults()


def test_greedy_is_greedy_and_seeds_repeat(engine: Engine, text: Text) -> None:
    wanted, _ = greedy(engine, encode("abc"), 12)
    came = all_of(Session(engine, text), "abc", 12)
    assert came == (text.decode(wanted), wanted, "length") or EOS in wanted
    answers = [all_of(Session(engine, text), "abc", 12, Sampling(1.0, seed=seed)) for seed in (5, 5, 6)]
    assert answers[0] == answers[1] != answers[2]


def test_turns_continue_one_text(engine: Engine, text: Text, toy: Toy) -> None:
    session = Session(engine, text)
    _, first, _ = all_of(session, "one", 5)
    _, second, _ = all_of(session, "two", 5)
    assert second[:1] == [int(toy.logits([*encode("one"), *first, *encode("two")]).argmax())]
    stats = session.stats
    assert (stats.prompt_tokens, stats.tokens, len(stats.steps)) == (3, 5, 4)
    assert stats.to_first_token > 0
    assert min(stats.steps) > 0


def test_the_context_ends_an_answer_and_refuses_a_prompt(engine: Engine, text: Text) -> None:
    session = Session(engine, text)
    _, ids, finish = all_of(session, "x" * 90, 50)
    assert finish == "context"
    assert len(ids) == 7  # the last one is never read
    with pytest.raises(ContextFull, match="the prompt has 1 tokens, and the model's context has room for -1"):
        all_of(session, "x", 1)
    with pytest.raises(ContextFull, match="97 tokens"):
        all_of(Session(engine, text), "x" * 97, 1)
    with pytest.raises(EdgeError, match="empty"):
        all_of(Session(engine, text), "", 1)


def test_eos_ends_and_bos_begins(engine: Engine, text: Text) -> None:
    class Ending:
        name = version = file = "fake"

        def __init__(self) -> None:
            self.seen: list[int] = []

        def run(self, inputs: Any) -> Any:
            self.seen += inputs["input_ids"][0].tolist()
            made = dict(engine.backend.run(inputs))
            made["logits"] = np.eye(VOCABULARY, dtype=np.float32)[[EOS if len(self.seen) > 4 else 65]]
            return made

    ending = Ending()
    fake = engine._replace(backend=ending, graph=engine.graph._replace(bos=7))
    with_bos = Text.__new__(Text)
    with_bos.__dict__.update(text.__dict__, _lead=[7])
    session = Session(fake, with_bos)
    assert all_of(session, "ab", 9)[1:] == ([65, 65], "eos")
    all_of(session, "c", 1)
    assert ending.seen == [7, *encode("ab"), 65, 65, EOS, *encode("c")]
