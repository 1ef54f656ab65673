"""Ternary layers on a GPU: one Triton kernel from the packed bytes and int8 activations to finished floats.

It has never run on a GPU. Its tests run this source in Triton's interpreter and compile it for GPUs that are not
there; block sizes are reasoned, not measured. With TRITON_INTERPRET=1 at import it is interpreted, on a CPU too.

Shapes: M tokens, N outputs, K inputs, R = ceil(N / 4) rows of bytes, G groups of inputs that share a scale.
"""
# mypy: disable-error-code="untyped-decorator, no-untyped-def"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from agentforge.models.ternary.linear import rms
from agentforge.models.ternary.packed_linear import PackedLinear
from agentforge.models.ternary.quantise import absmax_int8

INTERPRETED = triton.knobs.runtime.interpret
LEAST_CAPABILITY = (8, 0)  # of the GPU; for older ones Triton compiles no int8 product
LEAST_GROUP = 32  # inputs: what tensor cores take at once in int8


class TritonLinear(PackedLinear):
    """Equal to its BitLinear to the bit, groups apart, whose floats are summed in another order."""

    def forward(self, input: Tensor) -> Tensor:
        if not (input.is_cuda or INTERPRETED):
            return super().forward(input)  # moved to a CPU, where `use_kernels` once more gives it the CPU's
        x = rms(input) if self.mode.norm else input
        code_MK, token_M1 = absmax_int8(x.reshape(-1, self.in_features))
        y_MN = torch.empty(len(code_MK), self.out_features, dtype=torch.float32, device=input.device)
        if len(code_MK):
            self._launch(code_MK.contiguous(), token_M1, y_MN)
        return y_MN.view(*input.shape[:-1], self.out_features).to(input.dtype)

    def _launch(self, code_MK: Tensor, token_M1: Tensor, y_MN: Tensor) -> None:
        tokens, (stripe, columns) = len(code_MK), self.packed.shape
        blocks = block_sizes(tokens, columns, self.mode.group)
        grid = -(-tokens // blocks["BLOCK_M"]), -(-stripe // blocks["BLOCK_R"])
        scale_NG = self.scale_AG.expand(self.out_features, -1)  # one for the matrix: rows a step of 0 apart
        tensors = code_MK, self.packed, scale_NG, token_M1, self.bias, y_MN
        sizes = tokens, self.out_features, stripe, columns, scale_NG.stride(0)
        as_torch = {"enable_fp_fusion": False}  # a fused multiply-add rounds once where torch rounds twice
        with torch.cuda.device_of(code_MK):  # type: ignore[no-untyped-call]  # Triton launches on the current one
            ternary_product[grid](*tensors, *sizes, GROUP=self.mode.group, **blocks, **as_torch)


def block_sizes(tokens: int, columns: int, group: int) -> dict[str, int]:
    """One token: rows of up to 512 bytes, summed without tensor cores. A group is whole blocks of inputs."""
    width = group & -group if group else triton.next_power_of_2(columns)
    if tokens == 1:
        return {"BLOCK_M": 1, "BLOCK_R": 4, "BLOCK_K": max(LEAST_GROUP, min(width, 512))}
    tile = max(16, min(64, triton.next_power_of_2(tokens)))
    return {"BLOCK_M": tile, "BLOCK_R": 64, "BLOCK_K": max(LEAST_GROUP, min(width, 64))}


@triton.jit
def ternary_product(
    x_MK, packed_RK, scale_NG, token_M, bias_N, y_MN, tokens, rows, stripe, columns, scale_step,
    GROUP: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """A byte's four codes are of rows `stripe` apart: it is read once, for four sums."""
    m_M = tl.program_id(0).to(tl.int64) * BLOCK_M + tl.arange(0, BLOCK_M)
    r_R = tl.program_id(1) * BLOCK_R + tl.arange(0, BLOCK_R)
    x_1M = x_MK + (m_M % tokens)[None, :] * columns
    byte_R1 = packed_RK + (r_R % stripe).to(tl.int64)[:, None] * columns
    sum0 = tl.zeros((BLOCK_R, BLOCK_K if BLOCK_M == 1 else BLOCK_M), tl.float32 if GROUP else tl.int32)
    sum1, sum2, sum3 = sum0, sum0, sum0
    n0_R, n1_R, n2_R, n3_R = r_R, r_R + stripe, r_R + 2 * stripe, r_R + 3 * stripe
    for start in range(0, columns, BLOCK_K):
        k_K = start + tl.arange(0, BLOCK_K)
        byte_RK = tl.load(byte_R1 + k_K[None, :], mask=(k_K < columns)[None, :], other=0)
        if BLOCK_M == 1:
            x = tl.load(x_MK + k_K, mask=k_K < columns, other=0)[None, :]
        else:
            x = tl.load(x_1M + k_K[:, None], mask=(k_K < columns)[:, None], other=0)
        sum0 = _added(sum0, byte_RK, x, scale_NG + n0_R % rows * scale_step, start, GROUP, BLOCK_M)
        sum1 = _added(sum1, byte_RK >> 2, x, scale_NG + n1_R % rows * scale_step, start, GROUP, BLOCK_M)
        sum2 = _added(sum2, byte_RK >> 4, x, scale_NG + n2_R % rows * scale_step, start, GROUP, BLOCK_M)
        sum3 = _added(sum3, byte_RK >> 6, x, scale_NG + n3_R % rows * scale_step, start, GROUP, BLOCK_M)
    there = (r_R < stripe)[:, None] & (m_M < tokens)[None, :]
    token_1M = tl.load(token_M + m_M % tokens)[None, :]
    y_1M = y_MN + m_M[None, :] * rows
    _finish(sum0, n0_R, scale_NG, token_1M, bias_N, y_1M, there, rows, scale_step, GROUP, BLOCK_M)
    _finish(sum1, n1_R, scale_NG, token_1M, bias_N, y_1M, there, rows, scale_step, GROUP, BLOCK_M)
    _finish(sum2, n2_R, scale_NG, token_1M, bias_N, y_1M, there, rows, scale_step, GROUP, BLOCK_M)
    _finish(sum3, n3_R, scale_NG, token_1M, bias_N, y_1M, there, rows, scale_step, GROUP, BLOCK_M)


@triton.jit
def _added(total, bits_RK, x, scale_R, start, GROUP: tl.constexpr, BLOCK_M: tl.constexpr):
    """Codes are the lowest two bits, less one. The dot has them at its left, where they may come from registers.

    One token's products stay side by side; `_finish` sums them along the row, once.
    """
    code_RK = (bits_RK & 3).to(tl.int8) - 1
    product = code_RK.to(tl.int32) * x.to(tl.int32) if BLOCK_M == 1 else tl.dot(code_RK, x, out_dtype=tl.int32)
    if GROUP:
        product = product.to(tl.float32) * tl.load(scale_R + start // GROUP)[:, None]
    return total + product


@triton.jit
def _finish(
    total, n_R, scale_NG, token_1M, bias_N, y_1M, there, rows, scale_step,
    GROUP: tl.constexpr, BLOCK_M: tl.constexpr,
):  # fmt: skip
    """In the order of `linear.finished`."""
    if BLOCK_M == 1:
        total = tl.sum(total, 1)[:, None]
    y_RM = total.to(tl.float32)
    if GROUP == 0:
        y_RM = y_RM * tl.load(scale_NG + n_R % rows * scale_step)[:, None]
    y_RM = y_RM * token_1M
    if bias_N is not None:
        y_RM = y_RM + tl.load(bias_N + n_R % rows).to(tl.float32)[:, None]
    tl.store(y_1M + n_R[:, None], y_RM, mask=there & (n_R < rows)[:, None])
