"""The Titan model. Importing this package costs nothing; torch comes with the first class that is asked for."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentforge.models.configuration_titan import TitanConfig
    from agentforge.models.memory_titan import TitanCache
    from agentforge.models.modeling_titan import TitanForCausalLM

__all__ = ["TitanCache", "TitanConfig", "TitanForCausalLM"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from transformers import AutoConfig, AutoModelForCausalLM

    from agentforge.models import configuration_titan, memory_titan, modeling_titan

    titan: dict[str, type] = {
        "TitanCache": memory_titan.TitanCache,
        "TitanConfig": configuration_titan.TitanConfig,
        "TitanForCausalLM": modeling_titan.TitanForCausalLM,
    }
    # So that the Auto classes load our directories here without running the code that is stored in them.
    AutoConfig.register("agentforge_titan", titan["TitanConfig"], exist_ok=True)
    AutoModelForCausalLM.register(titan["TitanConfig"], titan["TitanForCausalLM"], exist_ok=True)
    return titan[name]
