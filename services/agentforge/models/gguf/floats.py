"""The same GGUF file with every tensor in F32: in it nothing but the weights is rounded when llama.cpp runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agentforge.kit.errors import DataLoss
from agentforge.models.gguf.tools import tool


def opened(file: Path) -> Any:
    """A gguf.GGUFReader. What is cut or damaged in a way that it sees is told as such."""
    try:
        return tool("gguf").GGUFReader(file)
    except (OSError, ValueError, KeyError, IndexError) as error:
        message = f"{file} cannot be read as a GGUF file: {error}"
        raise DataLoss(message, reason="BROKEN_FILE", field=str(file)) from error


def floats_of(file: Path, twin: Path) -> Path:
    """What the file says, tensors apart, is copied as it stands."""
    gguf = tool("gguf")
    reader = opened(file)
    writer = gguf.GGUFWriter(twin, reader.get_field("general.architecture").contents())
    try:
        for field in reader.fields.values():
            if not field.name.startswith("GGUF.") and field.name != "general.architecture":
                inner = field.types[1] if len(field.types) > 1 else None
                writer.add_key_value(field.name, field.contents(), field.types[0], inner)
        for tensor in reader.tensors:
            writer.add_tensor(tensor.name, gguf.quants.dequantize(tensor.data, tensor.tensor_type))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
    return twin
