"""`agentforge models …`: names, versions and aliases of models. What a command does is in models.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Registered models: versions, aliases with their log, lineage, checks, clean-up.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the model.")]
Ref = Annotated[str, typer.Argument(metavar="NAME[:VERSION|ALIAS]", help="Without a version: the latest release.")]
Alias = Annotated[str, typer.Argument(metavar="ALIAS", help="Such as production.")]
Why = Annotated[str, typer.Option(help="Why; it is written to the log.")]
Expected = Annotated[
    str | None, typer.Option("--expected", metavar="VERSION", help="Only if the alias is there now.")
]
Gateway = Annotated[
    str,
    typer.Option(
        "--gateway",
        envvar="AGENTFORGE_GATEWAY",
        metavar="HOST:PORT",
        help="A running gateway's gRPC address. Absent: one inside this process, on AGENTFORGE_HOME.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, errors as JSON on stderr.")]


@app.command("list")
def list_(gateway: Gateway = "", as_json: Json = False) -> int:
    """List models, by name."""
    from agentforge.cli import models

    return models.list_models(gateway, as_json=as_json)


@app.command()
def show(ref: Ref, gateway: Gateway = "", as_json: Json = False) -> int:
    """Show a model with its versions, or one version of it."""
    from agentforge.cli import models

    return models.show(gateway, ref, as_json=as_json)


@app.command()
def register(
    name: Name,
    source: Annotated[
        str, typer.Argument(metavar="RUN_ID[:PHASE[/OUTPUT]]|PATH", help="A run's output; or a directory or a tar.")
    ],
    version: Annotated[str, typer.Option(help="MAJOR.MINOR.PATCH; absent: the next one.")] = "",
    base: Annotated[str, typer.Option(metavar="NAME[:VERSION]", help="The model below a LoRA adapter.")] = "",
    tags: Annotated[list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="May be repeated.")] = None,
    description: Annotated[str, typer.Option(help="For people.")] = "",
    merge: Annotated[
        bool, typer.Option("--merge", help="Merge the adapter into its base, and register the whole model.")
    ] = False,
    gateway: Gateway = "",
    as_json: Json = False,
) -> int:
    """Register a run's output where it lies, or a model from outside as a copy."""
    from agentforge.cli import models

    return models.register(
        gateway, name, source, version, base, tags or [], description, merge=merge, as_json=as_json
    )


@app.command()
def promote(
    ref: Ref, alias: Alias, why: Why = "", expected: Expected = None, gateway: Gateway = "", as_json: Json = False
) -> int:
    """Move an alias to a version."""
    from agentforge.cli import models

    return models.promote(gateway, ref, alias, why, expected, as_json=as_json)


@app.command()
def rollback(
    name: Name,
    alias: Alias,
    why: Why = "",
    entry: Annotated[int | None, typer.Option(min=1, help="Undo just this entry, the log's last.")] = None,
    gateway: Gateway = "",
    as_json: Json = False,
) -> int:
    """Return an alias to where it was; with --entry N also undo a rollback."""
    from agentforge.cli import models

    return models.rollback(gateway, name, alias, why, entry, as_json=as_json)


@app.command()
def log(name: Name, gateway: Gateway = "", as_json: Json = False) -> int:
    """Who promoted what, when and why."""
    from agentforge.cli import models

    return models.log(gateway, name, as_json=as_json)


@app.command()
def best(
    name: Name,
    measurement: Annotated[str, typer.Argument(help="Name of a measurement.")],
    higher: Annotated[bool, typer.Option("--higher/--lower", help="Which is better.")],
    gateway: Gateway = "",
    as_json: Json = False,
) -> int:
    """State what `best` means for a model."""
    from agentforge.cli import models

    return models.best(gateway, name, measurement, higher=higher, as_json=as_json)


@app.command()
def delete(ref: Ref, why: Why = "", gateway: Gateway = "", as_json: Json = False) -> int:
    """Delete a version: a tombstone; its bytes go with the next clean-up."""
    from agentforge.cli import models

    return models.delete(gateway, ref, why, as_json=as_json)


@app.command()
def lineage(
    ref: Ref,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it as a picture.")] = None,
    gateway: Gateway = "",
    as_json: Json = False,
) -> int:
    """All that a version descends from, to the first."""
    from agentforge.cli import models

    return models.lineage(gateway, ref, svg, as_json=as_json)


@app.command()
def card(ref: Ref, gateway: Gateway = "") -> int:
    """Print a version's model card."""
    from agentforge.cli import models

    return models.card(gateway, ref)


@app.command()
def verify(
    ref: Ref,
    replay: Annotated[bool, typer.Option("--replay", help="Also do the run that made it once more.")] = False,
    public_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="An ed25519 key (PEM): it must be signed by it.")
    ] = None,
    gateway: Gateway = "",
    as_json: Json = False,
) -> int:
    """Read every file again and compare digests. Exit code 1 where they differ."""
    from agentforge.cli import models

    return models.verify(gateway, ref, replay=replay, public_key=public_key, as_json=as_json)


@app.command()
def sign(
    ref: Ref,
    key: Annotated[Path, typer.Option(metavar="FILE", help="Your ed25519 key (PEM); it stays on this machine.")],
    gateway: Gateway = "",
    as_json: Json = False,
) -> int:
    """Sign a version's digest, after reading its files again. The signature is kept with it and exported."""
    from agentforge.cli import models

    return models.sign(gateway, ref, key, as_json=as_json)


@app.command("clean-up")
def clean_up(
    apply: Annotated[bool, typer.Option("--apply", help="Remove it; absent: only list it.")] = False,
    outputs: Annotated[
        bool, typer.Option("--outputs", help="Also outputs, and imports, that no registered model is or needs.")
    ] = False,
    older_than_s: Annotated[float, typer.Option(min=0, help="Leave younger runs alone, in seconds.")] = 86_400.0,
    gateway: Gateway = "",
    as_json: Json = False,
) -> int:
    """List what takes up space and is needed by nobody, with its bytes."""
    from agentforge.cli import models

    return models.clean_up(gateway, older_than_s, apply=apply, outputs=outputs, as_json=as_json)
