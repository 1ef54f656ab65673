"""What Prometheus reads: counted, never estimated, and without run ids as labels."""

from __future__ import annotations

from agentforge_gateway.models import State
from agentforge_gateway.parts import Parts


async def metrics_text(parts: Parts) -> str:
    counts = await parts.store.count_by_state()
    states = [(f'{{state="{s.value.removeprefix("RUN_STATE_").lower()}"}}', counts.get(s.value, 0)) for s in State]
    families = [
        ("agentforge_runs", "gauge", "Pipeline runs in the database, by state.", states),
        (
            "agentforge_runs_sequenced",
            "gauge",
            "Runs that this gateway sequences now.",
            [("", parts.scheduler.active)],
        ),
        ("agentforge_watchers", "gauge", "Open event streams.", [("", parts.tails.watchers)]),
        (
            "agentforge_events_relayed_total",
            "counter",
            "Events given to watchers, once for each of them.",
            [("", parts.tails.relayed)],
        ),
    ]
    lines = []
    for name, kind, text, samples in families:
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
        lines += [f"{name}{labels} {value}" for labels, value in samples]
    return "\n".join(lines) + "\n"
