"""What is claimed of phase 5, and how each claim is measured. recorded/ holds the raw numbers. Free of torch."""

from agentforge.kit.evidence import Experiment

_SUMMARIES = {
    "ablation": "The tiny preset in full, and each part of the phase switched alone",
    "grokfast": "Grokfast on this phase's own mix, beside a tuned and an untuned baseline",
    "forgetting": "A sequence of task families, with dreams and without",
    "controller": "Difficulty at the edge of chaos, beside uniform and easy-to-hard",
    "throughput": "Tokens a second with every part, beside the plain loop, nanochat's and several ranks",
    "loading": "Whether training waits for its data; 10 GB read in bounded memory",
}

EXPERIMENTS = tuple(Experiment(name, summary, f"{__name__}.{name}") for name, summary in _SUMMARIES.items())
