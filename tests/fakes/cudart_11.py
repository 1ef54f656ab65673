"""A fake of libcudart 11: device memory is host memory whose addresses and sizes it checks, and copies wait for the
stream, as cudaMemcpyAsync may: a buffer that goes too early, or is read too early, is noticed."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

SUCCESS, INVALID_VALUE, OUT_OF_MEMORY = 0, 1, 2
STREAM = 0x57EA


class FakeCudart:
    def __init__(self, sm: int = 72, memory: int = 1 << 24) -> None:
        self.sm, self.memory = sm, memory
        self.blocks: dict[int, Any] = {}  # address: ctypes buffer
        self.queue: list[Callable[[], object]] = []
        self.streams = 0
        self.cudaGetErrorString = _ErrorString()

    @property
    def used(self) -> int:
        return sum(map(len, self.blocks.values()))

    def cudaDeviceGetAttribute(self, value: Any, attribute: Any, device: Any) -> int:
        value._obj.value = {75: self.sm // 10, 76: self.sm % 10}[attribute.value]
        return SUCCESS if device.value == 0 else INVALID_VALUE

    def cudaStreamCreate(self, stream: Any) -> int:
        stream._obj.value = STREAM
        self.streams += 1
        return SUCCESS

    def cudaStreamDestroy(self, stream: Any) -> int:
        self.streams -= 1
        return SUCCESS if stream.value == STREAM else INVALID_VALUE

    def cudaMalloc(self, pointer: Any, size: Any) -> int:
        if self.used + size.value > self.memory:
            return OUT_OF_MEMORY
        block = (ctypes.c_char * size.value)()
        self.blocks[ctypes.addressof(block)] = block
        pointer._obj.value = ctypes.addressof(block)
        return SUCCESS

    def cudaFree(self, pointer: Any) -> int:
        assert not self.queue, "freed while the stream is busy"
        return SUCCESS if self.blocks.pop(pointer.value, None) is not None else INVALID_VALUE

    def cudaMemcpyAsync(self, target: Any, source: Any, size: Any, kind: Any, stream: Any) -> int:
        device = {1: target, 2: source}[kind.value].value
        if stream.value != STREAM or len(self.blocks.get(device, b"")) < size.value:
            return INVALID_VALUE
        self.queue.append(lambda: ctypes.memmove(target.value, source.value, size.value))
        return SUCCESS

    def cudaStreamSynchronize(self, stream: Any) -> int:
        while self.queue:
            self.queue.pop(0)()
        return SUCCESS if stream.value == STREAM else INVALID_VALUE


class _ErrorString:
    restype: Any = None

    def __call__(self, code: Any) -> bytes:
        assert self.restype is ctypes.c_char_p  # else a 64-bit pointer would be cut
        return {OUT_OF_MEMORY: b"out of memory"}.get(code.value, b"invalid argument")
