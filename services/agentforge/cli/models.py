"""`agentforge models …` and `agentforge export`: questions to the gateway's RegistryService."""

from __future__ import annotations

import getpass
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from agentforge.cli.connect import connect_gateway, need_gateway
from agentforge.cli.gateway import PipelineClient
from agentforge.cli.models_merge import check_mergeable, merge_into_base, new_merge_id
from agentforge.kit.errors import DataLoss, InvalidInput
from agentforge.kit.paths import home
from agentforge.v1 import registry_pb2 as pb
from agentforge.v1.registry_pb2_grpc import RegistryServiceStub

_POLL_S = 0.3
_FINAL = ("RUN_STATE_SUCCEEDED", "RUN_STATE_FAILED", "RUN_STATE_CANCELLED")


@contextmanager
def _registry(
    gateway: str, *, phases: bool = False, own: str = ""
) -> Iterator[tuple[PipelineClient, RegistryServiceStub]]:
    with connect_gateway(gateway, phases=phases, own=own) as client:
        yield client, RegistryServiceStub(client.channel)


def list_models(gateway: str, *, as_json: bool) -> int:
    found: list[Any] = []
    with _registry(gateway) as (client, stub):
        token = ""
        while True:
            page = client.call(stub.ListModels, pb.ListModelsRequest(page_size=1000, page_token=token))
            found += page.models
            token = page.next_page_token
            if not token:
                break
    if as_json:
        print(json.dumps([_json(model) for model in found], indent=2, ensure_ascii=False))
    for model in () if as_json else found:
        alive = [one for one in model.versions if not one.HasField("tombstone")]
        held = ", ".join(f"{alias} {version}" for alias, version in sorted(model.aliases.items()))
        print(f"{model.name:<32} {len(alive)} versions  {held}")
    return 0


def show(gateway: str, ref: str, *, as_json: bool) -> int:
    name, which = _split(ref)
    with _registry(gateway) as (client, stub):
        if which:
            return _print_version(client.call(stub.GetModelVersion, _get(name, which)).version, as_json)
        model = client.call(stub.GetModel, pb.GetModelRequest(name=name)).model
    if as_json:
        print(json.dumps(_json(model), indent=2, ensure_ascii=False))
        return 0
    for one in model.versions:
        said = "deleted" if one.HasField("tombstone") else ", ".join(one.aliases)
        print(f"{_plain(model.name)}:{one.version:<12} {one.artifact.sha256[:16]}  {_size(one):>12} bytes  {said}")
    return 0


def register(
    gateway: str,
    name: str,
    source: str,
    version: str,
    base: str,
    tags: list[str],
    text: str,
    *,
    merge: bool = False,
    as_json: bool,
) -> int:
    """`merge`: an adapter goes into its base, and what comes out is registered."""
    if merge:
        check_mergeable(source, base)
    request = pb.RegisterModelRequest(
        name=name, version=version, base=base, description=text, by=_user(), tags=dict(map(_tag, tags))
    )
    request.source = _on_volume(source, name, remote=bool(gateway))
    run_id = new_merge_id() if merge else ""
    with _registry(gateway, phases=merge, own=run_id) as (client, stub):
        if merge:
            below = _version(client, stub, base)
            request.source = merge_into_base(client, run_id, below, request.source, quiet=as_json)
            request.base = ""  # it needs none any more
        answer = client.call(stub.RegisterModel, request)
    if not as_json and not answer.created:
        print("the same artifact has this name already:")
    return _print_version(answer.version, as_json)


def promote(gateway: str, ref: str, alias: str, why: str, expected: str | None, *, as_json: bool) -> int:
    name, which = _split(ref)
    request = pb.PromoteModelRequest(name=name, alias=alias, version=which or "latest", why=why, by=_user())
    if expected is not None:
        request.expected_version = expected
    with _registry(gateway) as (client, stub):
        return _print_entries(name, [client.call(stub.PromoteModel, request).promotion], as_json)


def rollback(gateway: str, name: str, alias: str, why: str, entry: int | None, *, as_json: bool) -> int:
    request = pb.RollbackModelRequest(name=name, alias=alias, why=why, by=_user(), entry=entry)
    with _registry(gateway) as (client, stub):
        return _print_entries(name, [client.call(stub.RollbackModel, request).promotion], as_json)


def log(gateway: str, name: str, *, as_json: bool) -> int:
    with _registry(gateway) as (client, stub):
        found = client.call(stub.ListPromotions, pb.ListPromotionsRequest(name=name)).promotions
    return _print_entries(name, list(found), as_json)


def best(gateway: str, name: str, measurement: str, *, higher: bool, as_json: bool) -> int:
    request = pb.SetBestRequest(name=name, best=pb.BestBy(measurement=measurement, higher=higher))
    with _registry(gateway) as (client, stub):
        client.call(stub.SetBest, request)
    return show(gateway, f"{name}:best", as_json=as_json)


def delete(gateway: str, ref: str, why: str, *, as_json: bool) -> int:
    name, which = _split(ref)
    if not which:
        message = f"{ref!r} does not say which version to delete"
        raise InvalidInput(message, reason="BAD_VERSION", field="version", next_step="Write NAME:VERSION.")
    request = pb.DeleteModelVersionRequest(name=name, version=which, why=why, by=_user())
    with _registry(gateway) as (client, stub):
        return _print_version(client.call(stub.DeleteModelVersion, request).version, as_json)


def lineage(gateway: str, ref: str, svg: Path | None, *, as_json: bool) -> int:
    name, which = _split(ref)
    with _registry(gateway) as (client, stub):
        found = client.call(stub.GetLineage, pb.GetLineageRequest(name=name, version=which))
    if svg is not None:
        svg.write_text(found.svg)
    if as_json:
        print(json.dumps(_json(found), indent=2, ensure_ascii=False))
    for node in () if as_json else found.nodes:
        made = f"{node.origin.phase}, run {node.origin.run_id}" if node.HasField("origin") else "of unknown origin"
        known = f"  ({', '.join(node.registered)})" if node.registered else ""
        print(f"{'  ' * node.depth}{node.artifact.name} {node.artifact.sha256[:16]}  {made}{known}")
    return 0


def card(gateway: str, ref: str) -> int:
    name, which = _split(ref)
    with _registry(gateway) as (client, stub):
        print(client.call(stub.GetModelCard, pb.GetModelCardRequest(name=name, version=which)).markdown, end="")
    return 0


def sign(gateway: str, ref: str, key: Path, *, as_json: bool) -> int:
    """What is signed was read again just now; the key stays on this machine."""
    from agentforge.cli.model_signatures import made_by

    with _registry(gateway) as (client, stub):
        version = _version(client, stub, ref)
        request = pb.VerifyModelRequest(name=version.name, version=version.version)
        found = client.call(stub.VerifyModel, request)
        if not found.ok:
            message = f"{version.name}:{version.version} is not what was registered: {found.error.message}"
            error = found.error
            raise DataLoss(message, reason=error.reason, field=error.field, next_step=error.next_step)
        tags = made_by(key, found.expected_sha256)
        tag = pb.TagModelVersionRequest(name=version.name, version=version.version, tags=tags)
        return _print_version(client.call(stub.TagModelVersion, tag).version, as_json)


def verify(gateway: str, ref: str, *, replay: bool, public_key: Path | None = None, as_json: bool) -> int:
    with _registry(gateway, phases=replay) as (client, stub):
        version = _version(client, stub, ref)  # an alias may move between two questions
        name, which = version.name, version.version
        found = client.call(stub.VerifyModel, pb.VerifyModelRequest(name=name, version=which))
        if found.ok and public_key is not None:
            signed = _signed(public_key, version)
        again = _replayed(client, stub, name, which) if replay else None
    if as_json:
        said = {**_json(found), **({"replay": _json(again)} if again else {})}
        said |= {"signed_by": signed} if found.ok and public_key is not None else {}
        print(json.dumps(said, indent=2, ensure_ascii=False))
    else:
        print(
            f"{'ok' if found.ok else 'FAIL'}  {found.files} files, {found.size_bytes:,} bytes {found.error.message}"
        )
        if found.ok and public_key is not None:
            print(f"ok  signed by key {signed}")
        if again:
            equal = "the same digest" if again.equal else f"differs {again.first_difference}"
            code = "" if again.same_code else "; not the code that made it"
            ended = equal if again.state == _FINAL[0] else f"ended {again.state}: {again.error.message}"
            print(f"{'ok' if again.equal else 'FAIL'}  replay {again.run_id}: {ended}{code}")
    return 0 if found.ok and (again is None or again.equal) else 1


def clean_up(gateway: str, older_than_s: float, *, apply: bool, outputs: bool, as_json: bool) -> int:
    request = pb.CleanUpStorageRequest(dry_run=not apply, outputs=outputs, older_than_s=older_than_s)
    with _registry(gateway) as (client, stub):
        found = client.call(stub.CleanUpStorage, request)
    if as_json:
        print(json.dumps(_json(found), indent=2, ensure_ascii=False))
        return 0
    for item in found.items:
        print(f"{item.size_bytes:>16,}  {item.path}  {item.why}")
    print(f"{found.total_bytes:>16,}  bytes {'removed' if apply else 'would go; --apply removes them'}")
    return 0


def version_of(gateway: str, ref: str) -> Any:
    with _registry(gateway) as (client, stub):
        return _version(client, stub, ref)


def _version(client: PipelineClient, stub: RegistryServiceStub, ref: str) -> pb.ModelVersion:
    name, which = _split(ref)
    return client.call(stub.GetModelVersion, _get(name, which or "latest")).version


def _signed(public_key: Path, version: pb.ModelVersion) -> str:
    from agentforge.cli.model_signatures import PREFIX, check

    values = [value for name, value in version.tags.items() if name.startswith(PREFIX)]
    return check(public_key, version.artifact.sha256, values)


def _replayed(client: PipelineClient, stub: RegistryServiceStub, name: str, which: str) -> Any:
    found = client.call(stub.StartReplay, pb.StartReplayRequest(name=name, version=which)).replay
    while found.state not in _FINAL:
        time.sleep(_POLL_S)
        request = pb.GetReplayRequest(name=name, version=which, run_id=found.run_id)
        found = client.call(stub.GetReplay, request).replay
    return found


def _on_volume(source: str, name: str, *, remote: bool) -> str:
    """A path of this machine as one on the volume; what lies elsewhere is checked and copied first."""
    place = Path(os.path.abspath(Path(source).expanduser()))  # noqa: PTH100 - links are refused by who reads it
    if not (place.exists() and ("/" in source or not (home() / "runs" / source.partition(":")[0]).is_dir())):
        return source
    if place.is_relative_to(home()):
        return place.relative_to(home()).as_posix()
    if remote:
        raise InvalidInput(
            f"{source} lies outside the volume {home()}; files are shared through it, not sent",
            reason="PATH_OUTSIDE_VOLUME",
            field="source",
            next_step=f"Copy it below {home()}, or set AGENTFORGE_HOME to where this machine mounts the volume.",
        )
    need_gateway()
    from agentforge_gateway.registry.importing import import_model

    return import_model(home(), place, name).path


def _split(ref: str) -> tuple[str, str]:
    name, _, which = ref.partition(":")
    return name, which


def _tag(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InvalidInput(
            f"--tag {text}: no KEY=VALUE", reason="BAD_TAG", field="tag", next_step="Write KEY=VALUE."
        )
    return key, value


def _get(name: str, which: str) -> pb.GetModelVersionRequest:
    return pb.GetModelVersionRequest(name=name, version=which)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in many containers
        return f"uid {os.getuid()}"


def _json(message: Message) -> dict[str, Any]:
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def _print_version(version: Any, as_json: bool) -> int:
    if as_json:
        print(json.dumps(_json(version), indent=2, ensure_ascii=False))
        return 0
    facts = version.facts
    counted = f"{facts.parameters:,} parameters" if facts.HasField("parameters") else "parameters not counted"
    print(f"{version.name}:{version.version}  {version.artifact.kind}, {counted}, {facts.size_bytes:,} bytes")
    print(f"  at      {_plain(version.artifact.path)}")
    print(f"  digest  {version.artifact.sha256}")
    for label, value in (("base", version.base), ("aliases", ", ".join(version.aliases))):
        if value:
            print(f"  {label:<7} {value}")
    for key, value in sorted(version.tags.items()):
        if key.startswith("signature/"):
            print(f"  signed  {_plain(value)}")
        else:
            print(f"  tag     {_plain(key)}={_plain(value)}")
    for one in version.measurements:
        print(f"  {one.name} = {one.value:.6g} {one.unit} (n {one.n}; {_plain(one.method)})")
    return 0


def _print_entries(name: str, entries: list[Any], as_json: bool) -> int:
    if as_json:
        print(json.dumps([_json(entry) for entry in entries], indent=2, ensure_ascii=False))
    for e in () if as_json else entries:
        moved = f"{e.from_version or 'nowhere'} → {e.to_version}" + (f" (undoes {e.undoes})" if e.undoes else "")
        print(f"{e.time[:19]}Z  {name}:{e.alias} #{e.number}  {moved}  by {_plain(e.who)}  {_plain(e.why)}")
    return 0


def _size(version: Any) -> str:
    return f"{version.facts.size_bytes:,}"


def _plain(text: str) -> str:
    """One line without a terminal's control codes."""
    return "".join(c if c.isprintable() else "�" for c in " ".join(text.split()))
