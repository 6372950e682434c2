"""Writing a safetensors file: a header with the lineage, and the base's data with the bytes of some arrays replaced."""

from __future__ import annotations

from collections.abc import Sequence

from wtool.checkpoint.layouts.signs import HEADER
from wtool.checkpoint.lineage import KEY, UNHASHED, Record, lineage_text, with_result
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.seal import DATA, Seal
from wtool.io.drafts import Draft
from wtool.io.json_text import refuse_unreadable
from wtool.io.safetensors_header import header_text, read_header, with_length
from wtool.io.source import Region
from wtool.io.stream import RegionCopy


class HeaderAndData:
    """Writes a safetensors file; the lineage is the last text in its header, which is written again in the end.

    Args:
        base: a safetensors file, open until the copy is published.
        draft: of the new file.
        lineage: with a placeholder for the seal; see `patch.rewrite`.
    """

    def __init__(self, base: Checkpoint, draft: Draft, lineage: Sequence[Record]) -> None:
        region = base.regions[0]
        self._old = read_header(region.read, region.size)
        self._draft = draft
        self._seal = Seal()
        text = self._header(lineage)
        refuse_unreadable(text, "the header")
        self._length = len(text)
        header = with_length(text)
        draft.reserve(len(header))
        draft.file.write(header)
        data = Region(region.source, region.start + self._old.size, region.size - self._old.size)
        self._stream = RegionCopy(data, draft.file, self._seal.part(DATA).update)

    def replace(self, shard: int, offset: int, data: bytes | memoryview) -> None:
        self._stream.replace(offset - self._old.size, data)

    def copy_rest(self) -> None:
        self._stream.copy_rest()

    def publish(self, lineage: Sequence[Record]) -> None:
        self._seal.part(HEADER).update(self._header(with_result(lineage, UNHASHED), self._length))
        text = self._header(with_result(lineage, self._seal.hash()), self._length)
        if len(text) > self._length:
            raise AssertionError("the lineage is longer than it was announced")
        self._draft.patch(0, with_length(text))
        self._draft.publish()

    def _header(self, lineage: Sequence[Record], length: int = 0) -> bytes:
        texts = {name: text for name, text in self._old.texts.items() if name != KEY}
        return header_text({**texts, KEY: lineage_text(lineage)}, self._old.entries, length)
