"""What is claimed of phase 2, and how each claim is measured. recorded/ holds the raw numbers. Free of torch."""

from agentforge.kit.evidence import Experiment

_SUMMARIES = {
    "oracle": "Merging gives the numbers that mergekit gives",
    "merging": "`agentforge merge` is faster than mergekit and needs less memory",
    "champion": "The tiny preset's champion on questions that it was not chosen by",
    "priorities": "The same with fitness that asks for answers first",
    "mergeable": "Specialists of skills that their trunk has, too: from one trunk and from independent starts",
    "ranks": "Several processes find the same champion as one, and how long they take",
}

EXPERIMENTS = tuple(Experiment(name, summary, f"{__name__}.{name}") for name, summary in _SUMMARIES.items())
