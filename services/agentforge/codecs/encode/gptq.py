"""GPTQ (arXiv 2210.17323): a grid's codes chosen column by column, each making up for what those before it lost.

Rounding one weight moves the best values of all that are not yet rounded, along the inverse of the gram of the
layer's inputs. Where inputs are correlated much of the output's error is so undone; with a gram that is diagonal
this is rounding to nearest. Scales and zeros are fixed before (static groups), so columns may come in any order.

Shapes: R rows, C columns, J columns of a block.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from agentforge.codecs.encode import grid
from agentforge.codecs.payload import Payload
from agentforge.codecs.spec import Spec
from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]
Codes = npt.NDArray[np.uint8]

BLOCK = 128  # columns whose updates reach the rest at once
DAMPING = 0.01  # of the mean diagonal, added to it


def encode_gptq(w_OI: np.ndarray, spec: Spec, *, gram: np.ndarray | None = None, rng: Rng | None = None) -> Payload:
    """A payload of the codec grid, whose fit is "gptq": steps are those of fit "mse", of 16 or 8 bits."""
    own = grid.settings(spec)
    gram_CC = checked_gram(gram, w_OI.shape[-1] if w_OI.ndim else 0, str(spec))
    w_RC = np.ascontiguousarray(w_OI, np.float32).reshape(-1, w_OI.shape[-1])
    made = grid.steps(w_RC, own._replace(fit="mse"))
    group, columns = min(own.group, w_RC.shape[1]), w_RC.shape[1]
    scale_RC, zero_RC = (np.repeat(each, group, axis=1)[:, :columns] for each in (made.scale_RG, made.zero_RG))
    return grid.payload(w_OI.shape, made, gptq_codes(w_RC, scale_RC, zero_RC, 1 << own.bits, gram_CC))


def gptq_codes(
    w_RC: Floats, scale_RC: Floats, zero_RC: Floats, levels: int, gram_CC: Doubles, *,
    damping: float = DAMPING, act_order: bool = True,
) -> Codes:  # fmt: skip
    """Codes 0 to levels - 1, of values (code - zero) * scale; `scale_RC` and `zero_RC` broadcast over the weights.

    `act_order` takes columns with the largest inputs first, so that these lose the least. The larger `damping`, the
    nearer to rounding to nearest: for tied embeddings, whose gram tells of one use of two (shrink.grams).
    """
    heard_C = np.diagonal(gram_CC)
    order_C = np.argsort(-heard_C, kind="stable") if act_order else np.arange(len(heard_C))
    left_RC = w_RC.astype(np.float64)[:, order_C]
    scale_RC, zero_RC = (np.broadcast_to(each, w_RC.shape)[:, order_C] for each in (scale_RC, zero_RC))
    upper_CC = inverse_factor(gram_CC[np.ix_(order_C, order_C)], damping)
    found_RC = np.empty(w_RC.shape, np.uint8)
    for start in range(0, w_RC.shape[1], BLOCK):
        own = slice(start, start + BLOCK)
        found_RC[:, own], error_RJ = _one_block(
            left_RC[:, own], scale_RC[:, own], zero_RC[:, own], levels, upper_CC[own, own]
        )
        left_RC[:, start + BLOCK :] -= error_RJ @ upper_CC[own, start + BLOCK :]
    code_RC = np.empty_like(found_RC)
    code_RC[:, order_C] = found_RC
    return code_RC


def _one_block(
    left_RJ: Doubles, scale_RJ: Floats, zero_RJ: Floats, levels: int, upper_JJ: Doubles
) -> tuple[Codes, Doubles]:
    """Codes, and each column's error in units of its diagonal, which is what later columns are moved by."""
    code_RJ, error_RJ = np.empty(left_RJ.shape, np.uint8), np.empty(left_RJ.shape)
    for j in range(left_RJ.shape[1]):
        scale_R, zero_R = scale_RJ[:, j].astype(np.float64), zero_RJ[:, j].astype(np.float64)
        steps_R = np.divide(left_RJ[:, j], scale_R, out=np.zeros(len(scale_R)), where=scale_R != 0)
        code_R = np.clip(np.rint(steps_R + zero_R), 0, levels - 1)
        code_RJ[:, j] = code_R.astype(np.uint8)
        error_RJ[:, j] = (left_RJ[:, j] - (code_R - zero_R) * scale_R) / upper_JJ[j, j]
        left_RJ[:, j + 1 :] -= error_RJ[:, j, None] * upper_JJ[j, j + 1 :]
    return code_RJ, error_RJ


def inverse_factor(gram_CC: Doubles, damping: float) -> Doubles:
    """Upper triangular U with UᵀU the inverse of the damped gram; what was never heard counts as the mean."""
    damped_CC = gram_CC.astype(np.float64)
    heard_C = np.diagonal(gram_CC)
    usual = float(heard_C.mean()) or 1.0
    damped_CC[np.diag_indices_from(damped_CC)] = np.where(heard_C == 0, usual, heard_C) + damping * usual
    inverse_CC = np.linalg.inv(damped_CC)
    return np.asarray(np.linalg.cholesky((inverse_CC + inverse_CC.T) / 2).T, np.float64)


def checked_gram(gram_CC: Doubles | None, columns: int, name: str) -> Doubles:
    if gram_CC is None:
        message = f"{name} needs the gram of the layer's inputs, and none was given"
        step = 'Give it (shrink.grams makes it from items), or take a fit that needs no data, as "mse".'
        raise InvalidInput(message, reason="NO_GRAM", field="gram", next_step=step)
    if gram_CC.shape != (columns, columns) or not np.isfinite(gram_CC).all():
        message = f"{name}: a gram of shape {gram_CC.shape} is not one of {columns} finite inputs"
        raise InvalidInput(message, reason="NO_GRAM", field="gram", next_step="Give that of this layer's inputs.")
    return gram_CC
