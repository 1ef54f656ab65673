from agentforge.kit.evidence import Trial, exactly

from .cup import note


def trials():
    return [Trial("toss", {})]


def measure():
    note("toss")
    return {"fallen": 1}


def rows(results):
    return [exactly("Coins fall", 1, [each["fallen"] for each in results.values()], "1")]
