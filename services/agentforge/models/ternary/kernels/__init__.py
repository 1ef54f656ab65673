"""Ternary layers at speed: on a CPU C++ compiled on first use, for AVX-512 VNNI, AVX2, NEON or none of them;
on a GPU Triton."""

from agentforge.models.ternary.kernels.library import chosen, variants
from agentforge.models.ternary.kernels.product import KernelLinear, ternary_matmul, use_kernels
from agentforge.models.ternary.kernels.tiles import Prepared, prepare

__all__ = ["KernelLinear", "Prepared", "chosen", "prepare", "ternary_matmul", "use_kernels", "variants"]
