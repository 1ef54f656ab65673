"""The commands and their options. What a command does is in the module that it imports when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentforge.cli import models_app

app = typer.Typer(
    name="agentforge",
    help="Make a small language model in measured phases: the whole road, or one phase on a model of your own.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog="Exit codes: 0 done, 1 the run failed, 2 bad input, 3 cannot reach, 130 cancelled.",
)

app.add_typer(models_app.app, name="models")

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, errors as JSON on stderr.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a config field; VALUE is a YAML scalar or list."),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option("--input", metavar="[SLOT=]PATH", help="An input: a file or a directory. May be repeated."),
]
RunId = Annotated[str, typer.Option("--run-id", metavar="ID", help="Id of the run; made from the time if absent.")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN_ID", help="Id of the run.")]
Gateway = Annotated[
    str,
    typer.Option(
        "--gateway",
        envvar="AGENTFORGE_GATEWAY",
        metavar="HOST:PORT",
        help="A running gateway's gRPC address. Absent: one inside this process, on AGENTFORGE_HOME.",
    ),
]
OfPhase = Annotated[str, typer.Option("--phase", help="Ask about runs of this one phase, not of the pipeline.")]
Target = Annotated[
    str,
    typer.Option("--target", metavar="HOST:PORT", help="A running phase service. Absent: one inside this process."),
]
Model = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A model's directory: a run's output, or any of Hugging Face.")
]
TrustCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run code that is stored in the model's directory.")
]
Processes = Annotated[
    int,
    typer.Option("--nproc", min=0, max=1024, help="Processes of each machine that work on it; 0: as the config."),
]
NodeRank = Annotated[int, typer.Option("--node-rank", min=0, help="Which of the machines this one is, from 0.")]
Master = Annotated[
    str, typer.Option("--master", metavar="HOST:PORT", help="Where the machines meet, on the first.")
]
Track = Annotated[
    str,
    typer.Option(
        "--track", metavar="offline|online|disabled", help="Tell Weights & Biases, else AGENTFORGE_WANDB."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything and print the plan; start nothing.")]


@app.command()
def run(
    preset: Annotated[str, typer.Option(help="Which preset fixes all phases.")] = "tiny",
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="PHASE.KEY=VALUE", help="Override a field of a phase.")
    ] = None,
    from_: Annotated[str, typer.Option("--from", metavar="PHASE", help="First phase; it needs --input.")] = "",
    until: Annotated[str, typer.Option("--until", metavar="PHASE", help="Last phase.")] = "",
    inputs: Inputs = None,
    out: Annotated[Path | None, typer.Option(help="Copy the last phase's outputs here.")] = None,
    no_reuse: Annotated[bool, typer.Option("--no-reuse", help="Run phases whose output could be reused.")] = False,
    ask: Annotated[str, typer.Option(metavar="TEXT", help="In the end ask the last phase's model this.")] = "",
    nproc: Processes = 0,
    track: Track = "",
    dry_run: DryRun = False,
    run_id: RunId = "",
    gateway: Gateway = "",
    as_json: Json = False,
) -> int:
    """Run the phases in order, each one's outputs the next one's inputs."""
    from agentforge.cli.naming import new_run_id
    from agentforge.cli.run import RunOptions, run_pipeline
    from agentforge.cli.track import choose_tracking

    choose_tracking(track, gateway)
    run_id = run_id or new_run_id()
    options = RunOptions(
        preset, set_ or [], from_, until, inputs or [], out, no_reuse, run_id, gateway, as_json, ask, nproc
    )
    return run_pipeline(options, dry_run=dry_run)


@app.command()
def phase(
    name: Annotated[str, typer.Argument(metavar="PHASE", help="Name of the phase.")],
    preset: Annotated[str, typer.Option(help="Take the fields that this preset sets for the phase.")] = "",
    inputs: Inputs = None,
    set_: Set = None,
    out: Annotated[Path | None, typer.Option(help="Copy the outputs here: all of them, or nothing.")] = None,
    nproc: Processes = 0,
    nnodes: Annotated[int, typer.Option(min=1, max=1024, help="Machines that work on it, started by hand.")] = 1,
    node_rank: NodeRank = 0,
    master: Master = "",
    track: Track = "",
    dry_run: DryRun = False,
    run_id: RunId = "",
    target: Target = "",
    as_json: Json = False,
) -> int:
    """Run one phase, on inputs of your own. The same --run-id again goes on with a run that stopped."""
    from agentforge.cli.naming import new_run_id
    from agentforge.cli.phase import PhaseOptions, run_phase
    from agentforge.cli.several import Several
    from agentforge.cli.track import choose_tracking

    choose_tracking(track, target)
    several = Several(nproc, nnodes, node_rank, master)
    if node_rank:
        from agentforge.cli.join import join_as

        return join_as(several, run_id, name)
    run_id = run_id or new_run_id()
    options = PhaseOptions(name, preset, inputs or [], set_ or [], out, run_id, target, as_json, several)
    return run_phase(options, dry_run=dry_run)


@app.command()
def join(
    run: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="runs/RUN_ID/PHASE on the shared volume.")],
    node_rank: NodeRank,
    master: Master,
    nproc: Processes = 0,
) -> int:
    """Take part, with this machine, in a run that `agentforge phase --nnodes` started on another one."""
    from agentforge.cli.join import join_run

    return join_run(run, node_rank, master, nproc)


@app.command()
def runs(
    phase: OfPhase = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20,
    target: Target = "",
    gateway: Gateway = "",
    as_json: Json = False,
) -> int:
    """List runs, newest first."""
    from agentforge.cli.records import Place, list_runs

    return list_runs(Place(phase, target, gateway), limit, as_json=as_json)


@app.command()
def show(
    run_id: RunArgument, phase: OfPhase = "", target: Target = "", gateway: Gateway = "", as_json: Json = False
) -> int:
    """Show one run: state, phases, outputs, measurements, error."""
    from agentforge.cli.records import Place, show_run

    return show_run(Place(phase, target, gateway), run_id, as_json=as_json)


@app.command()
def watch(
    run_id: RunArgument,
    after: Annotated[int, typer.Option(min=0, metavar="N", help="Begin after event N.")] = 0,
    phase: OfPhase = "",
    target: Target = "",
    gateway: Gateway = "",
    as_json: Json = False,
) -> int:
    """Follow a run's events until it is final. Ctrl-C stops the watching only."""
    from agentforge.cli.records import Place, watch_run

    return watch_run(Place(phase, target, gateway), run_id, after, as_json=as_json)


@app.command()
def cancel(
    run_id: RunArgument,
    reason: Annotated[str, typer.Option(help="Why; it is written to the log.")] = "asked for on the command line",
    phase: OfPhase = "",
    target: Target = "",
    gateway: Gateway = "",
    as_json: Json = False,
) -> int:
    """Ask a run to write its checkpoint and stop."""
    from agentforge.cli.records import Place, cancel_run

    return cancel_run(Place(phase, target, gateway), run_id, reason, as_json=as_json)


@app.command()
def resume(
    run_id: RunArgument, phase: OfPhase = "", target: Target = "", gateway: Gateway = "", as_json: Json = False
) -> int:
    """Go on with a run that failed, was cancelled or lost its process, from its last checkpoint."""
    from agentforge.cli.records import Place
    from agentforge.cli.resume import resume_run

    return resume_run(Place(phase, target, gateway), run_id, as_json=as_json)


@app.command()
def chat(
    model: Model,
    prompts: Annotated[
        list[str] | None, typer.Option("--prompt", metavar="TEXT", help="Ask this and end. May be repeated.")
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")] = 128,
    temperature: Annotated[float, typer.Option(min=0, help="0: the likeliest token, always.")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the dice, where the temperature is above 0.")] = 0,
    show_thoughts: Annotated[
        bool, typer.Option("--show-thoughts", help="Show what it thinks, where in the answer it thinks it.")
    ] = False,
    no_thoughts: Annotated[
        bool, typer.Option("--no-thoughts", help="A model that thinks answers as if it could not.")
    ] = False,
    think_from: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Think where the next token is this hard (entropy of 0 to 1); absent: as learned."
        ),
    ] = None,
    no_tools: Annotated[
        bool, typer.Option("--no-tools", help="A model that calls tools says its calls, and nobody runs them.")
    ] = False,
    trust_remote_code: TrustCode = False,
    as_json: Json = False,
) -> int:
    """Talk with a model; without --prompt, line by line until Ctrl-D or Ctrl-C."""
    from agentforge.cli.chat import ChatOptions
    from agentforge.cli.chat import chat as talk

    options = ChatOptions(
        model, prompts or [], max_new_tokens, temperature, seed, trust_remote_code, as_json, show_thoughts,
        no_thoughts, think_from, no_tools,
    )  # fmt: skip
    return talk(options)


@app.command()
def merge(
    method: Annotated[
        str,
        typer.Argument(metavar="METHOD|FILE.yml", help="linear, slerp, ties, dare, task_arithmetic; or a recipe."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The merged model: a new directory.")],
    models: Annotated[list[Path] | None, typer.Argument(metavar="MODEL", help="Directories of models.")] = None,
    base: Annotated[
        Path | None,
        typer.Option(metavar="MODEL", help="What all were trained from: for ties, dare, task_arithmetic."),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="An option of the method.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the differences that dare drops.")] = 42,
    dtype: Annotated[
        str | None, typer.Option(help="Of the merged weights: float32, float16, bfloat16. Absent: as the models.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Merge models of one architecture into one, tensor by tensor."""
    from agentforge.cli.merge import MergeOptions
    from agentforge.cli.merge import merge as run_merge

    return run_merge(MergeOptions(method, models or [], out, base, set_ or [], seed, dtype, as_json))


@app.command("eval")
def evaluate(
    model: Model,
    families: Annotated[
        list[str] | None, typer.Option("--family", metavar="NAME", help="Only this family. May be repeated.")
    ] = None,
    items: Annotated[int, typer.Option(min=1, max=100_000, help="Held-out items of each family.")] = 250,
    lm_eval: Annotated[
        list[str] | None,
        typer.Option("--lm-eval", metavar="TASK", help="This task of lm-eval, too. May be repeated."),
    ] = None,
    lm_eval_path: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Task files (YAML) of yours for --lm-eval.")
    ] = None,
    trust_remote_code: TrustCode = False,
    as_json: Json = False,
) -> int:
    """Measure a model on held-out items of the task families and on held-out text."""
    from agentforge.cli.eval import EvalOptions
    from agentforge.cli.eval import evaluate as measure

    options = EvalOptions(model, families or [], items, trust_remote_code, as_json, lm_eval or [], lm_eval_path)
    return measure(options)


@app.command()
def verify(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A package (.tar.gz or its folder), or runs/RUN_ID/PHASE.")
    ],
    public_key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="AGENTFORGE_PUBLIC_KEY",
            help="Its maker's ed25519 key (PEM): it must be signed by it.",
        ),
    ] = None,
    require_signature: Annotated[
        bool, typer.Option("--require-signature", help="Refuse to go on without a public key to check it with.")
    ] = False,
    no_replay: Annotated[
        bool, typer.Option("--no-replay", help="Run no code of the package: golden prompts are not asked again.")
    ] = False,
    trust_remote_code: Annotated[
        bool,
        typer.Option(
            "--trust-remote-code", help="Run its code, though it is not of this version and no key is given."
        ),
    ] = False,
    as_json: Json = False,
) -> int:
    """Check a package for a device: archive, digests, signature, graphs, answers. Or a run's outputs: digests."""
    from agentforge.cli.verify import VerifyOptions
    from agentforge.cli.verify import verify as check

    options = VerifyOptions(path, public_key, require_signature, not no_replay, trust_remote_code, as_json)
    return check(options)


@app.command()
def evidence(
    phase: Annotated[str, typer.Argument(metavar="PHASE", help="Of one phase; absent: of all.")] = "",
    rerun: Annotated[
        bool, typer.Option("--rerun", help="Measure again, then show. Goes on if interrupted.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this experiment. May be repeated.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=256, help="Trials at a time; times are fair with 1.")] = 1,
    as_json: Json = False,
) -> int:
    """Show every claim beside what was measured, with its verdict."""
    from agentforge.cli.evidence import EvidenceOptions, show

    return show(EvidenceOptions(phase, only or [], rerun, jobs, as_json))


@app.command()
def export(
    model: Annotated[str, typer.Argument(metavar="NAME[:VERSION|ALIAS]", help="A registered model.")],
    out: Annotated[Path, typer.Option(metavar="DIR|FILE.tar", help="A new directory, or a new tar.")],
    gateway: Gateway = "",
) -> int:
    """Write a registered model out, with its card; every file is compared with its digest."""
    from agentforge.cli.export import export as write_out

    return write_out(model, out, gateway)


@app.command()
def doctor(as_json: Json = False) -> int:
    """Check this machine and installation; every line is a measured fact."""
    from agentforge.cli.doctor import examine

    return examine(as_json=as_json)
