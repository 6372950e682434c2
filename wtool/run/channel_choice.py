"""Which channels of a checkpoint's groups stay: by their scores, or as the lineage of another checkpoint tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import numpy as np

from wtool.checkpoint.lineage import Record, own_records
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.dtypes import Array
from wtool.errors import Refused, Usage, a_few
from wtool.graphs.groups import Group
from wtool.suggestions import meant_paths
from wtool.transforms.channel_choice import Choice, Scored
from wtool.transforms.importance import Kind, Part, scores
from wtool.transforms.streams import stream
from wtool.values import dataclass

OPERATION = "shrink"
KEPT = "kept"
"""Key of a record: name of a group -> how many channels it had, and which ones stayed."""


@dataclass(frozen=True, eq=False)
class Kept:
    """Which channels stay.

    Attributes:
        channels: name of a group -> for each of its channels whether it stays, bool; of groups that lose some.
        stays: name of each group that loses none -> why.
    """

    channels: Mapping[str, Array]
    stays: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Returns what a record tells of them: the bits, from the first channel on, as hexadecimal digits."""
        return {
            name: {"of": len(kept), "bits": np.packbits(kept).tobytes().hex()} for name, kept in self.channels.items()
        }


@dataclass(frozen=True, slots=True)
class Scoring:
    """How channels are chosen by their scores.

    Attributes:
        criterion: name of the score.
        only_producers: whether only weights tell that calculate the channels.
        choice: how many go.
        include, exclude: patterns of paths of layers: of a group, all layers that make the channels have to be chosen.
    """

    criterion: str
    only_producers: bool
    choice: Choice
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def kept(self, base: Checkpoint, groups: Sequence[Group], seed: int) -> Kept:
        """Returns which channels stay.

        Args:
            base: has the weights.
            groups: of the base.
            seed: of random scores.

        Raises:
            Usage: a pattern matches no layer that makes channels.
            Refused: weights that count have values that are not finite.
        """
        stays = {group.name: _joined(group.why) for group in groups if group.bound.all()}
        stays |= left_out(groups, self.include, self.exclude)
        named = {tensor.path: tensor for tensor in base.weights}
        scored: dict[str, Scored] = {}
        for group in groups:
            if group.name in stays:
                continue
            parts = self._parts(base, named, group)
            found = scores(self.criterion, parts, group.size, stream(seed, OPERATION, group.name))
            if found is None:
                stays[group.name] = f"no weight has a score by {self.criterion}"
            else:
                scored[group.name] = Scored(found, group.bound | _highest_of_parts(group, found))
        kept = dict(zip(scored, self.choice.kept(list(scored.values())), strict=True))
        stays |= {name: "so few channels go that none of these does" for name, each in kept.items() if each.all()}
        return Kept({name: each for name, each in kept.items() if not each.all()}, stays)

    def _parts(self, base: Checkpoint, named: Mapping[str, Tensor], group: Group) -> Iterator[Part]:
        for member in group.members:
            kind, tensor = _kind(member.role), named[member.path]
            if kind is not None and (member.side == "makes" or not self.only_producers):
                yield Part(member.path, kind, member.axis, member.channels, partial(base.read, tensor))


def _highest_of_parts(group: Group, scores: Array) -> Array:
    """The channel with the highest score of each layer that makes some of the channels: one of them stays."""
    found = np.zeros(group.size, bool)
    for part in group.parts:
        found[np.flatnonzero(part)[::-1][np.argmax(scores[part][::-1])]] = True  # the last of equal ones
    return found


def left_out(groups: Sequence[Group], include: Sequence[str], exclude: Sequence[str]) -> dict[str, str]:
    """Returns the name of each group that patterns leave out -> why.

    Args:
        groups: of a model.
        include, exclude: patterns of paths of layers: of a group, all layers that make the channels have to be chosen.

    Raises:
        Usage: a pattern matches no layer that makes channels.
    """
    paths = {path for group in groups for path in group.layers}
    for pattern in (*include, *exclude):
        if not any(fnmatchcase(path, pattern) for path in paths):
            told = meant_paths(pattern, sorted(paths), "wtool inspect")
            raise Usage(f"no layer that makes channels has a path like {pattern!r}{told}")
    chosen = {
        path
        for path in paths
        if (not include or any(fnmatchcase(path, pattern) for pattern in include))
        and not any(fnmatchcase(path, pattern) for pattern in exclude)
    }
    return {
        group.name: f"{a_few(left)} {'is' if len(left) == 1 else 'are'} left out"
        for group in groups
        if (left := [path for path in group.layers if path not in chosen])
    }


def _joined(reasons: Sequence[str]) -> str:
    return "; ".join(reasons[:2]) + ("; ..." if len(reasons) > 2 else "")


def _kind(role: str) -> Kind | None:
    if role == "gamma":
        return "gamma"
    return "kernel" if role.endswith(("kernel", "embeddings")) else None


def kept_of(shrunk: Checkpoint, groups: Sequence[Group]) -> Kept:
    """Returns which channels stayed of another checkpoint, by its lineage.

    Channels that were taken out of it in several steps go in one step, as far as its records go back.

    Args:
        shrunk: the other checkpoint.
        groups: of the checkpoint of which the same channels are to stay.

    Raises:
        Refused: the lineage does not tell, or tells of other groups.
    """
    records = [record for record in own_records(shrunk.lineage) if record.operation == OPERATION]
    if not records:
        raise Refused("its lineage does not tell which channels `wtool shrink` took out of it", shrunk.name)
    sizes = {group.name: group.size for group in groups}
    chosen, together = None, dict[str, Array]()
    for record in reversed(records):
        for name, own in _told(record, shrunk).items():
            together[name] = _behind(own, together.get(name), name, shrunk)
        if all(sizes.get(name) == len(own) for name, own in together.items()):
            chosen = dict(together)
    if chosen is None:
        name, own = next((name, own) for name, own in together.items() if sizes.get(name) != len(own))
        here = f"has {sizes[name]}" if name in sizes else "does not know them"
        raise Refused(f"it had {len(own)} channels of {name}, and this model {here}", shrunk.name)
    return Kept(chosen, {name: f"{shrunk.name} lost none of these" for name in sizes if name not in chosen})


def _told(record: Record, shrunk: Checkpoint) -> dict[str, Array]:
    """The channels that a record tells of: name of a group -> which ones stayed."""
    told = record.more.get(KEPT)
    try:
        return {name: _unpacked(each["of"], each["bits"]) for name, each in told.items()}  # type: ignore[union-attr]
    except (AttributeError, KeyError, TypeError, ValueError):
        raise Refused("its lineage tells in no way that wtool knows which channels stayed", shrunk.name) from None


def _unpacked(size: int, text: str) -> Array:
    packed = np.frombuffer(bytes.fromhex(text), np.uint8)
    if type(size) is not int or not 0 < size <= 8 * len(packed) < size + 8:
        raise ValueError("as many bits as channels")
    kept: Array = np.unpackbits(packed, count=size).astype(bool)
    return kept


def _behind(before: Array, after: Array | None, name: str, shrunk: Checkpoint) -> Array:
    """Which channels stay after two steps, of which the second saw those that the first one had kept."""
    if after is None:
        return before
    kept: Array = before.copy()
    if np.count_nonzero(before) != len(after):
        raise Refused(f"its lineage tells of {name} that channels came back after they were taken out", shrunk.name)
    kept[before] = after
    return kept
