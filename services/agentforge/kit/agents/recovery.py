"""Which strategy is tried at a failure: the first of the policy's order that applies and is not used up."""

from __future__ import annotations

from tenacity import RetryCallState, Retrying, stop_after_attempt, wait_exponential

from agentforge.kit.agents.agent import Strategy
from agentforge.kit.agents.failure import Failure, Kind
from agentforge.kit.agents.graph import Graph
from agentforge.kit.agents.standing import Standing


class ErrorRecoverySystem:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def choose(self, standing: Standing, failure: Failure) -> Strategy:
        """`Graph.check` has seen to it that the last of the order always applies."""
        return next(each for each in standing.agent.policy.order if self._applies(each, standing, failure))

    def backoff_s(self, standing: Standing) -> float:
        """Before the retry that was just counted. Without jitter: a run waits the same each time."""
        policy = standing.agent.policy
        wait = wait_exponential(multiplier=policy.backoff_s, max=policy.longest_backoff_s)
        return wait(_as_tenacity_sees_it(standing.used[Strategy.RETRY]))

    def _applies(self, strategy: Strategy, standing: Standing, failure: Failure) -> bool:
        used, policy = standing.used, standing.agent.policy
        damaged = failure.kind is Kind.INPUTS
        senseless = damaged or failure.lasting or failure.kind is Kind.CIRCUIT
        match strategy:
            case Strategy.RETRY:
                return not senseless and _are_left(used[strategy], policy.retries)
            case Strategy.RESTART:
                return not senseless and failure.kind is not Kind.MESSAGE and used[strategy] < policy.restarts
            case Strategy.FALLBACK:
                return not damaged and failure.kind is not Kind.MESSAGE and not standing.falls_back
            case Strategy.ROLLBACK:
                made = all(name in self._graph.maker for name in failure.inputs)
                return damaged and made and used[strategy] < policy.rollbacks
            case Strategy.ISOLATE | Strategy.ESCALATE:
                return True


def _are_left(used: int, most: int) -> bool:
    return most > 0 and not (used and stop_after_attempt(most)(_as_tenacity_sees_it(used)))


def _as_tenacity_sees_it(attempt: int) -> RetryCallState:
    """Its rules serve; its loop sleeps, and other agents are at work meanwhile."""
    state = RetryCallState(Retrying(), None, (), {})
    state.attempt_number = attempt
    return state
