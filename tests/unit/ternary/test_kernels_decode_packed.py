"""Packed models in the C++ runner: ternary layers and tables have the values that the file has."""

from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from agentforge.models.ternary.convert import convert
from agentforge.models.ternary.kernels.decode import Decoder
from agentforge.models.ternary.kernels.parts import Parts
from agentforge.models.ternary.linear import Mode
from agentforge.models.ternary.packed import Bits, save_packed
from agentforge.models.ternary.tables import quantise_table, table
from agentforge.models.ternary.unpacking import load_packed
from tests import pico

from .test_kernels_decode import TITANS, VARIANTS, compared, in_bits

# Widths of one span of the table, which is not full, and of two and three; tied or not; bits.
TABLES = [
    (36, True, 4),
    (80, False, 4),
    (136, True, 4),
    (80, False, 8),
    (136, True, 8),
    (36, True, 32),
    (80, False, 32),
]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("width", "tied", "bits"), TABLES)
def test_tables(width: int, tied: bool, bits: int, variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In 8 bits values of 4 or 32 would differ by up to 1 part in 254, and the logits by more than this."""
    monkeypatch.setenv("AGENTFORGE_KERNEL", variant)
    model = pico.llama(
        hidden_size=width, num_hidden_layers=1, max_position_embeddings=128, tie_word_embeddings=tied
    )
    in_bits(pico.with_noise(model.eval(), 1), bits)
    assert [Parts().table(w).bits for w in (model.model.embed_tokens.weight, model.lm_head.weight)] == [bits] * 2
    far, same = compared(model, Decoder(model, context=128))
    assert float(far.max()) < (2e-6 if bits == 32 else 2e-4)
    assert same


@pytest.mark.parametrize("bits", [4, 8])
def test_a_packed_table_is_known_by_its_values(bits: int) -> None:
    """One value beside, and 32 bits are needed."""
    weight_VD = 0.02 * torch.randn(50, 70, generator=torch.Generator().manual_seed(0))
    weight_VD[3] = 0
    read_VD = table(*quantise_table(weight_VD, bits), (50, 70), bits)
    assert Parts().table(weight_VD).bits == 32
    assert Parts().table(read_VD).bits == bits
    read_VD[7, 65] += 1e-5
    assert Parts().table(read_VD).bits == 32


@pytest.mark.parametrize(
    "mode", [Mode(), Mode("channel", fit="survivors"), Mode("group", 16), Mode(norm=True)], ids=str
)
@pytest.mark.parametrize(("name", "bits"), [("memory", 4), ("memory", 32), ("llama", 4), ("llama", 8)])
def test_packed_models(name: str, bits: Literal[32, 8, 4], mode: Mode, tmp_path: Path) -> None:
    model: Any = pico.llama(tie_word_embeddings=False, attention_bias=True, max_position_embeddings=128)
    if name == "memory":
        model = pico.titan(num_hidden_layers=2, **TITANS["memory"])
    convert(pico.with_noise(model, 1), mode=mode)
    save_packed(tmp_path, model, Bits(embeddings=bits))
    loaded = load_packed(tmp_path)
    assert Parts().table(loaded.get_output_embeddings().weight).bits == bits
    far, same = compared(loaded, Decoder(loaded, context=128), 36)
    assert float(far.median()) < 1e-3
    assert float(far.max()) < 2e-2
    assert same
