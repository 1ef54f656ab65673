"""What is claimed of phase 6, and how each claim is measured. recorded/ holds the raw numbers. Free of torch."""

from agentforge.kit.evidence import Experiment

_SUMMARIES = {
    "agent": "Tools and persona in the pipeline's model: valid calls, right answers, traits, and what else is lost",
    "styles": "Styles that a prefix names, baked into a small Titan: KL removed, what else moves, every way",
    "probe": "The persona's scores on replies made to have a trait, to lack it, or to look like it",
    "sandbox": "Escapes and resource bombs against the sandbox, and what a call costs",
    "adapters": "Adapters merged by PEFT: equal to the bit, and alone where PEFT is not",
    "prices": "A style baked into a ternary model in four ways, and what merging an adapter costs",
    "faults": "Faults of every kind at every agent of the graph: what is saved, by what, and how the rest ends",
    "concurrent": "Twelve models at once, each with its agents, under one limit of memory",
}

EXPERIMENTS = tuple(Experiment(name, summary, f"{__name__}.{name}") for name, summary in _SUMMARIES.items())
