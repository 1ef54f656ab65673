"""The few functions of CUDA's runtime library that an engine needs, through ctypes: JetPack has the library, and no
wheel of pycuda or cuda-python has to be found for Python 3.8 on aarch64."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_int, c_size_t, c_void_p
from typing import Any

from .errors import EdgeError, NotPossible

LIBRARIES = ("libcudart.so.11.0", "libcudart.so", "/usr/local/cuda/lib64/libcudart.so")
TO_DEVICE, TO_HOST = 1, 2  # cudaMemcpyKind
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76  # cudaDeviceAttr


class CudaError(EdgeError):
    """CUDA refused; the device may be out of memory or gone."""


class Cuda:
    """One stream on the first device. Free with `close`."""

    def __init__(self) -> None:
        self._library = load_library()
        self._buffers: dict[int, int] = {}  # address: bytes
        stream = c_void_p()
        self._call("cudaStreamCreate", byref(stream))
        self.stream = int(stream.value or 0)

    def allocate(self, size: int) -> int:
        """Address of `size` bytes on the device."""
        pointer = c_void_p()
        self._call("cudaMalloc", byref(pointer), c_size_t(size))
        address = int(pointer.value or 0)
        self._buffers[address] = size
        return address

    def free(self, address: int) -> None:
        del self._buffers[address]
        self._call("cudaFree", c_void_p(address))

    def copy_in(self, address: int, host: int, size: int) -> None:
        self._copy(address, host, size, TO_DEVICE)

    def copy_out(self, host: int, address: int, size: int) -> None:
        self._copy(host, address, size, TO_HOST)

    def synchronise(self) -> None:
        """Wait for all that was queued; what failed there is told here."""
        self._call("cudaStreamSynchronize", c_void_p(self.stream))

    def close(self) -> None:
        for address in list(self._buffers):
            self.free(address)
        if self.stream:
            self._call("cudaStreamDestroy", c_void_p(self.stream))
            self.stream = 0

    def _copy(self, target: int, source: int, size: int, kind: int) -> None:
        arguments = (c_void_p(target), c_void_p(source), c_size_t(size), c_int(kind), c_void_p(self.stream))
        self._call("cudaMemcpyAsync", *arguments)

    def _call(self, name: str, *arguments: Any) -> None:
        _call(self._library, name, *arguments)


def capability() -> int:
    """Of the first device: 72 for Xavier."""
    library, value = load_library(), c_int()
    numbers = []
    for attribute in (CAPABILITY_MAJOR, CAPABILITY_MINOR):
        _call(library, "cudaDeviceGetAttribute", byref(value), c_int(attribute), c_int(0))
        numbers.append(value.value)
    return 10 * numbers[0] + numbers[1]


def _call(library: Any, name: str, *arguments: Any) -> None:
    code = getattr(library, name)(*arguments)
    if code:
        library.cudaGetErrorString.restype = ctypes.c_char_p
        words = library.cudaGetErrorString(c_int(code))
        raise CudaError(f"{name} failed with {code}: {(words or b'').decode()}")


def load_library() -> Any:
    for name in LIBRARIES:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise NotPossible("CUDA's runtime is not here (tried {}); it comes with JetPack".format(", ".join(LIBRARIES)))
