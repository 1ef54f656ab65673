"""What was measured of a GGUF file against its model, and whether that will do. Free of torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from agentforge.kit.errors import DataLoss
from agentforge.kit.measure import Measurement

EXACT = 1e-4  # of `relative`: float32 alone makes 1e-5 and less of it, a wrong file 1e-2 and more
CLOSE = 0.1  # of logits where a rounded input now and then falls the other way, and others follow


@dataclass(frozen=True)
class Difference:
    """Of llama.cpp's logits from others, over all positions and tokens of the vocabulary."""

    largest: float
    mean: float  # of the absolute differences
    relative: float  # root of the mean square, over the deviation of the others from their mean
    kl: float  # nats of a position, KL(others || llama.cpp)
    agreement: float  # share of positions with the same most likely token


@dataclass(frozen=True)
class Parity:
    """`content` has nothing rounded but the weights: all but noise is a mistake in the file, such as a wrong order,
    scale, name or setting. The others are of the file as it is run, its inputs rounded as its types want it."""

    texts: int
    texts_equal: int  # of which the token ids are those of our tokenizer
    positions: int
    content: Difference  # the file with all its tensors in F32, against torch with the same weights
    arithmetic: Difference  # against torch that rounds as llama.cpp does
    model: Difference  # against the model as it is here
    floats: Difference  # against torch with the file's weights and inputs as they are

    @property
    def wrong(self) -> list[str]:
        """Why the file is not the model; empty: it is."""
        found = []
        if self.texts_equal < self.texts:
            found.append(f"{self.texts - self.texts_equal} of {self.texts} texts have other token ids")
        for what, bound in (("content", EXACT), ("arithmetic", CLOSE)):
            relative = getattr(self, what).relative
            if not relative <= bound:
                found.append(f"{what}: logits are off by {relative:.2g} of their deviation, above {bound:g}")
        return found

    def measured(self, prefix: str) -> list[Measurement]:
        n = self.positions
        ids = f"of {self.texts} texts, special tokens among them: those with the same token ids in llama.cpp"
        found = [Measurement(f"{prefix}/ids_equal", self.texts_equal / self.texts, "1", ids, self.texts)]
        for other, named in _OTHERS.items():
            for what, value in asdict(getattr(self, other)).items():
                how = f"{_TOLD[what]} of the logits of {n:,} positions, {named}"
                unit = "nat" if what == "kl" else "1"
                found.append(Measurement(f"{prefix}/{other}/{what}", value, unit, how, n))
        return found


_TOLD = {
    "largest": "largest absolute difference",
    "mean": "mean absolute difference",
    "relative": "root mean square difference, over their deviation,",
    "kl": "mean KL divergence",
    "agreement": "share with the same most likely token",
}
_OTHERS = {
    "content": "llama.cpp with the file's tensors in F32 against torch with the same weights",
    "arithmetic": "llama.cpp against torch that rounds inputs as it does",
    "model": "llama.cpp against this model in torch",
    "floats": "llama.cpp against torch with the file's weights and inputs that are not rounded",
}


def require(file: Path, parity: Parity) -> None:
    if parity.wrong:
        message = f"{file.name} is not the model, run by llama.cpp: {'; '.join(parity.wrong)}"
        step = "It is a mistake in the writer, or this llama.cpp computes in another way: do not use the file."
        raise DataLoss(message, reason="NO_PARITY", field=file.name, next_step=step)
