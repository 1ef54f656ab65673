"""What is claimed of phase 1, and how each claim is measured. recorded/ holds the raw numbers. Free of torch."""

from agentforge.kit.evidence import Experiment

_SUMMARIES = {
    "size": "The seeds' model has the parameters that they say, and is the same after saving and loading",
    "specialists": "Each specialist of the tiny preset is right at its own family, and beats the others there",
    "trunk": "Models from a shared trunk can be merged, models from independent starts cannot",
    "halting": "The halting head spends more steps where more is to be done",
    "needle": "Facts beyond the reach of windowed attention are found by the memory",
    "slots": "With fewer slots than tokens, surprise and novelty decide well what is kept",
    "grokfast": "Grokfast's formula, and what it gains over tuned baselines",
    "sudoku": "Recursion by TRM's rule at small Sudoku, against its ablations",
    "speed": "How fast Titan trains, and what each mechanism costs",
}

EXPERIMENTS = tuple(Experiment(name, summary, f"{__name__}.{name}") for name, summary in _SUMMARIES.items())
