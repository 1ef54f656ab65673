"""Writes edge/device/solo/unicode_table.py from what the installed tokenizers say: python -m this module."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex
from tokenizers.pre_tokenizers import Digits, PreTokenizer, Split

import agentforge.edge.device.solo as device

FILE = Path(device.__path__[0]) / "unicode_table.py"
_SPAN = 1 << 12  # characters at once: its time grows with the square
_HEAD = '''"""Which characters are letters, numbers, spaces to the tokenizer that the model was trained with.

Python's own unicodedata says otherwise of 9,000 characters or so, and each Python of others. Written by
edge/solo/unicode_table.py. Ranges in hexadecimal numbers: how far behind the last range one begins, and after a
point how many characters follow its first.
"""

'''


def table() -> str:
    numbers = _found(Split(Regex(r"[^\p{N}]+"), "removed"))
    letters, spaces = _found(Split(Regex(r"[^\p{L}]+"), "removed")), _found(Split(Regex(r"\S+"), "removed"))
    blocks = (_block("LETTERS", letters), _block("NUMBERS", numbers), _block("DIGITS", _digits() - numbers))
    why = "# Numbers to what cuts off digits, and no numbers to what cuts words.\n"
    return _HEAD + blocks[0] + blocks[1] + why + blocks[2] + _block("SPACES", spaces)


def _characters() -> Iterable[list[int]]:
    for start in range(0, 0x110000, _SPAN):
        found = [each for each in range(start, start + _SPAN) if not 0xD800 <= each < 0xE000]
        if found:
            yield found


def _found(split: PreTokenizer) -> set[int]:
    """What it does not take away."""
    found: set[int] = set()
    for characters in _characters():
        for _, (start, end) in split.pre_tokenize_str("".join(map(chr, characters))):
            found.update(characters[start:end])
    return found


def _digits() -> set[int]:
    found: set[int] = set()
    for characters in _characters():
        text = "a".join(map(chr, characters)) + "a"  # a digit stands alone, whatever is beside it
        for _, (start, end) in Digits(individual_digits=True).pre_tokenize_str(text):
            if end - start == 1 and start % 2 == 0:
                found.add(characters[start // 2])
    return found


def _block(name: str, characters: set[int]) -> str:
    words, last = list[str](), 0
    for first in sorted(each for each in characters if each - 1 not in characters):
        end = first
        while end + 1 in characters:
            end += 1
        words.append(f"{first - last:x}" + (f".{end - first:x}" if end > first else ""))
        last = end
    return f'{name} = """\n' + "\n".join(textwrap.wrap(" ".join(words), 114)) + '\n"""\n'


if __name__ == "__main__":
    FILE.write_text(table(), encoding="utf-8")
