from agentforge.kit.evidence import Trial, at_least, at_most, not_testable, stated
from agentforge.kit.rng import Rng

from .cup import note

SEEDS = (1, 2, 3)


def trials():
    return [Trial(f"throw/{seed}", {"seed": seed, "sides": (1, 6)}) for seed in SEEDS]


def measure(seed, sides):
    print("this goes to the log")
    note(f"throw/{seed}")
    return {"eyes": Rng(seed, "dice").python().randint(*sides)}


def rows(results):
    eyes = [result["eyes"] for result in results.values()]
    return [
        at_least("Dice show one and more", 1, eyes, "1", method="counted"),
        stated("two dice | together", [2 * each for each in eyes], "1"),
        at_most("Dice [never] show more than two", 2, eyes, "1", theirs=True),
        not_testable("Dice are fair", "p > .05", "three throws say nothing"),
    ]
