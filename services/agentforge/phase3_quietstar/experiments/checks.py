"""Measures for `parallel`, on models that are made here."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from agentforge.data.tokenizer import SMALLEST_VOCABULARY, train_tokenizer
from agentforge.kit.rng import Rng
from agentforge.models import TitanConfig, TitanForCausalLM
from agentforge.models.thoughts.generate import Thoughts, ahead, generate
from agentforge.models.thoughts.places import targets
from agentforge.models.thoughts.sampling import Draws, Sampling, draw
from agentforge.models.thoughts.text import read
from agentforge.models.thoughts.thinker import Habits, Thinker, places_to_think
from agentforge.models.thoughts.tokens import Marks, add_marks
from agentforge.phase3_quietstar.loss import log_likelihood, reinforce_loss, rewards

VOCABULARY, CHUNK, TOKENS = 300, 16, 40
MARKS = Marks(12, 13)
LOOP = Sampling(thoughts=3, length=4)
SOFT = Sampling(thoughts=2, length=3, temperature=1.5, straight_through=True)
PLACES = torch.tensor([[2, 5]])  # of the gradients
STEP = 1e-5  # of a central difference, in a direction of unit normal numbers


def _model(kind: str, seed: int, **fields: Any) -> Any:
    """Logits about 1 apart: at the usual 0.02 of tied embeddings all would be about 0, and no difference large."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(Rng(seed, "parallel", kind).seed)
    shape: dict[str, Any] = {
        "vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 64,
    }  # fmt: skip
    own: dict[str, Any] = {
        "sliding_window": 24, "memory_chunk": CHUNK, "memory_slots": 24, "memory_init_slots": 4,
        "memory_layers": [0, 1], "persistent_tokens": 3, "act_rank": 4, "act_steps_train": 3, "recursion_inner": 2,
    }  # fmt: skip
    if kind == "titan":
        model: Any = TitanForCausalLM(TitanConfig(**{**shape, **own, **fields}))
    else:
        model = LlamaForCausalLM(LlamaConfig(**shape, max_position_embeddings=64, tie_word_embeddings=True))
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(10)
    return model.eval()


def _text(rows: int, tokens: int, seed: int) -> Tensor:
    """Without marks, which of a tokenizer without them are the last two."""
    return torch.randint(14, VOCABULARY - 2, (rows, tokens), generator=Rng(seed, "parallel/text").torch())


@torch.no_grad()
def loop(kind: str, seed: int) -> dict[str, Any]:
    """Places are those whose thought ends in its memory chunk: there an ordinary row of text says the same."""
    model, ids_BT = _model(kind, seed), _text(2, TOKENS, seed)
    columns = [place for place in range(TOKENS) if place % CHUNK + LOOP.length + 2 < CHUNK]
    places_BP, draws = torch.tensor([columns] * len(ids_BT)), Draws(seed)
    text = read(model, ids_BT)
    thoughts, told = generate(text, places_BP, MARKS, LOOP, draws)
    logits_BPNLV, uniform_BPNLU = text.head(told.hidden_BPNLD), draws.uniform(places_BP, LOOP)
    worst, same, tokens, logits = 0.0, 0, 0, list[Tensor]()
    for where in itertools.product(*(range(size) for size in logits_BPNLV.shape[:3])):
        prefix_T = ids_BT[where[0], : columns[where[1]] + 1]
        said_L = thoughts.ids_BPNL[where][thoughts.live_BPNL[where]]
        for step in range(len(said_L)):
            row_T = torch.cat((prefix_T, said_L[: step + 1]))
            logits.append(model(input_ids=row_T[None]).logits[0, -1])
            worst = max(worst, float((logits[-1] - logits_BPNLV[where][step]).abs().max()))
            if thoughts.chosen_BPNL[where][step + 1 : step + 2].any():
                drawn = draw(logits[-1][None], uniform_BPNLU[where][step][None], MARKS.start, LOOP)
                same, tokens = same + int(drawn == said_L[step + 1]), tokens + 1
    count = sum(each.numel() for each in logits)
    return {
        "difference": worst, "logits": count, "size": float(torch.stack(logits).std()),
        "same": same, "tokens": tokens,
    }  # fmt: skip


@torch.no_grad()
def off(kind: str, seed: int) -> dict[str, int]:
    """Our tokenizer has the marks; the Llama's takes two free rows of its embedding for them."""
    model, ids_BT = _model(kind, seed), _text(4, TOKENS, seed)
    before_BTV = model(input_ids=ids_BT).logits
    tokenizer = train_tokenizer(["Q: 1 + 2 = A: 3"], SMALLEST_VOCABULARY) if kind == "titan" else _markless()
    marks = add_marks(tokenizer, model)
    thinker = Thinker(model, marks, Habits(LOOP))
    text = read(thinker.model, ids_BT)
    places_BP = places_to_think(torch.ones_like(ids_BT), torch.ones_like(ids_BT), thinker.habits)
    ours = torch.ones(VOCABULARY, dtype=torch.bool)
    ours[[marks.start, marks.end]] = kind == "titan"
    plain_BTV, read_BTV = thinker.model(input_ids=ids_BT).logits, text.head(text.hidden_BTD)
    equal = [(after_BTV == before_BTV)[..., ours] for after_BTV in (plain_BTV, read_BTV)]
    counts = {"equal": sum(int(each.sum()) for each in equal), "logits": sum(each.numel() for each in equal)}
    return {**counts, "places": places_BP.numel()}


def _markless() -> Any:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    unknown = "w0"
    backend = Tokenizer(models.WordLevel({f"w{id_}": id_ for id_ in range(VOCABULARY - 2)}, unk_token=unknown))
    made: Any = PreTrainedTokenizerFast
    return made(tokenizer_object=backend, unk_token=unknown)


def straight_through(kind: str, seed: int) -> dict[str, float]:
    """Along a random direction in the first layer's attention; embeddings stand still."""
    model, ids_1T = _model(kind, seed, memory=False).double(), _text(1, 9, seed)
    _in_double(model)
    weight = next(p for name, p in model.named_parameters() if "qkv" in name or "q_proj" in name)
    direction = torch.randn(weight.shape, generator=Rng(seed, "parallel/way").torch(), dtype=weight.dtype)
    with torch.no_grad():
        thoughts, ends = generate(read(model, ids_1T), PLACES, MARKS, SOFT, Draws(seed))[0], []
        shifts_PNLD = _relaxed(model, ids_1T, thoughts, None)[1]
        for sign in (1, -1):
            weight.add_(sign * STEP * direction)
            ends.append(_relaxed(model, ids_1T, thoughts, shifts_PNLD)[0])
            weight.sub_(sign * STEP * direction)
    wanted = float(ends[0] - ends[1]) / (2 * STEP)
    found = {soft: _derivative(model, ids_1T, weight, direction, seed, soft) for soft in (True, False)}
    return {"relative_error": abs(found[True] / wanted - 1), "without": abs(found[False] / wanted - 1)}


def _in_double(model: Any) -> None:
    """Llama's norm rounds to float32 within, and a difference of two such values is mostly rounding."""
    from transformers.models.llama.modeling_llama import LlamaRMSNorm

    for module in model.modules():
        if isinstance(module, LlamaRMSNorm):
            norm: Any = module
            shape, epsilon = norm.weight.shape, norm.variance_epsilon
            norm.forward = partial(F.rms_norm, normalized_shape=shape, weight=norm.weight, eps=epsilon)


def _derivative(model: Any, ids_1T: Tensor, weight: Tensor, direction: Tensor, seed: int, soft: bool) -> float:
    """Of the log-likelihood of two tokens ahead, all thoughts together."""
    text = read(model, ids_1T)
    sampling = SOFT if soft else Sampling(SOFT.thoughts, SOFT.length, SOFT.top_p, SOFT.temperature)
    _, told = generate(text, PLACES, MARKS, sampling, Draws(seed))
    wanted_BPA, there_BPA = targets(ids_1T, torch.ones_like(ids_1T), PLACES, 2)
    likelihood = log_likelihood(text.head(ahead(text, told, wanted_BPA, there_BPA)), wanted_BPA, there_BPA)
    (gradient,) = torch.autograd.grad(likelihood.sum(), weight)
    return float((gradient * direction).sum())


def _relaxed(model: Any, ids_1T: Tensor, thoughts: Thoughts, shifts_XD: Tensor | None) -> tuple[Tensor, Tensor]:
    """The same by ordinary rows, a drawn token's embedding being shift + the policy's mean embedding.

    Without shifts, they are found: those that make it the token's own embedding.
    """
    table_VD = model.get_input_embeddings().weight
    total, found = torch.zeros((), dtype=table_VD.dtype), list[Tensor]()
    for place, column in enumerate(PLACES[0].tolist()):
        for said_L in thoughts.ids_BPNL[0, place]:
            x_TD = torch.cat((table_VD[ids_1T[0, : column + 1]], table_VD[[MARKS.start]]))
            for token in said_L[1:-1]:
                logits_V = model(inputs_embeds=x_TD[None]).logits[0, -1] / SOFT.temperature
                logits_V[MARKS.start] = -torch.inf
                mean_D = logits_V.softmax(0) @ table_VD
                found.append(table_VD[token] - mean_D if shifts_XD is None else shifts_XD[len(found)])
                x_TD = torch.cat((x_TD, (found[-1] + mean_D)[None]))
            x_TD = torch.cat((x_TD, table_VD[[MARKS.end]], table_VD[ids_1T[0, column + 1 : column + 2]]))
            log_2V = model(inputs_embeds=x_TD[None]).logits[0, -2:].log_softmax(-1)
            total = total + log_2V.gather(1, ids_1T[0, column + 1 : column + 3, None]).sum()
    return total, torch.stack(found)


def reward_gradient() -> dict[str, list[float]]:
    logits_V = torch.tensor([0.3, -0.8, 1.1], dtype=torch.float64, requires_grad=True)
    likelihood_V = torch.tensor([-2.0, -0.1, -1.3], dtype=torch.float64)
    (exact_V,) = torch.autograd.grad((logits_V.softmax(0) * likelihood_V).sum(), logits_V)
    errors = []
    for thoughts in (2, 3, 4):
        expected_V = torch.zeros_like(likelihood_V)
        kept_11N = torch.ones(1, 1, thoughts, dtype=torch.bool)
        for outcome in itertools.product(range(3), repeat=thoughts):
            log_N = logits_V.log_softmax(0)[list(outcome)]
            reward_11N = rewards(likelihood_V[list(outcome)].view(1, 1, -1), kept_11N, positive_only=False)
            loss = reinforce_loss(reward_11N, log_N.view(1, 1, -1, 1), kept_11N)
            expected_V -= torch.autograd.grad(loss, logits_V)[0] * log_N.sum().exp().detach()
        wanted_V = exact_V * (thoughts - 1) / thoughts
        errors.append(float((expected_V - wanted_V).norm() / wanted_V.norm()))
    return {"relative_errors": errors}
