"""Which version is meant: a version, an alias, `latest` or `best`; and which must not be deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentforge.kit.errors import FailedPrecondition, NotFound
from agentforge_gateway.registry import aliases
from agentforge_gateway.registry.records import BestBy, ModelRecord, Promotion, VersionRecord
from agentforge_gateway.registry.versions import BEST, LATEST, Version, check_model_name


def unknown_model(name: str) -> NotFound:
    return NotFound(
        f"there is no model {name!r}",
        reason="UNKNOWN_MODEL",
        field="name",
        next_step="See `agentforge models list`.",
    )


def choose(model: ModelRecord, which: str, best: BestBy | None = None) -> VersionRecord:
    """A version by its number is found even if it is deleted: its tombstone says so."""
    alive = [one for one in model.versions if one.tombstone is None]
    if which == LATEST:
        return _latest(model, alive)
    if which == BEST:
        return _best(model, alive, best or model.best)
    check_model_name(which)
    number = model.aliases.get(which, which)
    for version in model.versions:
        if version.version == number:
            return version
    raise NotFound(
        f"model {model.name!r} has no version or alias {which!r}",
        reason="UNKNOWN_VERSION",
        field="version",
        next_step=f"See `agentforge models show {model.name}`.",
    )


def alive(version: VersionRecord) -> VersionRecord:
    if version.tombstone is None:
        return version
    raise FailedPrecondition(
        f"{version.name}:{version.version} was deleted",
        reason="VERSION_DELETED",
        field="version",
        next_step="Choose another version.",
    )


def check_deletable(
    version: VersionRecord, models: Sequence[ModelRecord], logs: Mapping[str, Mapping[str, Sequence[Promotion]]]
) -> None:
    """Raise where an alias points to it, may return to it, or to what descends from it; or an adapter needs it."""
    full = f"{version.name}:{version.version}"
    for model in models:
        for alias, log in sorted(logs[model.name].items()):
            kept = aliases.protected(log)
            for other in model.versions:
                if other.version not in kept:
                    continue
                if (other.name, other.version) == (version.name, version.version):
                    raise _in_use(full, f"{model.name}:{alias} points to it, or returns to it by one rollback")
                if version.artifact.sha256 in other.ancestors:
                    raise _in_use(full, f"{model.name}:{alias} ({other.version}) descends from it")
        for other in model.versions:
            if other.tombstone is None and other.base == full:
                raise _in_use(full, f"adapter {other.name}:{other.version} needs it")


def _latest(model: ModelRecord, alive: Sequence[VersionRecord]) -> VersionRecord:
    for version in alive:  # the highest is first
        if Version.parse(version.version).released:
            return version
    raise NotFound(
        f"model {model.name!r} has no released version",
        reason="UNKNOWN_VERSION",
        field="version",
        next_step="Name a prerelease by its number, or register a release.",
    )


def _best(model: ModelRecord, alive: Sequence[VersionRecord], best: BestBy | None) -> VersionRecord:
    if best is None:
        raise FailedPrecondition(
            f"nobody has said what the best version of {model.name!r} is",
            reason="BEST_NOT_STATED",
            field="best",
            next_step=f"State it: agentforge models best {model.name} MEASUREMENT --higher (or --lower).",
        )
    measured = [(one, found) for one in alive if (found := one.measured(best.measurement))]
    units = {found.unit for _, found in measured}
    if not measured or len(units) > 1:
        why = "no version has" if not measured else f"versions have it in {len(units)} units:"
        raise FailedPrecondition(
            f"{model.name!r}: {why} measurement {best.measurement!r}",
            reason="BEST_NOT_MEASURED",
            field="best",
            next_step="State another measurement.",
        )
    sign = 1 if best.higher else -1
    # max() keeps the first of equals, which is the highest version.
    return max(measured, key=lambda pair: sign * pair[1].value)[0]


def _in_use(full: str, why: str) -> FailedPrecondition:
    return FailedPrecondition(
        f"{full} is not deleted: {why}",
        reason="VERSION_IN_USE",
        field="version",
        next_step="Promote another version, and see what still descends from this one (agentforge models lineage).",
    )
