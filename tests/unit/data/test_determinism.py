"""Two processes with different hash seeds make the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import hashlib
from itertools import islice
from agentforge.data.loader import Loader
from agentforge.data.quality import Cleaner, QualityConfig
from agentforge.data.rows import ItemRows
from agentforge.data.generate import ItemStream
from agentforge.data.sources.documents import SplitSource
from agentforge.data.sources.stdlib import Part, StandardLibrary
from agentforge.data.splits import Split
from agentforge.data.streams import StreamRows
from agentforge.data.tasks import FAMILIES
from tests.unit.data.helpers import tiny_codec
import sys
codec, digest = tiny_codec(), hashlib.sha256()
digest.update(codec.digest.encode())
rows = [ItemRows(ItemStream(name, Split.TEST, 1), codec, 512) for name in FAMILIES]
library = StandardLibrary(Part.DOCSTRINGS, every=50)
rows.append(StreamRows(SplitSource(library, Split.TRAIN), codec, 64))
for batch in islice(Loader([(row, 1.0) for row in rows], batch=16, pad=codec.pad, seed=2), 10):
    digest.update(batch.input_ids.tobytes() + batch.labels.tobytes())
for name in ("nested", "recall"):
    digest.update(repr(ItemStream(name, Split.SELECTION, 4).distinct(30)).encode())
cleaner = Cleaner(QualityConfig())
digest.update(repr([cleaner.keeps(document) for document, _ in library.read()]).encode())
digest.update(repr(cleaner.report()).encode())
assert "torch" not in sys.modules
print(digest.hexdigest())
"""


def test_processes_agree_and_import_no_torch() -> None:
    digests = set()
    for hash_seed, threads in (("1", "true"), ("2", "false")):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "TOKENIZERS_PARALLELISM": threads}
        environment["PYTHONPATH"] = os.pathsep.join(["services", "gateway", "."])
        done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        digests.add(done.stdout)
    assert len(digests) == 1
