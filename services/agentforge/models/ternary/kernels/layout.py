"""The structures of source/model.hpp, field by field."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import c_float, c_int32, c_int64, c_void_p
from typing import Any, ClassVar


class Linear(ctypes.Structure):
    _fields_: ClassVar[Sequence[Any]] = [
        ("ternary", c_int32), ("rows", c_int32), ("columns", c_int32), ("group", c_int32), ("stride", c_int64),
        ("weight", c_void_p), ("scale", c_void_p), ("bias", c_void_p), ("norm", c_int32),
    ]  # fmt: skip


class Table(ctypes.Structure):
    _fields_: ClassVar[Sequence[Any]] = [
        ("rows", c_int32), ("columns", c_int32), ("span", c_int32), ("bits", c_int32),
        ("tiles", c_void_p), ("scale", c_void_p),
    ]  # fmt: skip


class Memory(ctypes.Structure):
    _fields_: ClassVar[Sequence[Any]] = [
        ("there", c_int32), ("q", Linear), ("kv", Linear), ("o", Linear), ("gates", Linear), ("key_norm", c_void_p),
        ("read_norm", c_void_p), ("initial", c_void_p),
    ]  # fmt: skip


class Layer(ctypes.Structure):
    _fields_: ClassVar[Sequence[Any]] = [
        ("attention_norm", c_void_p), ("mlp_norm", c_void_p), ("qkv", Linear * 3), ("o", Linear), ("gate", Linear),
        ("up", Linear), ("down", Linear), ("learned_key", c_void_p), ("learned_value", c_void_p),
        ("memory", Memory),
    ]  # fmt: skip


class Halting(ctypes.Structure):
    _fields_: ClassVar[Sequence[Any]] = [
        ("features", Linear), ("direct", c_void_p), ("step_gain", c_void_p), ("step_bias", c_void_p),
        ("direct_bias", c_float), ("gain", c_float * 2), ("threshold", c_float),
    ]  # fmt: skip


class Remembering(ctypes.Structure):
    _fields_: ClassVar[Sequence[Any]] = [
        *((name, c_int32) for name in ("chunk", "slots", "learned", "by_age", "momentum", "hidden")),
        ("log_decay", c_float), ("out_bias", c_float), ("in_weight", c_void_p), ("in_bias", c_void_p),
        ("out_weight", c_void_p),
    ]  # fmt: skip


class Model(ctypes.Structure):
    _fields_: ClassVar[Sequence[Any]] = [
        *((name, c_int32) for name in (
            "size", "intermediate", "heads", "kv_heads", "head_size", "layers", "qkv_parts", "window", "learned",
            "context", "normalise_input", "recursion", "steps", "cycles", "inner",
        )),
        ("eps", c_float), ("rotary_scale", c_float), ("layer", c_void_p), ("norm", c_void_p), ("start", c_void_p),
        ("step_scale", c_void_p), ("frequency", c_void_p), ("embedding", Table), ("head", Table),
        ("consolidate", Linear), ("halting", Halting), ("halts", c_int32), ("remembering", Remembering),
    ]  # fmt: skip


STRUCTURES = (Linear, Table, Memory, Layer, Halting, Remembering, Model)
