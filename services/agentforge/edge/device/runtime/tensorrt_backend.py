"""TensorRT 8.5 on a Jetson: the engines of build_engine.sh. Tested against a fake of TensorRT and CUDA only; never
run on a Jetson.

Two engines: one for a single new token, one for a piece of several; both read the same device buffers.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from .errors import BrokenPackage, EdgeError, NotPossible
from .tensorrt_cuda import Cuda, capability
from .tensorrt_engines import MODELS, PROFILES, Device, wanted, why_not

BOARD = "/proc/device-tree/model"
PREFERRED = ("fp16", "int8", "fp32")
NOTHING = "no engine to run (./build_engine.sh builds one): "


class TensorRTError(EdgeError):
    """TensorRT refused an engine, a shape or a run."""


class TensorRTBackend:
    name = "tensorrt"

    def __init__(self, root: Path, precision: str | None = None) -> None:
        """`root`: the package's folder. Without a precision, the first of fp16, int8, fp32 that is built."""
        tensorrt = load_tensorrt()
        self.version = str(tensorrt.__version__)
        self.precision, plans = find_engines(root, this_device(tensorrt), precision)
        self.file = MODELS[self.precision]
        self._cuda = Cuda()
        try:
            self._runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.WARNING))
            buffers = Buffers(self._cuda)
            load = [(profile, _Engine(tensorrt, self._runtime, plan, buffers)) for profile, plan in plans.items()]
            self._engines = dict(load)
        except BaseException:
            self._cuda.close()
            raise

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        is_one = inputs["input_ids"].shape[1] == 1
        return self._engines["decode" if is_one else "prefill"].run(inputs)

    def close(self) -> None:
        self._engines.clear()  # contexts and engines go before the memory that they know of
        del self._runtime
        self._cuda.close()


class Buffers:
    """Device memory by tensor name; it grows and never shrinks."""

    def __init__(self, cuda: Cuda) -> None:
        self.cuda = cuda
        self._held: dict[str, tuple[int, int]] = {}  # name: (address, bytes)

    def address(self, name: str, size: int) -> int:
        address, room = self._held.get(name, (0, 0))
        if size > room:
            if address:
                del self._held[name]
                self.cuda.free(address)
            address = self.cuda.allocate(size)
            self._held[name] = (address, size)
        return address


class _Engine:
    def __init__(self, tensorrt: Any, runtime: Any, plan: Path, buffers: Buffers) -> None:
        self.plan, self._buffers, self._cuda = plan.name, buffers, buffers.cuda
        self._engine = runtime.deserialize_cuda_engine(plan.read_bytes())
        if self._engine is None:
            raise TensorRTError(f"TensorRT cannot load {plan.name}; its own log says why")
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise TensorRTError(f"no memory to run {plan.name}")
        # Not tensorrt.nptype: in 8.5 it names numpy.bool, which numpy 1.24 no longer has.
        types = {tensorrt.float32: np.float32, tensorrt.float16: np.float16, tensorrt.int32: np.int32}
        names = [self._engine.get_tensor_name(number) for number in range(self._engine.num_io_tensors)]
        self._types = {name: np.dtype(types[self._engine.get_tensor_dtype(name)]) for name in names}
        is_input = {name: self._engine.get_tensor_mode(name) == tensorrt.TensorIOMode.INPUT for name in names}
        self._inputs = [name for name in names if is_input[name]]
        self._outputs = [name for name in names if not is_input[name]]
        self._bounds = {name: self._engine.get_tensor_profile_shape(name, 0) for name in self._inputs}

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        # All memory first: nothing may be freed, or go out of scope here, while copies are under way.
        given = {name: self._fit(name, inputs) for name in self._inputs}
        if missing := self._context.infer_shapes():
            raise TensorRTError(f"{self.plan}: shapes are missing for {', '.join(missing)}")
        shapes = {name: tuple(self._context.get_tensor_shape(name)) for name in self._outputs}
        made = {name: np.empty(shape, self._types[name]) for name, shape in shapes.items()}
        places = {name: self._place(name, array.nbytes) for name, array in {**given, **made}.items()}
        try:
            for name, array in given.items():
                self._cuda.copy_in(places[name], array.ctypes.data, array.nbytes)
            if not self._context.execute_async_v3(self._cuda.stream):
                raise TensorRTError(f"{self.plan} did not run; TensorRT's own log says why")
            for name, array in made.items():
                self._cuda.copy_out(array.ctypes.data, places[name], array.nbytes)
        finally:
            self._cuda.synchronise()
        return made

    def _fit(self, name: str, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """As the engine takes it; its shape is set."""
        if name not in inputs:
            raise TensorRTError(f"{self.plan} reads {name}, which was not given")
        array = filled(name, np.ascontiguousarray(inputs[name], self._types[name]))
        low, _, high = (tuple(bound) for bound in self._bounds[name])
        fits = len(low) == array.ndim and all(a <= b <= c for a, b, c in zip(low, array.shape, high))
        if not fits or not self._context.set_input_shape(name, array.shape):
            raise TensorRTError(
                f"{self.plan} takes {name} from {low} to {high}, not {array.shape}: see models/profiles.json"
            )
        return array

    def _place(self, name: str, size: int) -> int:
        address = self._buffers.address(name, size)
        if not self._context.set_tensor_address(name, address):
            raise TensorRTError(f"{self.plan} has no tensor {name}")
        return address


def engines_here(root: Path) -> list[tuple[str, str]]:
    """Precision and file of models/ of what is built here and may be loaded, best first; an error that says why, if
    nothing is."""
    device = this_device(load_tensorrt())
    reasons: list[str] = []
    found = [each for each in PREFERRED if plans_of(root, device, each, reasons)]
    if not found:
        raise NotPossible(NOTHING + "; ".join(reasons))
    return [(precision, MODELS[precision]) for precision in found]


def find_engines(root: Path, device: Device, precision: str | None) -> tuple[str, dict[str, Path]]:
    reasons: list[str] = []
    for each in [precision] if precision else PREFERRED:
        plans = plans_of(root, device, each, reasons)
        if plans:
            return each, plans
    raise NotPossible(NOTHING + "; ".join(reasons))


def plans_of(root: Path, device: Device, precision: str, reasons: list[str]) -> dict[str, Path]:
    """Both engines of a precision, or none; `reasons` takes what is wrong."""
    try:
        # An engine for a DLA core has another name; the plain one goes first.
        each_dla = [[wanted(root, device, profile, precision, dla) for profile in PROFILES] for dla in (None, 0, 1)]
    except BrokenPackage as error:
        reasons.append(str(error))
        return {}
    built = [wants for wants in each_dla if all((root / "engines" / want.name).exists() for want in wants)]
    wants = [*built, each_dla[0]][0]
    plans = {want.profile: root / "engines" / want.name for want in wants}
    faults = [
        why_not(plans[want.profile], want) if plans[want.profile].exists() else "is not built" for want in wants
    ]
    wrong = [f"engines/{plans[want.profile].name} {fault}" for want, fault in zip(wants, faults) if fault]
    reasons += wrong
    return {} if wrong else plans


def load_tensorrt() -> Any:
    try:
        return import_module("tensorrt")
    except ImportError as error:
        raise NotPossible(f"tensorrt cannot be imported ({error}); JetPack has it as python3-libnvinfer") from error


def this_device(tensorrt: Any) -> Device:
    try:
        model = Path(BOARD).read_text(encoding="utf-8", errors="replace").replace("\0", "").strip()
    except OSError as error:
        raise NotPossible(f"this is no Jetson: {error}") from error
    return Device(model, capability(), ".".join(str(tensorrt.__version__).split(".")[:3]))


def filled(name: str, array: np.ndarray) -> np.ndarray:
    """TensorRT's profiles begin at 1: where nothing is stored, one empty entry (position -1) stands for it."""
    if array.size:
        return array
    return np.full([max(size, 1) for size in array.shape], -1 if name.endswith("position") else 0, array.dtype)
