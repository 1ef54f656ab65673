"""Semantic versions, and aliases as folds of their log."""

from __future__ import annotations

import pytest

from agentforge.kit.errors import ForgeError, InvalidInput
from agentforge_gateway.registry import aliases
from agentforge_gateway.registry.records import Promotion
from agentforge_gateway.registry.versions import Version, check_alias, check_model_name, next_version, split_ref


def test_the_order_of_semver_org() -> None:
    order = (
        "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 "
        "1.0.0 1.0.2 1.0.10 1.2.0 10.0.0"
    )
    versions = [Version.parse(text) for text in order.split()]
    assert sorted(versions, key=lambda v: (v, str(v))) == versions
    assert max(versions[:3]) == versions[2]
    assert min(versions[5:]) == versions[5]
    assert [str(version) for version in versions] == order.split()


@pytest.mark.parametrize(
    "text", ["", "1", "1.2", "01.2.3", "1.2.3+b", "v1.2.3", "1.2.3-", "1.2.3-01", "١.٢.٣", "9" * 70, "1.2.3\n"]
)
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Version.parse(text)
    assert refused.value.reason == "BAD_VERSION"


def test_the_next_number() -> None:
    known = Version.parse("1.2.3")
    assert str(next_version(None, same_shapes=False, same_config=False)) == "1.0.0"
    assert str(next_version(known, same_shapes=True, same_config=True)) == "1.2.4"
    assert str(next_version(known, same_shapes=True, same_config=False)) == "1.3.0"
    assert str(next_version(known, same_shapes=False, same_config=True)) == "2.0.0"
    assert str(next_version(Version.parse("1.2.3-rc.1"), same_shapes=True, same_config=True)) == "1.2.3"


@pytest.mark.parametrize("name", ["a/b", "../x", "größe", "n" * 300, "", ".x", "-x", "a b", "a\nb", "a\0b", "a:b"])
def test_names_that_are_refused(name: str) -> None:
    for check in (check_model_name, check_alias):
        with pytest.raises(InvalidInput) as refused:
            check(name)
        assert refused.value.reason == "INVALID_NAME"


@pytest.mark.parametrize("alias", ["latest", "best", "1.0.0", "7"])
def test_aliases_that_are_refused(alias: str) -> None:
    with pytest.raises(InvalidInput):
        check_alias(alias)


def test_references() -> None:
    assert split_ref("m") == ("m", "latest")
    assert split_ref("m:1.0.0") == ("m", "1.0.0")


def _log(*steps: str | int | None) -> list[Promotion]:
    """A version promotes it; an entry's number undoes that entry; None rolls back by default."""
    log: list[Promotion] = []
    for step in steps:
        number, now = len(log) + 1, aliases.current(log)
        if isinstance(step, str):
            undoes, to = None, step
        else:
            undoes, to = aliases.rollback_of("m", "production", log, step)
        log.append(
            Promotion(
                alias="a", number=number, from_version=now, to_version=to, undoes=undoes, who="", why="", time=""
            )
        )
    return log


@pytest.mark.parametrize(
    ("steps", "current"),
    [
        (("1",), "1"),
        (("1", "2", None), "1"),
        (("1", "2", "3", None), "2"),
        (("1", "2", "3", None, None), "1"),
        (("1", "2", None, 3), "2"),  # the rollback is rolled back
        (("1", "2", None, 3, 4), "1"),  # and that again
        (("1", "2", "3", None, None, 5), "2"),
        (("1", "2", None, 3, None), "1"),
        (("1", "2", None, "3", None), "1"),
        (("1", "2", "1", None), "2"),
    ],
)
def test_rollbacks(steps: tuple[str | int | None, ...], current: str) -> None:
    log = _log(*steps)
    assert aliases.current(log) == current == log[-1].to_version
    assert [entry.number for entry in log] == list(range(1, len(log) + 1))


@pytest.mark.parametrize("steps", [("1", None), ("1", "2", None, None), ("1", 1), ("1", "2", None, 3, None, None)])
def test_past_the_first(steps: tuple[str | int | None, ...]) -> None:
    with pytest.raises(ForgeError) as refused:
        _log(*steps)
    assert refused.value.reason == "NOTHING_TO_ROLL_BACK"


def test_only_the_last_entry_is_undone() -> None:
    with pytest.raises(ForgeError) as refused:
        _log("1", "2", "3", 2)
    assert refused.value.reason == "NOT_THE_LAST_ENTRY"
