"""`--set key=value`: dotted keys, values as YAML scalars and lists."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agentforge.kit.errors import InvalidInput


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """["a.b=1", "c=[x, y]"] as {"a": {"b": 1}, "c": ["x", "y"]}."""
    config: dict[str, Any] = {}
    for setting in settings:
        key, value = _split(setting)
        parts = key.split(".")
        place = config
        for part in parts[:-1]:
            inner = place.setdefault(part, {})
            if not isinstance(inner, dict):
                raise _refused(setting, f"{key}: {part!r} was set to a value before", "Give one of the two.")
            place = inner
        if isinstance(place.get(parts[-1]), dict) and not isinstance(value, dict):
            raise _refused(setting, f"{key}: fields inside of it were set before", "Give one of the two.")
        place[parts[-1]] = value
    return config


def parse_phase_settings(settings: Iterable[str]) -> dict[str, dict[str, Any]]:
    """["count.upto=5"] as {"count": {"upto": 5}}; a key without its phase is refused."""
    settings = list(settings)
    for setting in settings:
        key, _ = _split(setting)
        if "." not in key:
            hint = f"Write the phase before it: --set PHASE.{setting}"
            raise _refused(setting, f"--set {setting!r} does not say which phase it is for", hint)
    return parse_settings(settings)


def _split(setting: str) -> tuple[str, Any]:
    import yaml

    key, equals, text = setting.partition("=")
    key = key.strip()
    if not equals or not all(key.split(".")):
        raise _refused(setting, f"--set {setting!r} is not key=value", "For example: --set seed=7")
    try:
        return key, _as_number(yaml.safe_load(text))
    except yaml.YAMLError as error:
        problem = str(getattr(error, "problem", None) or error)
        hint = "Quote it for YAML, for example: --set 'text=\"a: b\"'"
        raise _refused(setting, f"--set {key}: the value is no YAML ({problem})", hint) from None


def _as_number(value: Any) -> Any:
    """YAML 1.1 reads 1e-3 as text, since it has no dot; people mean the number."""
    if isinstance(value, list):
        return [_as_number(v) for v in value]
    if isinstance(value, str) and value[:1] in "+-.0123456789" and "e" in value.lower():
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _refused(setting: str, message: str, next_step: str) -> InvalidInput:
    return InvalidInput(message, reason="BAD_SETTING", field=setting.partition("=")[0], next_step=next_step)
