"""The story of phase 1: text and tokenizer, a trunk, three branches, held-out numbers, three models."""

from __future__ import annotations

from functools import partial

import torch

from agentforge.kit.context import PhaseContext
from agentforge.kit.measure import Measurement
from agentforge.kit.rng import Rng
from agentforge.models import TitanConfig, TitanForCausalLM
from agentforge.phase1_cognate.cards import training_record, write_model
from agentforge.phase1_cognate.config import CognateConfig, SpecialistConfig, StageConfig
from agentforge.phase1_cognate.corpus import Corpus, prepare
from agentforge.phase1_cognate.evaluation import HeldOut, evaluate, examples, held_out, margins, selection_loss
from agentforge.train.loop import Training
from agentforge.train.machine import device, settled
from agentforge.train.stages import Finished, Stages
from agentforge.train.state import put_tensors


def run(context: PhaseContext, config: CognateConfig) -> None:
    corpus = prepare(context, config)
    stages = Stages(context, plan(config), corpus.codec.digest)
    trunk = stages.run("trunk", partial(training, "trunk", config, corpus, config.trunk, config.seed))
    finished = {"trunk": trunk}
    for name, specialist in config.specialists.items():
        base = trunk
        if config.init == "independent":
            start = f"{name}_start"
            seed = Rng(specialist.seed, "cognate/independent").seed  # or seed 42 would be the trunk's own start
            base = stages.run(start, partial(training, start, config, corpus, config.trunk, seed))
        finished[name] = stages.run(name, partial(branch, name, config, corpus, specialist, base))
    with settled(config.trunk.train):
        publish(context, config, corpus, finished)


def plan(config: CognateConfig) -> dict[str, int]:
    """Steps of each stage, in order."""
    steps = {"trunk": config.trunk.train.steps}
    for name, specialist in config.specialists.items():
        if config.init == "independent":
            steps[f"{name}_start"] = config.trunk.train.steps
        steps[name] = specialist.train.steps
    return steps


def new_model(
    config: CognateConfig, corpus: Corpus, seed: int, specialist: SpecialistConfig | None = None
) -> TitanForCausalLM:
    """A model at its start. Specialists differ from each other in no tensor's shape, so that they can be merged."""
    fields = config.model.fields
    if specialist is not None:
        fields |= {"act_threshold": specialist.act_threshold, "memory_slots": specialist.memory_slots}
    codec = corpus.codec
    tokens = {"bos_token_id": codec.tokenizer.bos_token_id, "eos_token_id": codec.eos, "pad_token_id": codec.pad}
    shape = TitanConfig.preset(config.model.size, vocab_size=codec.vocabulary, **tokens, **fields)
    torch.manual_seed(Rng(seed, "cognate/start").seed)
    model = TitanForCausalLM(shape)
    torch.nn.init.normal_(model.embed_tokens.weight, std=config.model.embedding_std)
    return model


def training(name: str, config: CognateConfig, corpus: Corpus, stage: StageConfig, seed: int) -> Training:
    return _training(name, config, corpus, stage, seed, new_model(config, corpus, seed))


def branch(name: str, config: CognateConfig, corpus: Corpus, stage: SpecialistConfig, base: Finished) -> Training:
    model = new_model(config, corpus, stage.seed, stage)
    put_tensors(model, base.tensors)
    return _training(name, config, corpus, stage, stage.seed, model)


def _training(
    name: str, config: CognateConfig, corpus: Corpus, stage: StageConfig, seed: int, model: TitanForCausalLM
) -> Training:
    evaluate = selection_loss(name, config, corpus, stage, model)
    return Training(model, corpus.loader(stage, seed), stage.train, name=f"cognate/{name}", evaluate=evaluate)


def publish(context: PhaseContext, config: CognateConfig, corpus: Corpus, finished: dict[str, Finished]) -> None:
    """Measure all four, say it, and write their directories."""
    held = held_out(context, config, corpus)
    models: dict[str, TitanForCausalLM] = {}
    measured: dict[str, list[Measurement]] = {}
    for name, one in finished.items():
        context.check_stop()
        context.progress(len(models), len(finished), "models", f"measuring {name}")
        models[name] = new_model(config, corpus, config.seed, config.specialists.get(name))
        put_tensors(models[name], one.tensors)
        models[name].to(device())  # type: ignore[arg-type]  # transformers wraps it without types
        models[name].eval()  # type: ignore[no-untyped-call]
        measured[name] = evaluate(name, models[name], corpus, held)
        show(context, name, config, models[name], corpus, held)
    ahead = {one.name.split("/")[1]: one for one in margins(config, measured)}
    for name, model in models.items():
        numbers = [*measured[name], *([ahead[name]] if name in ahead else [])]
        for number in numbers:
            context.measure(number)
        if name not in context.published:
            write(context, config, corpus, name, model, numbers, finished, held)


def show(
    context: PhaseContext, name: str, config: CognateConfig, model: TitanForCausalLM, corpus: Corpus, held: HeldOut
) -> None:
    """A few answers to look at, each specialist's at its own family."""
    if name in config.specialists:
        for item, said in examples(model, corpus, held, config.specialists[name].family):
            context.sample(f"cognate/{name}", {"prompt": item.prompt, "said": said, "right": item.answer})


def write(
    context: PhaseContext,
    config: CognateConfig,
    corpus: Corpus,
    name: str,
    model: TitanForCausalLM,
    numbers: list[Measurement],
    finished: dict[str, Finished],
    held: HeldOut,
) -> None:
    stage, seed = config.trunk, config.seed
    family = config.families[0]
    about = "The trunk that the three specialists share: merging measures their changes from it."
    if name in config.specialists:
        stage = specialist = config.specialists[name]
        family, seed = specialist.family, specialist.seed
        about = f"A specialist at {family}, branched from a trunk that the other two share."
    record = training_record(config, corpus, stage, seed, {each: finished[each].curve for each in {"trunk", name}})
    with context.output(name, "trunk" if name == "trunk" else "model") as directory:
        write_model(directory, name, model, corpus, numbers, record, about, held.items[family][0].prompt)
