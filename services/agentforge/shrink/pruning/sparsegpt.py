"""SparseGPT (arXiv 2301.00774): weights are made zero column by column, and those to the right make up for it.

Each column is an Optimal Brain Surgeon's cut for the squared error of the layer's output. What is lost by a weight
that becomes zero is w² / [H⁻¹]jj, where H⁻¹ is of the columns that are not yet settled; the rows of its Cholesky
factor are these inverses, one after the other, so one factor serves all output rows.

Shapes: O outputs, I inputs, J columns of a block.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from agentforge.codecs.encode.gptq import DAMPING, inverse_factor
from agentforge.shrink.pruning.shares import TWO_OF_FOUR, kept_of_matrix

BLOCK = 128  # columns whose mask is chosen together, and whose updates reach the rest at once


def sparsegpt(w_OI: Tensor, gram_II: npt.NDArray[np.float64], share: str) -> tuple[Tensor, Tensor]:
    """The weights that are left, moved, and where they are. Of each block of columns `share` becomes zero."""
    left_OI, kept_OI = w_OI.double().clone(), torch.ones_like(w_OI, dtype=torch.bool)
    upper_II = torch.from_numpy(inverse_factor(gram_II, DAMPING)).to(w_OI.device)
    for start in range(0, left_OI.shape[1], BLOCK):
        end = min(start + BLOCK, left_OI.shape[1])
        error_OJ = _one_block(left_OI[:, start:end], kept_OI[:, start:end], upper_II[start:end, start:end], share)
        left_OI[:, end:] -= error_OJ @ upper_II[start:end, end:]
    left_OI *= kept_OI
    return left_OI.to(w_OI.dtype), kept_OI


def _one_block(left_OJ: Tensor, kept_OJ: Tensor, upper_JJ: Tensor, share: str) -> Tensor:
    """In place. The error of every column in units of its diagonal, which is what later columns are moved by.

    The mask of a share is chosen for the block before anything in it moves; that of a four when it is reached.
    """
    diagonal_J, error_OJ = upper_JJ.diagonal(), torch.zeros_like(left_OJ)
    fours = share == TWO_OF_FOUR
    if not fours:
        kept_OJ.copy_(kept_of_matrix((left_OJ / diagonal_J).square(), share))
    for j in range(left_OJ.shape[1]):
        if fours and j % 4 == 0:
            four = slice(j, j + 4)
            kept_OJ[:, four] = kept_of_matrix((left_OJ[:, four] / diagonal_J[four]).square(), share)
        lost_O = left_OJ[:, j] * ~kept_OJ[:, j]
        error_OJ[:, j] = lost_O / diagonal_J[j]
        left_OJ[:, j] -= lost_O
        left_OJ[:, j + 1 :] -= error_OJ[:, j, None] * upper_JJ[j, j + 1 :]
    return error_OJ
