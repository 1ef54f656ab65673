"""What one candidate is worth: healed for a few steps, rounded to its bits, and asked the selection items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from agentforge.data.scoring import score_items
from agentforge.data.splits import Split
from agentforge.kit.errors import FailedPrecondition
from agentforge.kit.rng import Rng
from agentforge.models.ternary.linear import frozen
from agentforge.phase7_adas.configs.search import SearchConfig
from agentforge.phase7_adas.search.confirm import Loss, Verdict, loss_between
from agentforge.phase7_adas.search.cost import Cost, cost_of
from agentforge.phase7_adas.search.space import cut_of
from agentforge.phase7_adas.search.weights import round_weights, zeros
from agentforge.shrink.anatomy import anatomy
from agentforge.shrink.asking import Genes
from agentforge.shrink.healing import Start, heal
from agentforge.shrink.importance import Importance, loss_without, unit_norms
from agentforge.shrink.second import parted
from agentforge.shrink.slim import Cut, slimmed
from agentforge.train.evaluate import answer_nats, answers
from agentforge.train.judging import judged

FLAWED = -1.0  # of a candidate whose training diverged: no loss is below 0


@dataclass(frozen=True)
class Worth:
    """On the selection split. These numbers alone cross the wire between ranks."""

    accuracy: float  # mean over families
    nats: float  # per answer token; FLAWED: there is none
    families: Mapping[str, float]

    @property
    def numbers(self) -> list[float]:
        return [self.accuracy, self.nats, *self.families.values()]

    def of(self, numbers: list[float]) -> Worth:
        """With the families of this one."""
        accuracy, nats, *families = numbers
        return Worth(accuracy, nats, dict(zip(self.families, families, strict=True)))


@dataclass(frozen=True)
class Trial:
    number: int
    genes: Genes
    seed: int  # of its healing
    worth: Worth
    cost: Cost

    @property
    def flawed(self) -> bool:
        return self.worth.nats == FLAWED

    @property
    def objectives(self) -> list[float]:
        """Accuracy, bytes, FLOPs of a decoded token."""
        return [self.worth.accuracy, float(self.cost.bytes), float(self.cost.flops)]

    @property
    def record(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {"flawed": self.flawed}

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Trial:
        worth, cost = Worth(**record["worth"]), Cost(**record["cost"])
        return cls(record["number"], dict(record["genes"]), record["seed"], worth, cost)


class Bench:
    """Makes candidates of the input, and measures them. What it measures does not depend on the order."""

    def __init__(self, start: Start, config: SearchConfig, seed: int) -> None:
        self.start, self.config, self.seed = start, config, seed
        self.parts = anatomy(start.model)
        every = start.items(Split.SELECTION, config.items + config.confirm_items)
        self.items, self.fresh = parted(every, config.items)
        self._costs: dict[str, Cost] = {}

    @cached_property
    def importance(self) -> Importance:
        start, parts, batch = self.start, self.parts, self.config.evaluation_batch
        items = start.items(Split.CALIBRATION, self.config.calibration)
        units = unit_norms(start.model, start.codec, items, parts, batch)
        every = range(parts.layers)
        whole = {layer: units[layer].argsort().sort().values for layer in every}

        def without(gone: int) -> Any:
            layers = tuple(layer for layer in every if layer != gone)
            return slimmed(start.model, Cut(layers, {layer: whole[layer] for layer in layers}, None, None))

        return Importance(loss_without(start.model, start.codec, items, parts, without, batch), units)

    @cached_property
    def input(self) -> Worth:
        """The model as it came."""
        return self.worth(self.start.model)

    @cached_property
    def input_verdict(self) -> Verdict:
        return self.verdict(self.start.model)

    def made(self, genes: Genes) -> Any:
        """Slimmed, and nothing else yet."""
        return slimmed(self.start.model, cut_of(genes, self.parts, self.importance))

    def cost(self, genes: Genes) -> Cost:
        key = repr(sorted(genes.items()))
        if key not in self._costs:
            self._costs[key] = cost_of(self.made(genes), genes, self.config.context)
        return self._costs[key]

    def dice(self, number: int) -> Rng:
        return Rng(self.seed, "adas/search", number)

    def candidate(self, number: int, genes: Genes) -> Worth:
        try:
            model = self.healed(number, genes)
        except FailedPrecondition as error:
            if error.reason != "TRAINING_DIVERGED":
                raise
            return Worth(0.0, FLAWED, dict.fromkeys(self.input.families, 0.0))
        round_weights(model, genes)
        return self.worth(model)

    def healed(self, number: int, genes: Genes) -> Any:
        """As the candidate of this number was when it was judged, but for its rounding to bits."""
        model, config = self.made(genes), self.config
        heal(
            self.start, model, zeros(model, genes), config.healing,
            number=number, distillation=config.distillation, dice=self.dice(number), name=f"adas/search/{number}",
        )  # fmt: skip
        return model

    def as_judged(self, number: int, genes: Genes) -> tuple[Any, dict[str, int]]:
        """To the bit; and the bits of matrices that were rounded."""
        model = self.healed(number, genes).eval()
        return model, round_weights(model, genes)

    def trial(self, number: int, genes: Genes, worth: Worth) -> Trial:
        return Trial(number, genes, self.dice(number).seed, worth, self.cost(genes))

    def worth(self, model: Any) -> Worth:
        with frozen(model):
            found = judged(model, self.start.codec, self.items, "", batch=self.config.evaluation_batch)
        values = {one.name: one.value for one in found}
        families = {
            name.removeprefix("/accuracy/"): v for name, v in values.items() if name.startswith("/accuracy/")
        }
        return Worth(values["/accuracy"], values["/loss"], dict(sorted(families.items())))

    def verdict(self, model: Any) -> Verdict:
        """On the fresh items."""
        codec, batch = self.start.codec, self.config.evaluation_batch
        with frozen(model):
            nats, count = answer_nats(model, codec, self.fresh, batch=batch)
            right = score_items(self.fresh, answers(model, codec, self.fresh, batch=batch))
        return Verdict("".join(str(int(one)) for one in right), nats / count)

    def loss(self, before: Verdict, after: Verdict) -> Loss:
        return loss_between(before, after, self.fresh)
