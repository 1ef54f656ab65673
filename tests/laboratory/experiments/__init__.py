from agentforge.kit.evidence import Experiment

EXPERIMENTS = (
    Experiment("dice", "Dice show four and more", f"{__name__}.dice"),
    Experiment("coins", "Coins fall", f"{__name__}.coins"),
)
