"""The package's edge.proto is the contract's own: an installed agentforge has no proto/ beside it."""

from pathlib import Path

from agentforge.edge import device

ROOT = Path(__file__).parents[3]


def test_the_copy_is_the_contract() -> None:
    copy = Path(str(device.__file__)).parent / "edge.proto"
    assert copy.read_bytes() == (ROOT / "proto/agentforge/v1/edge.proto").read_bytes()
