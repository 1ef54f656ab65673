"""What is claimed of phase 7, and how each claim is measured. recorded/ holds the raw numbers. Free of torch."""

from agentforge.kit.evidence import Experiment

_SUMMARIES = {
    "speed": "A 25 M model's files beside PyTorch: size, decode steps, parity",
    "road": "What the pipeline gives, searched and packed: answers, accuracy, size, speed",
    "driving": "The driving pipeline in closed loop: collisions, stops, answers to faults",
    "driving_latency": "How long a tick of it takes, alone and beside a loaded core",
    "driving_parts": "Its parts: detection by class and distance, tracks beside Stone Soup's, prediction, V2X",
    "algorithms": "NSGA-II and TPE beside random search, at equal trials",
}

EXPERIMENTS = tuple(Experiment(name, summary, f"{__name__}.{name}") for name, summary in _SUMMARIES.items())
