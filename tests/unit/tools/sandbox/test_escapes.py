"""The corpus, each by itself."""

import pytest

from agentforge.tools.sandbox.canaries import attempt
from agentforge.tools.sandbox.escape import Escape
from agentforge.tools.sandbox.escapes import ESCAPES


def _name(escape: Escape) -> str:
    return escape.name.replace(" ", "-")


@pytest.mark.parametrize("escape", ESCAPES, ids=_name)
def test_nothing_gets_out(escape: Escape) -> None:
    outcome, effects = attempt(escape)
    assert not effects, outcome


def test_the_corpus_is_large_enough_and_its_names_are_its_own() -> None:
    assert len({escape.name for escape in ESCAPES}) == len(ESCAPES) >= 40
