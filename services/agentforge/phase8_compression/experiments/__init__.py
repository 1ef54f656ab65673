"""What is claimed of phase 8, and how each claim is measured. recorded/ holds the raw numbers. Free of torch."""

from agentforge.kit.evidence import Experiment

_SUMMARIES = {
    "sizes": "A 25 M Titan's whole file, at three vocabularies",
    "steps": "What each step brings alone and together, beside what others make of the same models",
    "road": "The whole phase on the pipeline's models, its files, and a student",
    "llama": "GGUF files by llama.cpp beside ours, of one Llama-shaped student",
    "codecs": "Each codec beside its paper, and beside plain rounding at equal bits",
}

EXPERIMENTS = tuple(Experiment(name, summary, f"{__name__}.{name}") for name, summary in _SUMMARIES.items())
