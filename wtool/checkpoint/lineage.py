"""What wtool did to a checkpoint, carried in the file itself.

A list of records, oldest first, as JSON: under `wtool_lineage` in `metadata.json` of a `.keras` file (which Keras never
reads) and in `metadata` of a `.weights.json`; as the root attribute `wtool_lineage` of an HDF5 file.

Records of what was done to another checkpoint that went into the result have a key `of`, which says what that
checkpoint was to the operation.

Files may hold records of later versions and of other tools. The reader takes from them what it understands, and the
writer gives back all of them as they were, to the order of their keys.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import field, replace
from typing import Any

from wtool.errors import Refused, one_line
from wtool.io.addresses import name_of
from wtool.io.json_text import as_read, parse_object
from wtool.values import dataclass
from wtool.version import __version__

KEY = "wtool_lineage"

UNHASHED = "blake3:" + 64 * "0"
"""A text as long as the content hash that takes its place."""

OF = "of"
"""Key of records that were carried along from another input."""

MASKS = "masks"
"""Key of a record under which masks are that zeros do not tell; see `checkpoint.masks`."""

ORDER = (OF, "operation", "parameters", "seed", "wtool", "new", "inputs", MASKS, "result")
"""The keys of a new record, in the order in which they are written."""


@dataclass(frozen=True, slots=True)
class Input:
    """An input of an operation, in its record.

    Attributes:
        name: of its file, without folders; `-` for standard input.
        hashes: content hash of each of its files; none for what came through a pipe as the record before made it, and
            never was a file.
        told: further keys that the operation writes: `as`, `coefficient`, `pruned`, ...
    """

    name: str
    hashes: tuple[str, ...]
    told: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def at(cls, path: str, hashes: Sequence[str], told: Mapping[str, Any]) -> Input:
        """Returns the input at a path. A name that is no UTF-8 is escaped, since it would be no JSON text."""
        return cls(one_line(name_of(path)), tuple(hashes), told)

    @property
    def hash(self) -> str | list[str]:
        """Content hash of the file, or a list of the hashes of several files."""
        return self.hashes[0] if len(self.hashes) == 1 else list(self.hashes)

    def to_json(self) -> dict[str, Any]:
        """Returns the input as JSON values, as the lineage holds it."""
        return {"name": self.name, **self.told, **({"hash": self.hash} if self.hashes else {})}


@dataclass(frozen=True, slots=True)
class Result:
    """What a record says of the result.

    Attributes:
        counts: what the operation counted in it: `selected`, `rewritten`, `zeros`.
        hash: its content hash (see `seal.py`); None while the result is being made.
    """

    counts: Mapping[str, Any] = field(default_factory=dict)
    hash: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the result as JSON values, as the lineage holds it, with its hash last."""
        return {**self.counts, **({} if self.hash is None else {"hash": self.hash})}


@dataclass(frozen=True, slots=True)
class Record:
    """One operation, as the lineage tells it.

    Attributes:
        operation: its name; None in records of others that tell none.
        parameters: all that makes a difference to the result but inputs and seed.
        inputs: the files that took part.
        seed: of the random numbers; None where none were drawn.
        result: what came of it.
        of: what the checkpoint that this was done to was to the operation that carried the record along; None in
            records of the checkpoint itself.
        wtool: the version that did it.
        more: further keys, and those above whose values are not what they are there: written as they are.
        order: keys, in the order in which they are written; the others follow.
    """

    operation: str | None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[Input, ...] = ()
    seed: int | None = None
    result: Result | None = None
    of: str | None = None
    wtool: str | None = __version__
    more: Mapping[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = field(default=ORDER, compare=False)

    @property
    def is_own(self) -> bool:
        """Whether the record tells of the checkpoint itself, and was not carried along from another input."""
        return self.of is None and OF not in self.more

    def to_json(self) -> dict[str, Any]:
        """Returns the record as JSON values, as the lineage holds it."""
        told = dict(self._told())
        told = {name: value for name, value in told.items() if name in self.order or value != {}}
        told.update(self.more)
        keys = dict.fromkeys([*self.order, *told])
        return {name: told[name] for name in keys if name in told}

    def _told(self) -> Iterator[tuple[str, Any]]:
        named = ((OF, self.of), ("operation", self.operation), ("seed", self.seed), ("wtool", self.wtool))
        yield from ((name, value) for name, value in named if value is not None)
        yield "parameters", dict(self.parameters)
        if self.inputs:
            yield "inputs", [each.to_json() for each in self.inputs]
        if self.result is not None:
            yield "result", self.result.to_json()

    def as_read(self) -> dict[str, Any]:
        """Returns the record as a reader of the file gets it: tuples are lists, for instance."""
        found: dict[str, Any] = as_read(self.to_json())
        return found


def lineage_in(holder: Mapping[str, Any]) -> tuple[Record, ...]:
    """Returns the records under `KEY` of a parsed `metadata.json`, or of HDF5 root attributes (there as JSON text).

    Whatever is not a list of objects is somebody else's, and gives no records.
    """
    value = holder.get(KEY)
    if isinstance(value, str):
        with suppress(Refused):
            value = parse_object(f'{{"{KEY}": {value}}}', KEY).get(KEY)
    if not isinstance(value, (list, tuple)):
        return ()
    return tuple(_record(told) for told in value if isinstance(told, dict))


def lineage_json(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Returns the records as JSON values, oldest first."""
    return [record.to_json() for record in records]


def without_masks(told: dict[str, Any]) -> dict[str, Any]:
    """Returns a record, as JSON values, with the names of the tensors whose masks it has, and without these bits."""
    masks = told.get(MASKS)
    return {**told, MASKS: list(masks)} if isinstance(masks, dict) else told


def lineage_text(records: Sequence[Record]) -> str:
    """Returns the records as JSON text in one line; the same records always give the same text."""
    return json.dumps(lineage_json(records), ensure_ascii=True)


def _record(told: Mapping[str, Any]) -> Record:
    """Returns a record from a file. Values that the fields cannot hold exactly are kept in `more`."""
    seed, parameters, inputs, result = (told.get(name) for name in ("seed", "parameters", "inputs", "result"))
    read = Record(
        operation=_text(told.get("operation")),
        parameters=parameters if isinstance(parameters, dict) else {},
        inputs=tuple(_input(each) for each in inputs if isinstance(each, dict)) if isinstance(inputs, list) else (),
        seed=seed if type(seed) is int else None,
        result=_result(result) if isinstance(result, dict) else None,
        of=_text(told.get(OF)),
        wtool=_text(told.get("wtool")),
        order=tuple(told),
    )
    said = read.to_json()
    return replace(read, more={name: value for name, value in told.items() if not _is_said(said, name, value)})


def _is_said(said: Mapping[str, Any], name: str, value: Any) -> bool:
    """Returns whether the fields of a record give a key exactly as in the file: of the same type, in the same order."""
    return name in said and (said[name] is value or json.dumps(said[name]) == json.dumps(value))


def _input(told: Mapping[str, Any]) -> Input:
    hashes = told.get("hash")
    listed = hashes if isinstance(hashes, list) else [hashes]
    rest = {name: value for name, value in told.items() if name not in ("name", "hash")}
    return Input(_text(told.get("name")) or "", tuple(each for each in listed if isinstance(each, str)), rest)


def _result(told: Mapping[str, Any]) -> Result:
    return Result({name: value for name, value in told.items() if name != "hash"}, _text(told.get("hash")))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def last_record(records: Sequence[Record]) -> Record:
    """Returns the last record; an empty one for a checkpoint that wtool has not made."""
    return records[-1] if records else Record(None, wtool=None, order=())


def own_records(records: Sequence[Record]) -> list[Record]:
    """Returns the records of the checkpoint itself, without those that were carried along from other inputs."""
    return [record for record in records if record.is_own]


def orders(records: Sequence[Record]) -> list[Any]:
    """Returns the hash of each new order that the channels of a checkpoint got: what `wtool align` records."""
    return [record.more["permutations"] for record in own_records(records) if "permutations" in record.more]


def carried(name: str, role: str, records: Sequence[Record], base: Sequence[Record]) -> list[Record]:
    """Returns the records that another input than the base brings along: those of a pipe, which are nowhere else.

    Masks stay behind: the result has masks of its own.

    Args:
        name: of the input; `-` for standard input.
        role: what the input is to the operation.
        records: its lineage.
        base: the lineage that they are added to; what it has already is left out.
    """
    if name != "-":
        return []
    new = [record for record in records if record not in base]
    return [
        replace(
            record,
            of=role if record.is_own else record.of,
            more={name: value for name, value in record.more.items() if name != MASKS},
            order=tuple(dict.fromkeys([OF, *record.order])),
        )
        for record in new
    ]


def mask_origin(records: Sequence[Record]) -> dict[str, Any]:
    """Returns the origin of a mask, by its checkpoint's lineage: parameters and seed of the pruning, hash of its model.

    A ticket tells of the mask that it was made with.
    """
    for record in reversed(records):
        if record.operation == "prune":
            told = record.to_json()
            model = next((each.hash for each in record.inputs if each.told.get("as") == "model"), None)
            seed = {"seed": record.seed} if record.seed is not None else {}
            return {"pruned": {"parameters": told.get("parameters"), **seed, "model": model or None}}
        origin = next((each.told["pruned"] for each in record.inputs if "pruned" in each.told), None)
        if origin is not None:
            return {"pruned": origin}
    return {}


def with_result(records: Sequence[Record], hash_: str) -> list[Record]:
    """Returns the records, with the content hash of the result in the last one."""
    if not records:
        return []
    *before, last = records
    counts = last.result.counts if last.result is not None else {}
    return [*before, replace(last, result=Result(counts, hash_))]


def unsealed(record: Record) -> Record:
    """Returns a record without the content hash of its result."""
    counts = record.result.counts if record.result is not None else {}
    return replace(record, result=Result(counts) if counts else None)
