"""What is claimed of phase 3, and how each claim is measured. recorded/ holds the raw numbers. Free of torch."""

from agentforge.kit.evidence import Experiment

_SUMMARIES = {
    "sums": "Chained sums whose steps were in half of the pre-training: thoughts, no thoughts, and every option",
    "mix": "The pipeline's own mix, from the start: the tiny preset with thoughts and without",
    "parallel": "Thoughts in parallel are those of a naive loop, and their gradients are right",
    "speed": "Time and memory of thoughts at all places of a text, beside one position at a time",
}

EXPERIMENTS = tuple(Experiment(name, summary, f"{__name__}.{name}") for name, summary in _SUMMARIES.items())
