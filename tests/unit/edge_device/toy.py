"""A model of the graph contract's shape with a window and a memory, as an ONNX graph and in plain numpy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, save_model

from agentforge.edge.device.protoset import protoset
from agentforge.edge.device.runtime.contract import Graph, Memory
from agentforge.edge.device.runtime.generate import Engine
from agentforge.edge.device.runtime.golden import greedy
from agentforge.edge.device.runtime.onnx_backend import OnnxBackend
from agentforge.edge.device.runtime.package import sha256

Array = NDArray[Any]
DEVICE = Path(__file__).parents[3] / "services/agentforge/edge/device"
VOCABULARY, EOS, HEADS, SIZE = 257, 256, 2, 4
HIDDEN = HEADS * SIZE
BLOCKED = -1e4
MATRICES = ("query", "key", "value", "memory_key", "memory_value")


@dataclass
class Toy:
    window: int = 12
    context: int | None = 96
    piece: int = 8
    slots: int = 16
    seed: int = 0
    weights: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = np.random.Generator(np.random.Philox(key=self.seed))
        shapes = dict.fromkeys(MATRICES, (HIDDEN, HIDDEN))
        shapes |= {"embedding": (VOCABULARY, HIDDEN), "out": (HIDDEN, VOCABULARY), "rank": (HIDDEN, 1)}
        self.weights = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}

    @property
    def graph(self) -> Graph:
        memory = Memory((0,), self.slots, 8, "surprise_novelty", -0.01)
        return Graph(VOCABULARY, HIDDEN, HEADS, SIZE, 1, self.window, self.context, self.piece, memory, EOS, None)

    def logits(self, ids: Sequence[int]) -> Array:
        """After the last token: the whole text at once, every rule restated, nothing incremental."""
        w, memory = self.weights, self.graph.memory
        assert memory is not None
        place = np.arange(len(ids))
        age = place[:, None] - place
        x_TD = w["embedding"][list(ids)]
        heads = {name: (x_TD @ w[name]).reshape(-1, HEADS, SIZE) for name in ("query", "key", "value")}
        dot_HTS = np.einsum("thk,shk->hts", heads["query"], heads["key"]) / np.sqrt(SIZE)
        seen_HTS = softmax(np.where((age >= 0) & (age < self.window), dot_HTS, BLOCKED))
        y_TD = x_TD + np.einsum("hts,shk->thk", seen_HTS, heads["value"]).reshape(-1, HIDDEN)
        rank_T = (y_TD @ w["rank"])[:, 0]
        key_TD, value_TD = y_TD @ w["memory_key"], y_TD @ w["memory_value"]
        before = (len(ids) - 1) // memory.chunk * memory.chunk
        order = rank_T[:before] - place[:before] * memory.log_decay
        kept = np.argsort(-order)[: memory.slots]
        strength = y_TD[-1] @ key_TD[kept].T / np.sqrt(HIDDEN) + rank_T[kept] + age[-1, kept] * memory.log_decay
        read_D = softmax(np.concatenate([[0.0], strength])) @ np.concatenate(
            [np.zeros((1, HIDDEN)), value_TD[kept]]
        )
        return np.asarray((y_TD[-1] + read_D + 0.01 * rank_T.sum()) @ w["out"])

    def save(self, file: Path) -> None:
        nodes: list[Any] = []
        constants = dict(self.weights)

        def put(kind: str, *inputs: str | Array, to: str = "", **attributes: Any) -> str:
            names = []
            for each in inputs:
                if not isinstance(each, str):
                    constants[f"c{len(constants)}"] = np.asarray(each)
                    each = f"c{len(constants) - 1}"
                names.append(each)
            to = to or f"t{len(nodes)}"
            nodes.append(helper.make_node(kind, names, [to], **attributes))
            return to

        def whole(*values: int) -> Array:
            return np.array(values, np.int64)

        def single(value: float) -> Array:
            return np.array(value, np.float32)

        def put_cast(name: str) -> str:
            out = f"t{len(nodes)}"
            nodes.append(helper.make_node("Cast", [name], [out], to=TensorProto.FLOAT))
            return out

        def blocked(is_open: str) -> str:
            return put("Where", is_open, single(0), single(BLOCKED))

        x = put("Gather", "embedding", "input_ids")
        real_token = put("GreaterOrEqual", "position", np.array(0, np.int32))
        made = {}
        for name in ("query", "key", "value"):
            flat = put("Reshape", put("MatMul", x, name), whole(0, 0, HEADS, SIZE))
            made[name] = put("Transpose", flat, perm=[0, 2, 1, 3], to="" if name == "query" else f"new.0.{name}")
        keys = put("Concat", "window.0.key", made["key"], axis=2)
        values = put("Concat", "window.0.value", made["value"], axis=2)
        places = put("Unsqueeze", put("Concat", "past_position", "position", axis=1), whole(1))
        own = put("Unsqueeze", "position", whole(2))
        age = put("Sub", own, places)
        near = put(
            "And",
            put("GreaterOrEqual", age, np.array(0, np.int32)),
            put("Less", age, np.array(self.window, np.int32)),
        )
        near = put("And", near, put("GreaterOrEqual", places, np.array(0, np.int32)))
        dot = put(
            "Mul", put("MatMul", made["query"], put("Transpose", keys, perm=[0, 1, 3, 2])), single(SIZE**-0.5)
        )
        seen = put("Softmax", put("Add", dot, put("Unsqueeze", blocked(near), whole(1))), axis=-1)
        joined = put("Transpose", put("MatMul", seen, values), perm=[0, 2, 1, 3])
        y = put("Add", x, put("Reshape", joined, whole(0, 0, HIDDEN)))

        rank = put("Squeeze", put("MatMul", y, "rank"), whole(2), to="memory.0.new_rank")
        put("Identity", rank, to="memory.0.new_score")
        put("MatMul", y, "memory_key", to="memory.0.new_key")
        put("MatMul", y, "memory_value", to="memory.0.new_value")
        counted = put("Where", real_token, rank, single(0))
        ranks = put("ReduceSum", counted, whole(1), keepdims=0)
        momentum = put("Add", "memory.0.momentum", ranks, to="memory.0.new_momentum")

        last = put("Slice", y, whole(-1), whole(1 << 30), whole(1))
        now = put("Slice", "position", whole(-1), whole(1 << 30), whole(1))
        old = put_cast(put("Sub", now, "memory.0.position"))
        fade = put("Add", "memory.0.score", put("Mul", old, single(-0.01)))
        fade = put("Add", fade, blocked(put("GreaterOrEqual", "memory.0.position", np.array(0, np.int32))))
        near_key = put("MatMul", last, put("Transpose", "memory.0.key", perm=[0, 2, 1]))
        strength = put("Add", put("Mul", near_key, single(HIDDEN**-0.5)), put("Unsqueeze", fade, whole(1)))
        base = put("Mul", put("Slice", last, whole(0), whole(1), whole(2)), single(0))  # (B, 1, 1): an empty slot
        share = put("Softmax", put("Concat", base, strength, axis=2), axis=-1)
        slots = put("Concat", put("Mul", last, single(0)), "memory.0.value", axis=1)
        lift = put("Unsqueeze", put("Mul", momentum, single(0.01)), whole(1, 2))
        summed = put("Add", put("Add", last, put("MatMul", share, slots)), lift)
        put("Squeeze", put("MatMul", summed, "out"), whole(1), to="logits")

        save_model(self._model(nodes, constants), file)

    def _model(self, nodes: list[Any], constants: dict[str, Array]) -> Any:
        def value(name: str, kind: int, *shape: str | int) -> Any:
            return helper.make_tensor_value_info(name, kind, shape)

        real, whole = TensorProto.FLOAT, TensorProto.INT32
        inputs = [value(name, whole, "batch", "time") for name in ("input_ids", "position")]
        inputs.append(value("past_position", whole, "batch", "past"))
        inputs += [value(f"window.0.{part}", real, "batch", HEADS, "past", SIZE) for part in ("key", "value")]
        inputs += [value(f"memory.0.{part}", real, "batch", "stored", HIDDEN) for part in ("key", "value")]
        inputs += [
            value("memory.0.score", real, "batch", "stored"),
            value("memory.0.position", whole, "batch", "stored"),
        ]
        inputs.append(value("memory.0.momentum", real, "batch"))
        outputs = [value("logits", real, "batch", VOCABULARY)]
        outputs += [value(f"new.0.{part}", real, "batch", HEADS, "time", SIZE) for part in ("key", "value")]
        outputs += [value(f"memory.0.new_{part}", real, "batch", "time", HIDDEN) for part in ("key", "value")]
        outputs += [value(f"memory.0.new_{part}", real, "batch", "time") for part in ("score", "rank")]
        outputs.append(value("memory.0.new_momentum", real, "batch"))
        held = [numpy_helper.from_array(array, name) for name, array in constants.items()]
        graph = helper.make_graph(nodes, "toy", inputs, outputs, held)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def save_tokenizer(file: Path) -> None:
    """Every byte is a token, so most characters are several."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={each: number for number, each in enumerate(alphabet)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken("<|eos|>", special=True)])
    made.save(str(file))


def make_package(root: Path, prompts: Sequence[str] = ("ab", "Grüße, 12 €")) -> Path:
    for folder in ("models", "tokenizer", "golden"):
        (root / folder).mkdir(parents=True)
    toy, model = Toy(), root / "models/cpu_fp32.onnx"
    toy.save(model)
    save_tokenizer(root / "tokenizer/tokenizer.json")
    (root / "models/graph.json").write_text(graph_json(toy.graph))
    (root / "golden/golden.json").write_text(json.dumps(golden(toy, model, prompts)))
    shutil.copytree(DEVICE / "runtime", root / "runtime", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("verify.py", "serve.py", "requirements.txt"):
        shutil.copy(DEVICE / name, root)
    (root / "edge.protoset").write_bytes(protoset())
    seal(root)
    return root


def graph_json(graph: Graph) -> str:
    assert graph.memory is not None
    return json.dumps({"format": 1, **graph._asdict(), "memory": graph.memory._asdict()})


def golden(toy: Toy, model: Path, prompts: Sequence[str]) -> dict[str, Any]:
    engine = Engine(OnnxBackend(model, 1), toy.graph)
    items = []
    for prompt in prompts:
        ids = encode(prompt)
        answer, logits = greedy(engine, ids, 20)
        top = np.argsort(-logits)[:5].tolist()
        told = {"ids": answer, "text": "", "logits": {"top": top, "values": logits[top].tolist()}}
        items.append({"prompt": prompt, "ids": ids, "files": {model.name: told}})
    return {"format": 1, "items": items, "tolerance": {model.name: {"logits": 1e-3, "answers": 1.0}}}


def encode(text: str) -> list[int]:
    from tokenizers import pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return [alphabet.index(each) for piece, _ in level.pre_tokenize_str(text) for each in piece]


def seal(root: Path) -> None:
    """Write the manifest of what is there."""
    there = sorted(file for file in root.rglob("*") if file.is_file() and file.name != "manifest.json")
    files = {f.relative_to(root).as_posix(): {"sha256": sha256(f), "bytes": f.stat().st_size} for f in there}
    variants = {"cpu_fp32.onnx": {"opset": 17, "weights": "float32", "for": "onnxruntime"}}
    told = {"format": 1, "name": "toy", "version": "1.0", "variants": variants, "files": files}
    (root / "manifest.json").write_text(json.dumps(told))
