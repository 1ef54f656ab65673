"""The same corpus where there is no sandbox, or less of one."""

import pytest

from agentforge.tools.sandbox.canaries import attempt, attempt_bare
from agentforge.tools.sandbox.escape import Escape
from agentforge.tools.sandbox.escapes import ESCAPES
from agentforge.tools.sandbox.thinner import LAYERS, without


@pytest.mark.parametrize(
    "escape", [each for each in ESCAPES if each.bare], ids=lambda escape: escape.name.replace(" ", "-")
)
def test_in_an_ordinary_process_it_gets_out_and_is_noticed(escape: Escape) -> None:
    assert attempt_bare(escape)


@pytest.mark.parametrize("which", [slice(0, None, 12), pytest.param(slice(None), marks=pytest.mark.slow)])
def test_where_namespaces_are_forbidden_the_filter_holds_alone(which: slice) -> None:
    tried = without(LAYERS, lambda: {escape.name: attempt(escape) for escape in ESCAPES[which]})
    layers = {outcome.layers for outcome, _ in tried.values()}
    assert layers <= {("seccomp", "rlimits"), ("seccomp", "rlimits", "nobody")}
    assert not {name: effects for name, (_, effects) in tried.items() if effects}
