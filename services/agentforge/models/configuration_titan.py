"""What a Titan model is made of. Every mechanism has a switch, so that it can be measured against its absence."""

from typing import Any, ClassVar

from transformers import PreTrainedConfig

from .fields_titan import MODEL_TYPE, TitanFields


class TitanConfig(TitanFields, PreTrainedConfig):  # type: ignore[no-untyped-call]
    model_type = MODEL_TYPE
    keys_to_ignore_at_inference: ClassVar = ["past_key_values"]

    tie_word_embeddings: bool = True
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        TitanFields.__post_init__(self)
        PreTrainedConfig.__post_init__(self, **kwargs)  # type: ignore[no-untyped-call]


TitanConfig.register_for_auto_class()  # type: ignore[no-untyped-call]
