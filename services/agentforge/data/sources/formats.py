"""One reader per file format. Each yields (text, place behind it) from a start place, in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from agentforge.data.sources.documents import optional
from agentforge.data.sources.quarantine import Quarantine
from agentforge.kit.errors import DataLoss, InvalidInput

_ENOUGH = 2_048  # bytes: a text is cut into documents at the first empty line after so many
_MOST = 65_536  # bytes: and here at the latest
_LONGEST_LINE = 16 << 20
_ROWS = 256  # rows of a table that are in memory together


def read_text(path: Path, start: int) -> Iterator[tuple[str, int]]:
    """UTF-8 text in pieces that end at an empty line. Places are byte offsets."""
    with path.open("rb") as file:
        file.seek(start)
        while raw := _block(file):
            offset = file.tell() - len(raw)
            text = _decoded(raw, path, offset, more=bool(file.peek(1)))
            file.seek(offset + len(text.encode()))  # the last character may have been cut
            yield text, file.tell()


def _block(file: BinaryIO) -> bytes:
    parts, size = [], 0
    while size < _MOST and (line := file.readline(_MOST - size)):
        parts.append(line)
        size += len(line)
        if size >= _ENOUGH and not line.strip():
            break
    return b"".join(parts)


def _decoded(raw: bytes, path: Path, offset: int, *, more: bool) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        if more and error.start and error.reason == "unexpected end of data":
            return _decoded(raw[: error.start], path, offset, more=False)
        raise _not_text(path, offset + error.start, "is not UTF-8") from None
    if "\0" in text:
        raise _not_text(path, offset + raw.index(b"\0"), "is a zero byte, as in binary files")
    return text


def _not_text(path: Path, offset: int, why: str) -> InvalidInput:
    step = "Convert it to UTF-8 text, or leave it out."
    return InvalidInput(f"{path}: byte {offset} {why}", reason="NOT_TEXT", field=str(path), next_step=step)


def read_jsonl(path: Path, start: int, field: str, broken: Quarantine) -> Iterator[tuple[str, int]]:
    """One JSON object per line. Places are byte offsets."""
    with path.open("rb") as file:
        file.seek(start)
        offset = start
        while line := file.readline(_LONGEST_LINE):
            text = _field_of_line(line, field)
            if isinstance(text, str):
                yield text, file.tell()
            elif line.strip():
                broken.put(path, offset, line, text.why)
            offset = file.tell()


class _Broken:
    def __init__(self, why: str) -> None:
        self.why = why


def _field_of_line(line: bytes, field: str) -> str | _Broken:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:  # thousands of brackets are too deep to be read
        return _Broken(f"not JSON: {error}")
    value = record.get(field) if isinstance(record, dict) else None
    if not isinstance(value, str):
        return _Broken(f"no text in field {field!r}")
    return value if _is_unicode(value) else _Broken("half a surrogate pair, which no encoding holds")


def _is_unicode(text: str) -> bool:
    """JSON can spell half a character of two; UTF-8 and the tokenizer cannot."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def read_parquet(path: Path, start: int, field: str) -> Iterator[tuple[str, int]]:
    """A column of strings. Places are row numbers; row groups before the start are not read."""
    parquet = optional("pyarrow.parquet", "pyarrow", "reading Parquet")
    with opened(parquet.ParquetFile, path) as table:
        if field not in table.schema_arrow.names:
            raise no_field(path, field, table.schema_arrow.names)
        row = 0
        for group in range(table.num_row_groups):
            behind = row + table.metadata.row_group(group).num_rows
            if behind > start:
                for text in _column(table, path, group, field):
                    row += 1
                    if row > start:
                        yield text, row
            row = behind


def _column(table: Any, path: Path, group: int, field: str) -> Iterator[str]:
    try:
        for batch in table.iter_batches(batch_size=_ROWS, row_groups=[group], columns=[field]):
            for value in batch.column(0).to_pylist():
                if not isinstance(value, str):
                    message = f"{path}: {field!r} holds {value!r}, not text"
                    step = "Leave out such rows, or write them as text."
                    raise InvalidInput(message, reason="NOT_TEXT", field=field, next_step=step)
                yield value
    except UnicodeDecodeError:
        message = f"{path}: {field!r} holds bytes that are not UTF-8"
        raise InvalidInput(message, reason="NOT_TEXT", field=field, next_step="Write it as UTF-8 text.") from None
    except OSError as error:
        raise broken_file(path, error) from error


def read_hdf5(path: Path, start: int, field: str) -> Iterator[tuple[str, int]]:
    """A one-dimensional dataset of strings. Places are row numbers."""
    h5py = optional("h5py", "h5py", "reading HDF5")
    with opened(h5py.File, path) as file:
        if not isinstance(file.get(field), h5py.Dataset):
            raise no_field(path, field, [name for name in file if isinstance(file[name], h5py.Dataset)])
        dataset = file[field]
        if dataset.ndim != 1 or h5py.check_string_dtype(dataset.dtype) is None:
            message = f"{path}: {field!r} is {dataset.dtype} of shape {dataset.shape}"
            step = "A one-dimensional dataset of strings is needed."
            raise InvalidInput(message, reason="WRONG_SHAPE", field=field, next_step=step)
        for begin in range(start, len(dataset), _ROWS):
            for row, value in enumerate(dataset[begin : begin + _ROWS], begin):
                yield _value(value, path, row), row + 1


def _value(raw: bytes, path: Path, row: int) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        step = "Write it as UTF-8 text."
        raise InvalidInput(f"{path}: row {row} is not UTF-8", reason="NOT_TEXT", next_step=step) from None


def opened(opener: Callable[[Path], Any], path: Path) -> Any:
    try:
        return opener(path)
    except (OSError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError
        raise broken_file(path, error) from error


def broken_file(path: Path, error: Exception) -> DataLoss:
    step = "It may be cut short or of another format; make it again."
    return DataLoss(f"{path} cannot be read: {error}", reason="BROKEN_FILE", field=str(path), next_step=step)


def no_field(path: Path, field: str, known: list[str]) -> InvalidInput:
    step = f"It has: {', '.join(known) or 'none'}. Rename the one that holds the text, or make one."
    return InvalidInput(f"{path} has no field {field!r}", reason="NO_FIELD", field=field, next_step=step)
