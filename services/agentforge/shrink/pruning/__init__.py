"""Ways to make single weights zero, and what they do to the weights that are left."""

from agentforge.shrink.pruning.prune import WAYS, prune

__all__ = ["WAYS", "prune"]
