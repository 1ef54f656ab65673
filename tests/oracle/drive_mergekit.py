"""Run by mergekit's own Python: its merges of the jobs in a file. DARE draws the masks that the job brings.

Nothing of mergekit is copied here; it is called, and its random draw is exchanged for ours.
"""

import hashlib
import json
import sys
from pathlib import Path

import mergekit.sparsify
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions
from safetensors.torch import load_file


def main(jobs: str) -> None:
    for job in json.loads(Path(jobs).read_text()):
        masks = load_file(job["masks"]) if job["masks"] else {}

        def draw(tensor, density, rescale_norm=None, masks=masks):
            """Our mask of this very difference; the rescaling stays theirs."""
            key = hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()
            mask = masks[key].reshape(tensor.shape).to(tensor.dtype)
            return mergekit.sparsify.rescaled_masked_tensor(tensor, mask, rescale_norm)

        mergekit.sparsify.bernoulli = draw
        options = MergeOptions(trust_remote_code=True, copy_tokenizer=False, quiet=True)
        run_merge(MergeConfiguration.model_validate(job["recipe"]), job["out"], options)


if __name__ == "__main__":
    main(sys.argv[1])
