"""What a safety case needs beyond what software on generated streams can show. Nothing here is claimed."""

from __future__ import annotations

NOT_COVERED = (
    ("ISO 26262-2", "management of functional safety: roles, culture, confirmation reviews, audits, assessment"),
    ("ISO 26262-3", "item definition with a real vehicle; a HARA by a team that knows the market and the drivers"),
    ("ISO 26262-4", "integration with hardware and vehicle; safety validation on the road"),
    ("ISO 26262-5", "hardware: failure rates, SPFM, LFM, PMHF, diagnostics of the device, lock-step, ECC"),
    (
        "ISO 26262-6",
        "a qualified language and compiler; MC/DC coverage; freedom from interference; worst-case times",
    ),
    ("ISO 26262-7", "production, operation, service, decommissioning"),
    ("ISO 26262-8", "qualification of tools and libraries (Python, NumPy, SciPy, onnxruntime)"),
    ("ISO 26262-9", "dependent failures: all stages share one process and one power supply"),
    ("ISO 21448", "SOTIF: triggering conditions of the real world; a generator has what its authors thought of"),
    ("ISO/SAE 21434", "cybersecurity beyond dropping unsigned, replayed and ill-formed messages"),
    ("ISO/PAS 8800", "safety of AI: data sets of the real world, their coverage, drift"),
    ("UN R155, R157", "type approval"),
)
"""(where it is asked for, what is asked)."""

GENERATED_ONLY = (
    "All figures come from generated worlds and generated sensors. A detector that was trained and judged on one"
    " generator says little about a real camera."
)
