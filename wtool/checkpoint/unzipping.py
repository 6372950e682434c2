"""Writing an unzipped model: a folder of the files that a `.keras` archive has as its members."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from blake3 import blake3

from wtool.checkpoint.lineage import UNHASHED, Record, with_result
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.patch import metadata_text, padded
from wtool.checkpoint.seal import Seal, put_hash
from wtool.checkpoint.unzipped import ASSETS, PARTS, is_model_folder
from wtool.errors import WtoolError
from wtool.io.json_text import refuse_unreadable
from wtool.io.places import Target
from wtool.io.publish_folder import FolderDraft
from wtool.io.source import STREAM_BLOCK, copy
from wtool.io.stream import RegionCopy
from wtool.io.zip_unpack import unpack
from wtool.schema.archive_members import CONFIG, METADATA, WEIGHTS


class Unzipping:
    """Writes the folder of an unzipped model; the lineage is in its `metadata.json`.

    Args:
        base: has the weights, and the files that layers keep.
        config: the text of the new `config.json`.
        assets: name of a file in the base -> its name in the folder.
        target, lineage, stack: see `patch.rewrite`.
    """

    def __init__(
        self,
        base: Checkpoint,
        config: bytes,
        assets: Mapping[str, str],
        target: Target,
        lineage: Sequence[Record],
        stack: ExitStack,
    ) -> None:
        refuse_other_content(target)
        self._base = base
        self._length = len(metadata_text(base, with_result(lineage, UNHASHED)))
        self._draft = stack.enter_context(FolderDraft(target))
        self._seal = Seal()
        refuse_unreadable(config, CONFIG)
        self._seal.part(CONFIG).update(config)
        self._draft.file(CONFIG).write(config)
        # The parts of a seal are in the order in which a folder is read: folder by folder, in the order of names.
        in_order = sorted(assets.items(), key=lambda pair: pair[1].split("/"))
        self._assets = {old: (new, self._seal.part(new)) for old, new in in_order}
        weights = self._seal.part(WEIGHTS)
        self._stream = RegionCopy(base.regions[0], self._draft.file(WEIGHTS), weights.update)

    def replace(self, shard: int, offset: int, data: bytes | memoryview) -> None:
        """Write `data` in the place of the bytes from `offset` on of the weights."""
        self._stream.replace(offset, data)

    def copy_rest(self) -> None:
        """Copy the rest of the weights, and the files that layers keep."""
        self._stream.copy_rest()
        for old, (new, part) in self._assets.items():
            self._copy_asset(old, new, part)

    def _copy_asset(self, old: str, new: str, part: blake3) -> None:
        file = self._draft.file(new)
        if old in self._base.texts:
            file.write(self._base.texts[old])
        elif self._base.parts:
            source = self._base.parts[old]
            copy(source, 0, source.size, file.write)
        else:
            member = next(each for each in self._base.members if each.name == old)
            unpack(self._base.sources[0], member, file)
        file.seek(0)
        while block := file.read(STREAM_BLOCK):
            part.update(block)

    def publish(self, lineage: Sequence[Record]) -> None:
        """Write the lineage with the seal of the result, and give the new folder its name."""
        text = padded(metadata_text(self._base, with_result(lineage, UNHASHED)), self._length)
        refuse_unreadable(text, METADATA)
        unsealed = text.encode()
        self._seal.part(METADATA).update(unsealed)
        self._draft.file(METADATA).write(put_hash(unsealed, UNHASHED, self._seal.hash()))
        self._draft.publish()


def refuse_other_content(target: Target) -> None:
    """Refuse to replace a folder that holds anything but an unzipped model.

    Raises:
        WtoolError: there is such a folder.
    """
    if not target.force or not os.path.isdir(target.path):
        return
    more = sorted(set(os.listdir(target.path)) - {*PARTS, ASSETS})
    if more or not is_model_folder(target.path):
        what = (
            f"holds {more[0]!r} besides an unzipped model" if is_model_folder(target.path) else "is no unzipped model"
        )
        raise WtoolError(f"is a folder that {what}, and is not replaced; choose another --output", target.path)
