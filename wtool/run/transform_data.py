"""What a transform looks at: the tensors that it is about, wherever their values are in the files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from wtool.checkpoint.initializers import initializers, output_kernels
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.run import pipeline
from wtool.run.changes import Edited
from wtool.run.masking import NO_MASKING, Masking
from wtool.run.progress import Passes
from wtool.run.selection import is_named
from wtool.schema.config import read_architecture
from wtool.schema.layers import input_axes, output_unit_axes
from wtool.transforms.change import Apply, Blocks, Change, Look, Site
from wtool.values import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class FileData:
    """The tensors of a base, and those of another checkpoint that stand for them, as `transforms.change.Data`.

    Attributes:
        edited: the base, as the operations before leave it.
        others: the other checkpoint, where there is one.
        columns: path of each weight of the base -> the weight, and the one of the other checkpoint.
        sites: the tensors that the transform is about.
        passes: is told how far the looking is.
        masking: recorded masks, whose pruned values are shown as zero.
    """

    edited: Edited
    others: Sequence[Checkpoint]
    columns: Mapping[str, tuple[Tensor, ...]]
    sites: Sequence[Site]
    passes: Passes
    masking: Masking = NO_MASKING

    def walk(self, look: Look, sites: Sequence[Site]) -> Iterator[tuple[Site, int, Any]]:
        """Hand every block of `sites` to `look`, in the order of the file."""
        named = {site.path: site for site in sites}
        looks = []
        for site in sites:
            column = self.columns[site.path]
            looks.append(self.edited.look(pipeline.Edit(column[0], column, partial(_looked, look, site, self.masking))))
        for tensor, start, found in pipeline.scan(self.edited.checkpoints(self.others), looks, self.passes.look):
            yield named[tensor.path], start, found

    def read(self, site: Site, start: int, stop: int) -> Blocks:
        """The values [start, stop) of a tensor, in each of the checkpoints."""
        return self._blocks(site.path, start, stop)

    def changed(self, path: str, change: Apply, start: int, stop: int) -> Change:
        """What changes in the range [start, stop) of a tensor."""
        return change(self._blocks(path, start, stop), start)

    def _blocks(self, path: str, start: int, stop: int) -> Blocks:
        own, *others = self.columns[path]
        pairs = zip(self.others, others, strict=True)
        found = [self.edited.read(own, start, stop), *(each.read_range(tensor, start, stop) for each, tensor in pairs)]
        return self.masking.blocks(path, found, start)


def _looked(look: Look, site: Site, masking: Masking, blocks: Blocks, start: int, stop: int) -> Any:
    return look(site, masking.blocks(site.path, blocks, start), start)


def sites_of(
    checkpoints: Sequence[Checkpoint],
    columns: Sequence[tuple[Tensor, ...]],
    of_initial: bool,
    of_axes: bool = False,
    include: Sequence[str] = (),
) -> list[Site]:
    """The tensors as a transform knows them.

    Args:
        checkpoints: the base, and the other ones where there are some.
        columns: a tensor of each of them.
        of_initial: whether the transform wants to know how tensors are initialised.
        of_axes: whether it wants to know where the output units and the inputs of kernels are.
        include: patterns of the tensors that the user chose.
    """
    base = checkpoints[0]
    kernels = [tensor for tensor in base.weights if tensor.role.endswith("kernel") and tensor.copy_of is None]
    outputs = {tensor.path for tensor in output_kernels(base, kernels)}
    told = [initializers(each) for each in checkpoints] if of_initial else []
    axes = _axes(base) if of_axes else {}
    layers = list(dict.fromkeys(tensor.layer for tensor in base.weights))
    depths = {layer: place / max(1, len(layers) - 1) for place, layer in enumerate(layers)}
    return [
        Site(
            path=column[0].path,
            shape=column[0].shape,
            dtype=column[0].dtype,
            is_output=column[0].path in outputs,
            initializer=next((each[tensor.path] for each, tensor in zip(told, column) if tensor.path in each), None),  # noqa: B905
            unit_axes=axes.get(column[0].path, _NO_AXES)[0],
            input_axes=axes.get(column[0].path, _NO_AXES)[1],
            is_named=is_named(column[0], include),
            depth=depths[column[0].layer],
        )
        for column in columns
    ]


_NO_AXES: tuple[tuple[int, ...], tuple[int, ...]] = (), ()


def _axes(base: Checkpoint) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Path of each weight -> the axes of its output units, and those of its inputs."""
    nodes = {}
    if base.config is not None and any(tensor.layer_class == "EinsumDense" for tensor in base.weights):
        nodes = dict(read_architecture(base.config, base.keras_version)[0].paths())
    found = {}
    for tensor in base.weights:
        settings = nodes[tensor.layer].config if tensor.layer in nodes else {}
        layer = tensor.layer_class, tensor.role, tensor.shape, settings, tensor.layer.rpartition("/")[2]
        found[tensor.path] = output_unit_axes(*layer), input_axes(*layer)
    return found
