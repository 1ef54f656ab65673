"""Which formats are made: those asked for, or all that fit the model and whose tools are here. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentforge.kit.errors import Violation
from agentforge.phase8_compression.configs.formats import FormatsConfig
from agentforge.phase8_compression.formats import FORMATS, Format, Options


def unfit(described: Mapping[str, Any], config: FormatsConfig, options: Options) -> list[Violation]:
    """Of formats that were asked for by name: all that is wrong with that, told from config.json alone."""
    return [each for name in config.make or () for each in FORMATS[name].fits(described, options)]


def wanted(
    described: Mapping[str, Any], config: FormatsConfig, options: Options
) -> tuple[list[Format], dict[str, str]]:
    """And those that are left out, with the reason."""
    if config.make is not None:
        return [FORMATS[name] for name in sorted(set(config.make))], {}
    found = {name: form.fits(described, options) for name, form in FORMATS.items()}
    absent = {name: faults[0].message for name, faults in found.items() if faults}
    return [FORMATS[name] for name in sorted(found) if name not in absent], absent
