"""The Titan model. It and its three neighbours import nothing else of ours, so a saved directory carries its code.

Shapes: B batch, T new tokens, S stored tokens, D hidden size, H heads, K head size, P persistent tokens, N halting
steps, V vocabulary. docs/model.md tells how the mechanisms fit together.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedModel
from transformers import initialization as init
from transformers.utils.generic import ModelOutput

from .configuration_titan import TitanConfig
from .memory_titan import LongTermMemory, MemoryStrength, MemoryView, TitanCache, split_heads


@dataclass
class TitanOutput(ModelOutput):
    loss: Tensor | None = None  # ce_loss + deep_supervision * deep_loss + ponder_weight * ponder_cost
    logits: Tensor | None = None
    past_key_values: "TitanCache | None" = None
    last_hidden_state: Tensor | None = None  # (B, T, D), what the head reads
    ce_loss: Tensor | None = None
    deep_loss: Tensor | None = None  # mean over the steps' own answers
    ponder_cost: Tensor | None = None  # Graves' N + R
    ponder_steps: Tensor | None = None  # (B, T), N of each token


@dataclass
class Run:
    """What one forward call shares between its layers and its passes through them."""

    position_BT: Tensor  # -1: padding
    cos_B1TK: Tensor
    sin_B1TK: Tensor
    mask: Tensor | None  # None: plain causal
    cache: TitanCache | None
    strength: MemoryStrength | None
    persistent: list[tuple[Tensor, Tensor]]  # by layer
    passes: int = 0  # through the layers, finished
    views: dict[int, list[MemoryView]] = field(default_factory=dict)  # by layer, from the first pass or given
    attend: Callable[[int, Tensor, Tensor, Tensor], Tensor] | None = None  # for thoughts: (V, q, k, v)


def act_halting(halt_BTM: Tensor, threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    """Graves 2016: each step's share in the answer (B, T, M + 1), the number of steps N, and the remainder R.

    The last step always halts, so there is one halting probability less than there are steps.
    """
    total_BTM = halt_BTM.cumsum(-1)
    before_BTN = F.pad(total_BTM, (1, 0))
    active_BTN = F.pad(total_BTM < threshold, (1, 0), value=True)
    last_BTN = active_BTN & ~F.pad(active_BTN[..., 1:], (0, 1))
    share_BTN = torch.where(last_BTN, 1 - before_BTN, F.pad(halt_BTM, (0, 1)) * active_BTN)
    return share_BTN, active_BTN.sum(-1), (share_BTN * last_BTN).sum(-1)


def normalise(x_BTD: Tensor) -> Tensor:
    return F.rms_norm(x_BTD, x_BTD.shape[-1:])


def rotate(x_BHTK: Tensor, cos_B1TK: Tensor, sin_B1TK: Tensor) -> Tensor:
    left, right = x_BHTK.chunk(2, -1)
    return torch.cat((left * cos_B1TK - right * sin_B1TK, right * cos_B1TK + left * sin_B1TK), -1)


class SlidingAttention(nn.Module):
    def __init__(self, config: TitanConfig, layer: int) -> None:
        super().__init__()
        self.layer, self.layers, self.heads = layer, config.num_hidden_layers, config.num_attention_heads
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size, bias=False)
        self.o = nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def persistent(self, h_1PD: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (1, H, P, K) of tokens that have no place in the sequence."""
        _, key, value = split_heads(self.qkv(h_1PD), 3 * self.heads).chunk(3, 1)
        return key, value

    def forward(self, h_BTD: Tensor, run: Run) -> Tensor:
        qkv_BHTK = split_heads(self.qkv(h_BTD), 3 * self.heads)
        query, key = rotate(qkv_BHTK[:, : 2 * self.heads], run.cos_B1TK, run.sin_B1TK).chunk(2, 1)
        value = qkv_BHTK[:, 2 * self.heads :]
        if run.attend is None:
            mixed_BHTK = self._window(run, query, key, value)
        else:
            mixed_BHTK = run.attend(run.passes * self.layers + self.layer, query, key, value)
        out_BTD: Tensor = self.o(mixed_BHTK.transpose(1, 2).flatten(2))
        return out_BTD

    def _window(self, run: Run, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        if run.cache is not None:
            key, value = run.cache.window(run.passes * self.layers + self.layer, key, value)
        if run.persistent:
            learned_key, learned_value = run.persistent[self.layer]
            key = torch.cat((learned_key.expand(key.shape[0], -1, -1, -1), key), 2)
            value = torch.cat((learned_value.expand(value.shape[0], -1, -1, -1), value), 2)
        return F.scaled_dot_product_attention(query, key, value, run.mask, is_causal=run.mask is None)


class SwiGLU(nn.Module):
    def __init__(self, config: TitanConfig) -> None:
        super().__init__()
        self.gate = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, h_BTD: Tensor) -> Tensor:
        out_BTD: Tensor = self.down(F.silu(self.gate(h_BTD)) * self.up(h_BTD))
        return out_BTD


class TitanLayer(nn.Module):
    def __init__(self, config: TitanConfig, layer: int) -> None:
        super().__init__()
        assert config.memory_layers is not None
        self.layer = layer
        self.attention_norm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.attention = SlidingAttention(config, layer)
        self.mlp_norm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = SwiGLU(config)
        self.memory = LongTermMemory(config) if config.memory and layer in config.memory_layers else None

    def forward(self, x_BTD: Tensor, run: Run) -> Tensor:
        h_BTD = self.attention_norm(x_BTD)
        mixed_BTD = self.attention(h_BTD, run)
        if self.memory is not None:
            assert run.strength is not None
            if self.layer not in run.views:  # written once for each token, read in every pass; given to thoughts
                past = run.cache.memory(self.layer) if run.cache is not None else None
                past = self.memory.empty(h_BTD) if past is None else past
                run.views[self.layer], state = self.memory.write(h_BTD, run.position_BT, run.strength, past)
                if run.cache is not None:
                    run.cache.remember(self.layer, state)
            read_BTD, gate_BT1 = self.memory(h_BTD, run.views[self.layer])
            mixed_BTD = torch.lerp(mixed_BTD, read_BTD, gate_BT1)
        x_BTD = x_BTD + mixed_BTD
        out_BTD: Tensor = x_BTD + self.mlp(self.mlp_norm(x_BTD))
        return out_BTD


class HaltingHead(nn.Module):
    """Probability to halt after each step but the last: a gated quadratic form of the answer so far."""

    def __init__(self, config: TitanConfig) -> None:
        super().__init__()
        self.features = nn.Linear(config.hidden_size, 2 * config.act_rank, bias=False)
        self.direct = nn.Linear(config.hidden_size, 1)
        self.gain = nn.Parameter(torch.empty(2))
        self.step_gain = nn.Parameter(torch.empty(config.act_steps_train - 1))
        self.step_bias = nn.Parameter(torch.empty(config.act_steps_train - 1))

    def forward(self, h_BTD: Tensor, step: int) -> Tensor:
        gate, value = self.features(h_BTD).chunk(2, -1)
        quadratic_BT = (F.silu(gate) * value).mean(-1)
        linear_BT = F.linear(h_BTD, self.direct.weight)[..., 0]
        evidence_BT = self.gain[0] * quadratic_BT + self.gain[1] * linear_BT
        logit_BT: Tensor = self.step_gain[step] * evidence_BT + self.step_bias[step] + self.direct.bias
        return logit_BT.sigmoid()


class TitanForCausalLM(PreTrainedModel, GenerationMixin):  # type: ignore[no-untyped-call]
    config_class = TitanConfig
    base_model_prefix = "model"
    _tied_weights_keys = {"lm_head.weight": "embed_tokens.weight"}  # noqa: RUF012  # as transformers declares it
    _no_split_modules = {"TitanLayer"}  # noqa: RUF012
    _supports_sdpa = True
    _is_stateful = True  # a memory cannot be rolled back, as assisted decoding would need
    accepts_loss_kwargs = False  # the loss is a mean over the call's own supervised tokens

    def __init__(self, config: TitanConfig) -> None:
        super().__init__(config)
        size = config.hidden_size
        self.embed_tokens = nn.Embedding(config.vocab_size, size)
        self.layers = nn.ModuleList(TitanLayer(config, layer) for layer in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(size, config.rms_norm_eps)
        self.lm_head = nn.Linear(size, config.vocab_size, bias=False)
        self.strength = MemoryStrength(config) if config.memory else None
        persistent = config.persistent_tokens
        self.persistent = nn.Parameter(torch.empty(persistent, size)) if persistent else None
        self.halting = HaltingHead(config) if config.act and config.act_steps_train > 1 else None
        self.step_scale = nn.Parameter(torch.empty(config.act_steps_train)) if config.act else None
        self.start = nn.Parameter(torch.empty(2, size)) if config.recursion else None  # the first y and z
        self.consolidate = nn.Linear(size, size) if config.recursion else None
        self.post_init()  # type: ignore[no-untyped-call]

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False  # `generate` then takes the TitanCache that the first call returns

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            init.normal_(module.weight, std=self.config.initializer_range or module.in_features**-0.5)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=0.02)
        elif isinstance(module, nn.RMSNorm):
            init.ones_(module.weight)
        elif isinstance(module, MemoryStrength) and module.decay is not None:
            init.constant_(module.decay, 8.0)  # half-life of about 2,000 tokens
        elif isinstance(module, LongTermMemory):
            init.normal_(module.initial)
        elif isinstance(module, HaltingHead):
            for parameter in (module.gain, module.step_gain):
                init.ones_(parameter)
            init.zeros_(module.step_bias)
        elif isinstance(module, TitanForCausalLM):
            self._init_own()
        if isinstance(module, TitanLayer):  # residual branches start small, the smaller the more there are
            for branch in (module.attention.o, module.mlp.down):
                shrunk = branch.in_features**-0.5 * (2 * self.config.num_hidden_layers) ** -0.5
                init.normal_(branch.weight, std=self.config.initializer_range or shrunk)

    def _init_own(self) -> None:
        if self.persistent is not None:
            init.normal_(self.persistent)
        if self.step_scale is not None:
            init.ones_(self.step_scale)
        if self.start is not None and self.consolidate is not None:
            init.normal_(self.start, std=0.02)
            init.copy_(self.consolidate.weight, torch.eye(self.config.hidden_size))

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: TitanCache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool = False,
        logits_to_keep: int = 0,
        **kwargs: Any,  # what `generate` passes to every model and this one works out for itself
    ) -> TitanOutput:
        """Training passes logits_to_keep=1: the loss then reads only the supervised positions."""
        x_BTD = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        columns = x_BTD.shape[1]
        cache = TitanCache() if use_cache and past_key_values is None else past_key_values
        position_BT, source_BT, column_BT = self._align(x_BTD, attention_mask, cache)
        if source_BT is not None:
            x_BTD = x_BTD.gather(1, source_BT[:, :, None].expand(-1, -1, x_BTD.shape[2]))
        states = self._think(normalise(x_BTD), self._run(x_BTD, position_BT, cache))
        if cache is not None:
            cache.advance(position_BT, columns, self.config.sliding_window)
        answer_BTD, steps_BT, cost_BT = self._halt(states, position_BT)
        if column_BT is not None:  # back to the caller's columns
            index_BTD = column_BT[:, :, None].expand(-1, -1, x_BTD.shape[2])
            answer_BTD = answer_BTD.gather(1, index_BTD)
            steps_BT, cost_BT = steps_BT.gather(1, column_BT), cost_BT.gather(1, column_BT)
            states = [state_BTD.gather(1, index_BTD) for state_BTD in states] if labels is not None else states
        loss, ce_loss, deep_loss, cost = self._loss(answer_BTD, states, cost_BT, labels)
        logits_BTV = self.lm_head(answer_BTD[:, -logits_to_keep:])
        return TitanOutput(loss, logits_BTV, cache, answer_BTD, ce_loss, deep_loss, cost, steps_BT)

    def _align(
        self, x_BTD: Tensor, attention_mask: Tensor | None, cache: TitanCache | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Positions, and where columns move so that padding comes last and every row starts on a chunk boundary.

        Returns the position of each of the G new columns (B, G), the old column each comes from (B, G), and the new
        column of each old one (B, T); the last two are None where nothing moves.
        """
        batch, length, device = x_BTD.shape[0], x_BTD.shape[1], x_BTD.device
        started = cache is not None and cache.columns > 0
        old_BT = torch.arange(length, device=device).expand(batch, -1)
        if attention_mask is None and not started:
            return old_BT, None, None
        real_BT = torch.ones_like(old_BT) if attention_mask is None else attention_mask[:, -length:].long()
        seen_B1 = torch.zeros_like(old_BT[:, :1])
        if cache is not None and started:
            seen_B1 = cache.state["length"][:, None]
        if length == 1:
            return seen_B1.masked_fill(real_BT == 0, -1), None, None
        chunk = self.config.memory_chunk if started and self.config.memory else 1
        offset_B1, width = seen_B1 % chunk, length + chunk - 1
        column_BT = torch.where(real_BT > 0, offset_B1 + real_BT.cumsum(1) - 1, width)  # padding: one column beyond
        source_BG = torch.full_like(old_BT[:, :1], -1).repeat(1, width + 1).scatter(1, column_BT, old_BT)[:, :-1]
        position_BG = seen_B1 - offset_B1 + torch.arange(width, device=device)
        return position_BG.masked_fill(source_BG < 0, -1), source_BG.clamp_min(0), column_BT.clamp_max(width - 1)

    def _run(self, x_BTD: Tensor, position_BT: Tensor, cache: TitanCache | None) -> Run:
        persistent = cache.persistent if cache is not None and cache.persistent else self._persistent()
        if cache is not None:
            cache.persistent = persistent
        return Run(
            position_BT, *self._rotary(position_BT, x_BTD.dtype), self._mask(position_BT, cache), cache,
            self.strength, persistent,
        )  # fmt: skip

    def _rotary(self, position_BT: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        pairs = self.config.hidden_size // self.config.num_attention_heads // 2
        frequency_K = self.config.rope_theta ** -(torch.arange(pairs, device=position_BT.device) / pairs)
        angle_B1TK = position_BT.clamp_min(0)[:, None, :, None] * frequency_K
        return angle_B1TK.cos().to(dtype), angle_B1TK.sin().to(dtype)

    def _persistent(self) -> list[tuple[Tensor, Tensor]]:
        if self.persistent is None:
            return []
        learned_1PD = self.persistent[None]
        layers = [layer for layer in self.layers if isinstance(layer, TitanLayer)]
        return [layer.attention.persistent(layer.attention_norm(learned_1PD)) for layer in layers]

    def _mask(self, position_BT: Tensor, cache: TitanCache | None) -> Tensor | None:
        """Who sees whom, (B or 1, 1, T, P + S); None where plain causal attention says it all."""
        length, window = position_BT.shape[1], self.config.sliding_window
        if cache is None or not cache.columns:  # no past, and padding comes last, where causality hides it
            if self.persistent is None and (window is None or length <= window):
                return None
            query_BT = key_BS = torch.arange(length, device=position_BT.device)[None]
        else:
            query_BT, key_BS = position_BT, torch.cat((cache.state["position"], position_BT), 1)
        age_BTS = query_BT[:, :, None] - key_BS[:, None]
        seen_BTS = (key_BS >= 0)[:, None] & (age_BTS >= 0)
        if window is not None:
            seen_BTS = seen_BTS & (age_BTS < window)
        # Padding sees itself, or its softmax would be over nothing.
        itself_TS = torch.eye(length, dtype=torch.bool, device=position_BT.device)
        seen_BTS = seen_BTS | F.pad(itself_TS, (key_BS.shape[1] - length, 0))
        return F.pad(seen_BTS, (self.config.persistent_tokens, 0), value=True)[:, None]

    def _think(self, x_BTD: Tensor, run: Run) -> list[Tensor]:
        """The answer's state after each step."""
        if self.step_scale is None and self.start is None:
            return [self._pass(x_BTD, run)]
        y_BTD, z_BTD = (torch.zeros_like(x_BTD), x_BTD) if self.start is None else self.start.unbind()
        scales: Any = [1.0] if self.step_scale is None else self.step_scale
        steps = self.config.act_steps_train if self.training else self.config.act_steps_infer
        states = []
        for scale in scales[:steps]:
            if self.start is None:
                y_BTD = y_BTD + scale * normalise(self._pass(x_BTD + y_BTD, run))
            else:
                y_BTD, z_BTD = self._reason(x_BTD, y_BTD, z_BTD, scale, run)
            states.append(y_BTD)
        return states

    def _reason(
        self, x_BTD: Tensor, y_BTD: Tensor, z_BTD: Tensor, scale: Tensor | float, run: Run
    ) -> tuple[Tensor, Tensor]:
        """One step of TRM: refine the latent z some times, then the answer y by it; only the last cycle learns."""
        assert self.consolidate is not None
        learning = torch.is_grad_enabled()
        for cycle in range(self.config.recursion_cycles):
            last = cycle == self.config.recursion_cycles - 1
            for _ in range(self.config.recursion_inner):
                # The very first pass writes the memory, which later passes learn through.
                with torch.set_grad_enabled(learning and (last or run.passes == 0)):
                    z_BTD = normalise(self._pass(x_BTD + y_BTD + z_BTD, run))
            y_BTD = y_BTD + scale * self.consolidate(z_BTD)
            if not last:
                y_BTD, z_BTD = y_BTD.detach(), z_BTD.detach()
        return y_BTD, z_BTD

    def _pass(self, x_BTD: Tensor, run: Run) -> Tensor:
        for layer in self.layers:
            x_BTD = layer(x_BTD, run)
        run.passes += 1
        return x_BTD

    def _halt(self, states: list[Tensor], position_BT: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Graves' mean of the steps' states, weighted by when each token halts; its steps; its ponder cost."""
        if self.halting is None or len(states) == 1:
            return self.norm(states[-1]), torch.ones_like(position_BT), torch.zeros_like(states[-1][..., 0])
        halt_BTM = torch.stack([self.halting(self.norm(state), step) for step, state in enumerate(states[:-1])], -1)
        share_BTN, steps_BT, remainder_BT = act_halting(halt_BTM, self.config.act_threshold)
        mean_BTD = (torch.stack(states, -1) @ share_BTN[..., None])[..., 0]
        return self.norm(mean_BTD), steps_BT, steps_BT + remainder_BT

    def _loss(
        self, answer_BTD: Tensor, states: list[Tensor], cost_BT: Tensor, labels: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
        """The whole loss; the answer's cross-entropy; that of the single steps (deep supervision); pondering.

        All are means over the supervised tokens, so that what a token costs and what it gains are comparable.
        """
        if labels is None:
            return None, None, None, None
        supervised_BT = labels[:, 1:] != -100
        target_M = labels[:, 1:][supervised_BT]
        ce_loss = F.cross_entropy(self.lm_head(answer_BTD[:, :-1][supervised_BT]), target_M)
        cost = cost_BT[:, :-1][supervised_BT].mean()
        loss, deep_loss = ce_loss + self.config.ponder_weight * cost, None
        if len(states) > 1 and self.config.deep_supervision:
            state_NMD = torch.stack([state_BTD[:, :-1][supervised_BT] for state_BTD in states])
            logits_MV = self.lm_head(self.norm(state_NMD)).flatten(0, 1)
            deep_loss = F.cross_entropy(logits_MV, target_M.repeat(len(states)))
            loss = loss + self.config.deep_supervision * deep_loss
        return loss, ce_loss, deep_loss, cost


TitanForCausalLM.register_for_auto_class("AutoModelForCausalLM")  # type: ignore[no-untyped-call]
