"""Fewer and larger nodes for onnxruntime: at one token a call its CPU takes longer to start nodes than to count.

The numbers stay, but for the last bit. Every operator is in onnxruntime 1.19, the newest for Python 3.8.
Shapes: B batch, T new tokens, S stored entries, H heads, K head size, D hidden.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from agentforge.edge.graph.nodes import Nodes


def fuse(model: Any) -> Any:
    nodes = Nodes(model)
    for rule in (
        _drop_copies,
        _share_sizes,
        _split_weights,
        _rotary,
        _split_heads,
        _scale,
        _one_bias,
        _turn_keys,
        _skip_norm,
    ):
        rule(nodes)
        nodes.tidy()
    return nodes.finish()


def _drop_copies(nodes: Nodes) -> None:
    """Casts to what it is, products by 1."""
    for node in nodes.of("Cast"):
        if nodes.kind(node.input[0]) == nodes.attribute(node, "to"):
            nodes.rename(node.output[0], node.input[0])
    for node in nodes.of("Mul"):
        if (one := nodes.constant(node.input[1])) is not None and one.ndim == 0 and one == 1:
            nodes.rename(node.output[0], node.input[0])


def _share_sizes(nodes: Nodes) -> None:
    """A size with a name has it everywhere: each is read once, and shapes made of them are the same."""
    for node in nodes.of("Gather"):
        shape, place = nodes.maker(node.input[0], "Shape"), nodes.constant(node.input[1])
        if shape is None or place is None or place.ndim:
            continue
        sizes = nodes.shape(shape.input[0])
        if sizes and isinstance(sizes[int(place)], str) and sizes[int(place)] in nodes.named:
            nodes.rename(node.output[0], nodes.size(sizes[int(place)]))


def _rotary(nodes: Nodes) -> None:
    for node in (*nodes.of("Concat"), *nodes.of("Add")):
        found = _own_rotary(nodes, node) if node.op_type == "Concat" else _foreign_rotary(nodes, node)
        if found is None:
            continue
        x, cos, sin = found
        sizes, turns = nodes.shape(x), nodes.shape(cos)
        if sizes and turns and len(sizes) == len(turns) == 4 and [turns[0], turns[2]] == ["batch", "time"]:
            inputs = [x, _places(nodes), *(_cache(nodes, each, sizes[3] // 2) for each in (cos, sin))]
            nodes.replace(node, "RotaryEmbedding", inputs)


def _own_rotary(nodes: Nodes, node: Any) -> tuple[str, str, str] | None:
    """(l cos - r sin, r cos + l sin) of x = (l, r), as functional.rotate has it."""
    sub, add = (nodes.maker(each, kind) for each, kind in zip(node.input, ("Sub", "Add"), strict=False))
    if sub is None or add is None or len(node.input) != 2:
        return None
    products = [nodes.maker(each, "Mul") for each in (*sub.input, *add.input)]
    if None in products:
        return None
    (left, cos), (right, sin), *others = [tuple(each.input) for each in products]
    if others != [(right, cos), (left, sin)]:
        return None
    x = _halves(nodes, left, right)
    return None if x is None else (x, cos, sin)


def _foreign_rotary(nodes: Nodes, node: Any) -> tuple[str, str, str] | None:
    """x cos + (-r, l) sin, as transformers have it: with cosines and sines for both halves, which are equal."""
    plain, other = (nodes.maker(each, "Mul") for each in node.input)
    both = other and nodes.maker(other.input[0], "Concat")
    minus = both and nodes.maker(both.input[0], "Neg")
    if plain is None or minus is None or len(both.input) != 2:
        return None
    x, cos, sin = _halves(nodes, both.input[1], minus.input[0]), plain.input[1], other.input[1]
    twice = all(_twice(nodes, each, kind) for each, kind in ((cos, "Cos"), (sin, "Sin")))
    return (x, cos, sin) if x is not None and x == plain.input[0] and twice else None


def _halves(nodes: Nodes, left: str, right: str) -> str | None:
    """The x whose halves along the last of four axes these are."""
    first, second = nodes.piece(left), nodes.piece(right)
    if first is None or second is None or first.source != second.source or (first.axis, second.axis) != (3, 3):
        return None
    size = (nodes.shape(first.source) or [None])[-1]
    if not isinstance(size, int) or (first.start, first.end, second.start) != (0, size // 2, size // 2):
        return None
    return first.source if isinstance(second.end, int) and second.end >= size else None


def _twice(nodes: Nodes, name: str, kind: str) -> bool:
    node = nodes.maker(name)
    while node is not None and node.op_type in ("Unsqueeze", "Mul"):
        node = nodes.maker(node.input[0])
    both = node and node.op_type == kind and nodes.maker(node.input[0], "Concat")
    return bool(both) and len(both.input) == 2 and both.input[0] == both.input[1]


def _cache(nodes: Nodes, turn: str, pairs: int, scale: float = 1.0) -> str:
    """[B * T, K / 2], a row for each token."""
    if (nodes.shape(turn) or [pairs])[-1] != pairs:
        ends = [nodes.vector(each) for each in (0, pairs, 3)]
        turn = nodes.once("Slice", [turn, *ends])
    rows = nodes.once("Reshape", [turn, nodes.vector(-1, pairs)])
    return rows if scale == 1 else nodes.once("Mul", [rows, nodes.number(scale)])


def _places(nodes: Nodes) -> str:
    """[B, T]: which row is whose."""
    shape = nodes.once("Shape", ["position"])
    count = nodes.once("ReduceProd", [shape], keepdims=0)
    every = nodes.once("Range", [nodes.whole(0), count, nodes.whole(1)])
    return nodes.once("Reshape", [every, shape])


def _split_heads(nodes: Nodes) -> None:
    """Queries, keys and values as one split, turned behind it: so queries can be turned and scaled at once."""
    for turned in nodes.of("RotaryEmbedding"):
        outer = nodes.piece(turned.input[0])
        if outer is None or (outer.axis, outer.start) != (1, 0):
            continue
        inside, outside = nodes.pieces(turned.output[0]), nodes.pieces(outer.source)
        parts = [each for each in [*inside, *outside] if each.node.output[0] != turned.input[0]]
        bounds = [0, *(each.end for each in parts)]
        sizes = nodes.shape(outer.source)
        known = sizes is not None and sizes[1] == bounds[-1]
        alone = len(inside) == len(nodes.users(turned.output[0])) and nodes.users(turned.input[0]) == [turned]
        whole = all(each.axis == 1 and each.start == start for each, start in zip(parts, bounds, strict=False))
        if not (known and alone and whole and all(isinstance(each, int) for each in bounds)):
            continue
        names = [each.node.output[0] for each in parts]
        straight = [nodes.free(f"{name}.straight") for name in names[: len(inside)]]
        lengths = nodes.vector(*np.diff(bounds).tolist())
        nodes.add(turned, "Split", [outer.source, lengths], [*straight, *names[len(inside) :]], axis=1)
        for part, name in zip(inside, straight, strict=True):
            nodes.replace(part.node, "RotaryEmbedding", [name, *turned.input[1:]])
        for part in parts[len(inside) :]:
            nodes.remove(part.node)


def _scale(nodes: Nodes) -> None:
    """The scale of scores with the cosines. As FusedMatMul's alpha it would cost that its kernel for one row."""
    for node in nodes.of("Mul"):
        scale = nodes.constant(node.input[1])
        if scale is None or scale.ndim or scale.dtype != np.float32:
            continue
        product = nodes.maker(node.input[0], "MatMul")
        name = product.input[0] if product is not None and len(nodes.users(node.input[0])) == 1 else node.input[0]
        turned = nodes.maker(name, "RotaryEmbedding")
        if turned is not None and len(nodes.users(name)) == 1 and name not in nodes.outputs:
            turns = [nodes.once("Mul", [each, nodes.number(float(scale))]) for each in turned.input[2:]]
            if product is None:
                nodes.remove(turned)
                nodes.replace(node, "RotaryEmbedding", [*turned.input[:2], *turns])
            else:
                turned.input[2:] = turns
                nodes.rename(node.output[0], node.input[0])
        elif {each.op_type for each in nodes.users(node.output[0])} == {"MatMul"}:
            size = (nodes.shape(node.output[0]) or [None])[-1]
            if isinstance(size, int):  # a vector, which it does not take for an alpha
                node.input[1] = nodes.tensor(np.full(size, scale, np.float32))


def _split_weights(nodes: Nodes) -> None:
    """The weights of several stores."""
    for node in nodes.of("Softmax"):
        scores = nodes.maker(node.input[0], "Concat") or nodes.maker(node.input[0], "Add")
        pieces = nodes.pieces(node.output[0])
        starts = [0, *(each.end for each in pieces)]
        whole = all(each.axis == 3 and each.start == start for each, start in zip(pieces, starts, strict=False))
        if scores is None or len(scores.input) != len(pieces) or len(pieces) < 2 or not whole:
            continue
        sizes = [
            nodes.vector(each.end - each.start)
            if isinstance(each.end, int) and isinstance(each.start, int)
            else nodes.once("Sub", [each.node.input[2], each.node.input[1]])
            for each in pieces
        ]
        outputs = [each.node.output[0] for each in pieces]
        for each in pieces:
            nodes.remove(each.node)
        nodes.add(node, "Split", [node.output[0], nodes.once("Concat", sizes, axis=0)], outputs, axis=-1)


def _one_bias(nodes: Nodes) -> None:
    """Added to the scores of all stores together; made once for all layers."""
    for node in nodes.of("Concat"):
        sums = [nodes.maker(each, "Add") for each in node.input]
        users = [each.op_type for each in nodes.users(node.output[0])]
        if sum(each is not None for each in sums) < 2 or users != ["Softmax"]:
            continue
        parts: list[Any] = []
        for name, own in zip(node.input, sums, strict=True):
            sizes = nodes.shape(own.input[1] if own is not None else name)
            if not sizes or len(sizes) != 4 or (own is not None and sizes[1] != 1):
                break
            parts.append(own.input[1] if own is not None else _zeros(nodes, sizes[3]))
        if None in parts or len(parts) < len(sums):
            continue
        scores = [name if own is None else own.input[0] for name, own in zip(node.input, sums, strict=True)]
        plain = nodes.add(node, "Concat", scores, [nodes.free(f"{node.output[0]}.plain")], axis=-1)
        nodes.replace(node, "Add", [plain, nodes.once("Concat", parts, axis=-1)])


def _zeros(nodes: Nodes, size: Any) -> str | None:
    """[B, 1, T, size]"""
    if not isinstance(size, int):
        return None
    batch, time = (nodes.once("Unsqueeze", [nodes.size(each), nodes.vector(0)]) for each in ("batch", "time"))
    shape = nodes.once("Concat", [batch, nodes.vector(1), time, nodes.vector(size)], axis=0)
    return nodes.once("ConstantOfShape", [shape])


def _turn_keys(nodes: Nodes) -> None:
    """Learned keys row by row, as the products by those of tokens have them: faster for one token."""
    for node in nodes.of("MatMul"):
        turned = nodes.maker(node.input[1], "Transpose")
        keys = nodes.constant(turned.input[0]) if turned is not None else nodes.constant(node.input[1])
        if keys is None or keys.ndim != 4 or not _are_keys(nodes, node):
            continue
        if turned is None:
            keys = keys.swapaxes(2, 3)
        elif nodes.attribute(turned, "perm") != [0, 1, 3, 2]:
            continue
        nodes.replace(node, "FusedMatMul", [node.input[0], nodes.tensor(np.ascontiguousarray(keys))], transB=1)


def _are_keys(nodes: Nodes, node: Any) -> bool:
    return [each.op_type for each in nodes.users(node.output[0])] == ["Concat"]


def _skip_norm(nodes: Nodes) -> None:
    """A sum and its norm in one; onnxruntime itself fuses only the norm."""
    for root in nodes.of("Sqrt"):
        found = _norm(nodes, root)
        total = found and nodes.maker(found[0], "Add")
        if not found or total is None:
            continue
        x, eps, last, weight = found
        sizes = nodes.shape(x)
        if sizes is None or len(sizes) != 3 or any(nodes.shape(each) != sizes for each in total.input):
            continue
        weight = weight or nodes.tensor(np.ones(sizes[2], np.float32))
        outputs = [last.output[0], "", "", x]
        nodes.remove(total)
        nodes.remove(last)
        nodes.add(total, "SkipSimplifiedLayerNormalization", [*total.input, weight], outputs, epsilon=eps)


def _norm(nodes: Nodes, root: Any) -> tuple[str, float, Any, str | None] | None:
    """x, eps, the last node and the weight of x / sqrt(mean(x²) + eps) or x * (1 / sqrt(…)), or without it."""
    plus = nodes.maker(root.input[0], "Add")
    mean = plus and nodes.maker(plus.input[0], "ReduceMean")
    power = mean and nodes.maker(mean.input[0], "Pow")
    eps, users = plus and nodes.constant(plus.input[1]), nodes.users(root.output[0])
    if power is None or eps is None or len(users) != 1 or users[0].op_type != "Div":
        return None
    x, last = power.input[0], users[0]
    if last.input[0] != x:
        users = nodes.users(last.output[0])
        if nodes.constant(last.input[0]) != 1 or [each.op_type for each in users] != ["Mul"]:
            return None
        last = users[0]
        if last.input[0] != x:
            return None
    users = nodes.users(last.output[0])
    if [each.op_type for each in users] == ["Mul"]:
        for name in users[0].input:
            value = nodes.constant(name)
            if value is not None and value.ndim == 1:
                return x, float(eps), users[0], name
    return x, float(eps), last, None
