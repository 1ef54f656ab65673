"""QualityValidator: everything that is claimed of the baked model, on the test split."""

from __future__ import annotations

from agentforge.data.splits import Split
from agentforge.kit.agents.agent import Outcome, Task
from agentforge.kit.digests import canonical_json
from agentforge.phase6_baking.agents import weights
from agentforge.phase6_baking.judging import Judge, judge_all, values
from agentforge.phase6_baking.start import Start


def validate(start: Start, task: Task) -> Outcome:
    teacher, baked = (
        weights.read(task.inputs["weights"], name, start) for name in (weights.TEACHER, weights.BAKED)
    )
    judge = Judge(start, Split.TEST, start.config.evaluation.test_items)
    found = judge_all(start, judge, teacher, baked)
    (task.directory / "quality.json").write_bytes(canonical_json(dict(values(found))))
    return Outcome(tuple(found))
