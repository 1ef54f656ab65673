"""A Llama as an ONNX graph with weights of 4 bits and a cache of keys and values, of onnxruntime's own operators.

Shapes: T tokens, N outputs, K inputs, B blocks of inputs that share a scale, H heads, S slots of the cache.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

BLOCK = 32  # inputs that share a scale
INT8_ACTIVATIONS = 4  # MatMulNBits' accuracy_level; the fastest on a CPU


def save_onnx(file: Path, model: Any) -> Path:
    graph = _Graph()
    config = model.config
    half = config.head_dim // 2
    angle_SK = torch.outer(torch.arange(config.max_position_embeddings).float(), model.model.rotary_emb.inv_freq)
    assert angle_SK.shape[1] == half
    graph.keep("cosine", angle_SK.cos())
    graph.keep("sine", angle_SK.sin())
    table = graph.keep("table", model.model.embed_tokens.weight)
    x = graph.add("Gather", [table, "ids"], "embedded")
    normed = graph.norm("norm.first", x, None, model.model.layers[0].input_layernorm)[0]
    for number, layer in enumerate(model.model.layers):
        after = model.model.layers[number + 1].input_layernorm if number + 1 < len(model.model.layers) else None
        x, normed = _layer(graph, f"layer.{number}", layer, x, normed, after or model.model.norm, config)
    last = graph.add("Gather", [normed, graph.keep("last", torch.tensor(-1))], "last.state", axis=1)
    graph.product("logits", last, model.lm_head.weight)
    return graph.save(file, config)


def _layer(graph: _Graph, name: str, layer: Any, x: str, normed: str, after: Any, config: Any) -> tuple[str, str]:
    """The sum so far, and its norm for what comes next."""
    attention, mlp = layer.self_attn, layer.mlp
    qkv_NK = torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight])
    qkv = graph.product(f"{name}.qkv", normed, qkv_NK)
    mixed = graph.add(
        "GroupQueryAttention",
        [qkv, "", "", f"{name}.key", f"{name}.value", "seen", "total", "cosine", "sine"],
        f"{name}.mixed", f"{name}.key.out", f"{name}.value.out", num_heads=config.num_attention_heads,
        kv_num_heads=config.num_key_value_heads, do_rotary=1,
    )  # fmt: skip
    answer = graph.product(f"{name}.o", mixed, attention.o_proj.weight)
    normed, x = graph.norm(f"{name}.mlp_norm", x, answer, layer.post_attention_layernorm)
    gate = graph.product(f"{name}.gate", normed, mlp.gate_proj.weight)
    up = graph.product(f"{name}.up", normed, mlp.up_proj.weight)
    silu = graph.add("QuickGelu", [gate], f"{name}.silu", alpha=1.0)
    act = graph.add("Mul", [silu, up], f"{name}.act")
    answer = graph.product(f"{name}.down", act, mlp.down_proj.weight)
    normed, x = graph.norm(f"{name}.after", x, answer, after)
    return x, normed


def quantised(w_NK: Tensor) -> tuple[Tensor, Tensor]:
    """Bytes [N, B, 16] of 4-bit values + 8, the first in the low half; scales [N, B], of the largest of a block."""
    w_NBK = w_NK.detach().float().view(len(w_NK), -1, BLOCK)
    scale_NB = w_NBK.abs().amax(-1).clamp(min=torch.finfo(torch.float32).tiny) / 7
    value_NBK = (w_NBK / scale_NB[..., None]).round().to(torch.int8) + 8
    pair_NBK2 = value_NBK.to(torch.uint8).view(*value_NBK.shape[:2], -1, 2)
    return pair_NBK2[..., 0] | pair_NBK2[..., 1] << 4, scale_NB


class _Graph:
    def __init__(self) -> None:
        self.onnx: Any = importlib.import_module("onnx")
        self.nodes: list[Any] = []
        self.kept: list[Any] = []

    def keep(self, name: str, x: Tensor) -> str:
        self.kept.append(self.onnx.numpy_helper.from_array(x.detach().contiguous().numpy(), name))
        return name

    def add(self, operator: str, inputs: list[str], *outputs: str, **attributes: Any) -> str:
        domain = "" if operator in ("Gather", "Mul", "SimplifiedLayerNormalization") else "com.microsoft"
        self.nodes.append(
            self.onnx.helper.make_node(operator, inputs, list(outputs), outputs[0], domain=domain, **attributes)
        )
        return outputs[0]

    def product(self, name: str, x: str, w_NK: Tensor) -> str:
        byte_NBK, scale_NB = quantised(w_NK)
        inputs = [x, self.keep(f"{name}.codes", byte_NBK), self.keep(f"{name}.scales", scale_NB)]
        rows, columns = w_NK.shape
        return self.add(
            "MatMulNBits", inputs, name, N=rows, K=columns, bits=4, block_size=BLOCK,
            accuracy_level=INT8_ACTIVATIONS,
        )  # fmt: skip

    def norm(self, name: str, x: str, added: str | None, layer: Any) -> tuple[str, str]:
        """The norm of x, or of x and what is added to it, and that sum."""
        weight, eps = self.keep(f"{name}.weight", layer.weight), layer.variance_epsilon
        if added is None:
            return self.add("SimplifiedLayerNormalization", [x, weight], name, epsilon=eps, axis=-1), x
        outputs = name, "", "", f"{name}.sum"
        made = self.add("SkipSimplifiedLayerNormalization", [x, added, weight], *outputs, epsilon=eps)
        return made, f"{name}.sum"

    def save(self, file: Path, config: Any) -> Path:
        helper, kinds = self.onnx.helper, self.onnx.TensorProto
        whole, single = kinds.INT64, kinds.INT32
        cache = [1, config.num_key_value_heads, config.max_position_embeddings, config.head_dim]
        rooms = [f"layer.{n}.{part}" for n in range(config.num_hidden_layers) for part in ("key", "value")]
        inputs = [("ids", whole, [1, "T"]), ("seen", single, [1]), ("total", single, [])]
        inputs += [(room, kinds.FLOAT, cache) for room in rooms]
        outputs = [("logits", kinds.FLOAT, [1, config.vocab_size])]
        outputs += [(f"{room}.out", kinds.FLOAT, cache) for room in rooms]
        told = [[helper.make_tensor_value_info(*each) for each in some] for some in (inputs, outputs)]
        graph = helper.make_graph(self.nodes, "llama", *told, self.kept)
        versions = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
        self.onnx.save(helper.make_model(graph, opset_imports=versions, ir_version=10), file)
        return file
