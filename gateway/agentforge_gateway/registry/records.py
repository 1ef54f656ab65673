"""What the registry keeps and shows: the same models for the database, for REST and (by name) for gRPC."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from agentforge.kit.refs import ArtifactRef
from agentforge_gateway.models import Artifact, Measurement, Model
from agentforge_gateway.registry.facts import Facts


def _storable(text: str) -> str:
    """As it is, HTML and all: who shows it escapes it. Only what no database takes is refused."""
    if "\0" in text:
        raise ValueError("a text holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("a text holds half a character (a lone surrogate)") from None
    return text


Words = Annotated[str, Field(max_length=1000), AfterValidator(_storable)]
Person = Annotated[str, Field(max_length=200), AfterValidator(_storable)]
TagName = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_storable)]
TagValue = Annotated[str, Field(max_length=256), AfterValidator(_storable)]
Tags = Annotated[dict[TagName, TagValue], Field(max_length=64)]


class BestBy(Model):
    """What `best` means for a model: stated by somebody, never assumed."""

    measurement: Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_storable)]
    higher: Annotated[bool, Field(description="True: the highest value is the best; false: the lowest.")]


class Register(Model):
    source: Annotated[
        str,
        Field(
            max_length=4096,
            description="RUN_ID[:PHASE[/OUTPUT]], or a path on the volume: an output of a run stays where it is; a "
            "Hugging Face directory, an adapter's or a tar is copied to imports/.",
        ),
        AfterValidator(_storable),
    ]
    version: Annotated[str, Field(max_length=64, description="Semantic version; empty: the next one.")] = ""
    base: Annotated[str, Field(max_length=200, description="NAME[:VERSION|ALIAS] below an adapter.")] = ""
    tags: Tags = Field(default_factory=dict)
    description: Words = ""
    by: Person = ""


class Promote(Model):
    version: Annotated[str, Field(max_length=64)]
    why: Words = ""
    by: Person = ""
    expected_version: Annotated[
        str | None,
        Field(max_length=64, description="Only if the alias is there now; empty: only if it is nowhere yet."),
    ] = None


class Rollback(Model):
    why: Words = ""
    by: Person = ""
    entry: Annotated[
        int | None, Field(ge=1, lt=2**31, description="Undo just this entry of the log, which must be its last.")
    ] = None
    expected_version: Annotated[str | None, Field(max_length=64)] = None


class Delete(Model):
    why: Words = ""
    by: Person = ""


class Promotion(Model):
    """One entry of an alias's log."""

    alias: str
    number: int
    from_version: str | None = None
    to_version: str | None = None
    undoes: Annotated[int | None, Field(description="The entry that this rollback undid.")] = None
    who: str
    why: str
    time: str


class Origin(Model):
    """The run that made an artifact, from its DONE.json."""

    run_id: str
    phase: str
    config_digest: str
    code_digest: str
    time: str
    config: dict[str, Any] = Field(default_factory=dict)


class Tombstone(Model):
    time: str
    who: str
    why: str


class Record(Model):
    """What is known of a version at its registration. It does not change."""

    artifact: Artifact
    facts: Facts
    origin: Origin | None = None
    parents: list[Artifact] = Field(default_factory=list)
    ancestors: Annotated[list[str], Field(description="Digests, to the first.")] = Field(default_factory=list)
    base: Annotated[str, Field(description="NAME:VERSION below an adapter; empty for a whole model.")] = ""
    measurements: list[Measurement] = Field(default_factory=list)
    description: str = ""
    create_time: str
    create_by: str

    @property
    def ref(self) -> ArtifactRef:
        return ArtifactRef.from_json(self.artifact.model_dump())


class VersionRecord(Record):
    name: str
    version: str
    tags: dict[str, str] = Field(default_factory=dict)
    aliases: list[str] = Field(default_factory=list)
    tombstone: Tombstone | None = None

    def measured(self, name: str) -> Measurement | None:
        return next((one for one in self.measurements if one.name == name), None)


class ModelRecord(Model):
    name: str
    description: str = ""
    best: BestBy | None = None
    aliases: dict[str, str] = Field(default_factory=dict)
    versions: list[VersionRecord] = Field(default_factory=list)
    create_time: str
    create_by: str


class ModelPage(Model):
    models: list[ModelRecord]
    next_page_token: str = ""


class Log(Model):
    promotions: list[Promotion]
