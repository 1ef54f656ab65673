"""A saved directory is complete: it loads bit-equal here, and in a process that has never heard of agentforge."""

import json
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from agentforge.models import TitanForCausalLM

from .conftest import MakeTitan

# -S leaves site-packages, and with it an editable install of agentforge, out of the path; the third argument puts
# back the folder of torch and transformers alone.
STRANGER = """
import json, sys
sys.path.append(sys.argv[4])
import torch
from transformers import AutoModelForCausalLM
torch.set_num_threads(1)
try:
    import agentforge
    raise SystemExit("agentforge can be imported here: this proves nothing")
except ModuleNotFoundError:
    pass
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], trust_remote_code=True)
ids = torch.tensor(json.loads(sys.argv[2]))
made = model.generate(ids, max_new_tokens=3, do_sample=False, pad_token_id=0)
with torch.no_grad():
    logits = model(input_ids=ids).logits
torch.save({"logits": logits, "made": made}, sys.argv[3])
"""


def test_save_load_save_is_bit_equal(make_titan: MakeTitan, ids_BT: torch.Tensor, tmp_path: Path) -> None:
    model = make_titan().float()
    model.save_pretrained(tmp_path / "first")
    stored = load_file(tmp_path / "first" / "model.safetensors")
    assert sum(tensor.numel() for tensor in stored.values()) == model.num_parameters()  # tied weights stored once
    for again in (
        TitanForCausalLM.from_pretrained(tmp_path / "first"),
        AutoModelForCausalLM.from_pretrained(tmp_path / "first"),
    ):
        assert isinstance(again, TitanForCausalLM)
        assert again.lm_head.weight is again.embed_tokens.weight
        with torch.no_grad():
            assert torch.equal(again(input_ids=ids_BT).logits, model(input_ids=ids_BT).logits)
        again.save_pretrained(tmp_path / "second")
        first, second = (tmp_path / name / "model.safetensors" for name in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()


def test_a_stranger_loads_it_with_trust_remote_code(
    make_titan: MakeTitan, ids_BT: torch.Tensor, tmp_path: Path
) -> None:
    model = make_titan().float()
    model.save_pretrained(tmp_path / "model")
    packages = Path(torch.__file__).parent.parent
    subprocess.run(
        [sys.executable, "-I", "-S", "-c", STRANGER, str(tmp_path / "model"), json.dumps(ids_BT.tolist()),
         str(tmp_path / "out.pt"), str(packages)],
        check=True, cwd=tmp_path, env={"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    out = torch.load(tmp_path / "out.pt", weights_only=True)
    with torch.no_grad():
        assert torch.equal(out["logits"], model(input_ids=ids_BT).logits)
        made = model.generate(ids_BT, max_new_tokens=3, do_sample=False, pad_token_id=0)
    assert torch.equal(out["made"], made)


def test_importing_the_package_costs_no_torch() -> None:
    code = "import sys, agentforge.models; assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
