"""What is claimed of phase 4, and how each claim is measured. recorded/ holds the raw numbers. Free of torch."""

from agentforge.kit.evidence import Experiment

_SUMMARIES = {
    "accuracy": "What ternary weights cost: rounded alone and trained, tiny and small shapes",
    "options": "Thresholds, scales, distillation, warm-up and more, each switched",
    "sizes": "Packed files: linear layers and whole file, and that no damaged bit is read",
    "decode": "Tokens a second at batch 1, beside PyTorch, llama.cpp and onnxruntime",
    "memory": "Memory that inference takes, beside float32",
    "gguf": "GGUF files give llama.cpp the same logits",
}

EXPERIMENTS = tuple(Experiment(name, summary, f"{__name__}.{name}") for name, summary in _SUMMARIES.items())
