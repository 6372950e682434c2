"""From a record of the lineage back to the call that made it: operation, options and inputs.

The planners write records; this module reads them. `tests/ops/test_recorded_calls.py` does every command and holds the
call of its record against the options that the command had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from wtool.checkpoint.lineage import Record
from wtool.errors import WtoolError, a_few, one_line
from wtool.graphs.swap import Swap
from wtool.ops.calls import HASH, Call, arguments_of
from wtool.ops.convert_options import Convert
from wtool.ops.convert_words import MODEL, wishes_of
from wtool.ops.given_values import FILE
from wtool.ops.merge_options import OF_METHODS
from wtool.ops.shrink_options import Shrink
from wtool.option import options_of
from wtool.transforms.registry import REGISTRY, transform

TRAINED = {
    "power-ema": "the weights were averaged while the model was trained",
    "resume": "training again gives other weights",
    "rewind-schedule": "it was made by an experiment of `wtool lottery`",
    "soup": "its models were chosen by scores on data",
    "recalibrate": "its statistics were taken from data with Keras",
}
"""Operation -> why it is not done again."""

COMMANDS = ("recalibrate", "resume", "soup")
"""Those among them that are commands."""

Told = dict[str, Any]


class Unrepeatable(WtoolError):
    """An operation that cannot be done again from what its record tells."""


def call_of(record: Record) -> Call:
    """Returns the call that does again what a record tells.

    Raises:
        Unrepeatable: the record is of an operation that is not done again, or does not tell all that is needed.
    """
    name = record.operation
    reader = _transform if name in REGISTRY else READERS.get(name or "")
    if name in TRAINED:
        raise Unrepeatable(f"{name} cannot be done again: {TRAINED[name]}")
    if reader is None:
        told = "a record without an operation" if name is None else f"{_short(name)!r}"
        raise Unrepeatable(f"{told} is no operation that wtool does again")
    if not record.inputs:
        raise Unrepeatable(f"{name} cannot be done again: its record names no inputs")
    try:
        call = reader(record, dict(record.parameters))
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise Unrepeatable(f"the record of {name} is none that this version of wtool writes ({error!r:.80})") from None
    if record.seed is not None:
        call = replace(call, options={**call.options, "seed": record.seed})
    known = arguments_of(call.operation)
    if strange := [each for each in call.options if each not in known]:
        raise Unrepeatable(f"{call.operation} has no option {a_few(strange)}, which the record of it tells")
    return call


def options_told(record: Record) -> dict[str, Any] | None:
    """Returns the options of an operation that differ from the defaults; None where its record tells other things.

    The operation may be one that is not done again.
    """
    try:
        return call_of(record).chosen
    except Unrepeatable:
        name = str(record.operation)
    seed = {} if record.seed is None else {"seed": record.seed}
    if name not in TRAINED or name not in COMMANDS or not {*record.parameters} <= {*arguments_of(name)}:
        return None
    return Call(name, {**record.parameters, **seed}, ()).chosen


def _transform(record: Record, told: Told) -> Call:
    kind = transform(str(record.operation))
    options = _taken(record, told, [*options_of(kind), "optimizer", "weights", "biases", "include", "exclude"])
    roles = _roles(record)
    (model,) = roles["mask"] if kind.of_initial else roles["model"]
    others = _others(roles, {"initial": "initial"})
    return Call(kind.name, options, (model,), others, others["initial"] if kind.of_initial else model)


def _average(record: Record, told: Told) -> Call:
    method = told.pop("coefficients")
    options: Told = {"order": "given"}
    if isinstance(method, list):
        options["coefficients"] = method
    elif method == "power":
        value = told.pop("power")
        width = value.get("sigma_rel")
        options |= {"power": value["exponent"]} if width is None else {"sigma_rel": width}
    elif method == "linear":
        options["linear"] = True
    elif method != "equal":
        options[{"exp": "decay", "alpha": "alpha"}[method]] = told.pop(method)
    options |= _taken(record, told, ["optimizer", "allow_nonfinite", "bn", "include", "exclude"])
    return Call("average", options, _all(record), base=len(record.inputs) - 1)


def _merge(record: Record, told: Told) -> Call:
    own = [name.rstrip("_") for name in OF_METHODS]
    options = _taken(record, told, ["method", *own, "optimizer", "bn", "include", "exclude"])
    options = {f"{name}_" if f"{name}_" in OF_METHODS else name: value for name, value in options.items()}
    roles = _roles(record)
    return Call("merge", options, tuple(roles["model"]), _others(roles, {"base": "base"}), roles["model"][0])


def _ema(record: Record, told: Told) -> Call:
    options = _taken(record, told, ["sigma_rel", "step", "optimizer"])
    models = _all(record) if "sigma_rel" in options else tuple(_roles(record)["model"])
    return Call("ema", options, models, base=models[-1])


def _align(record: Record, told: Told) -> Call:
    options = _taken(record, told, ["restarts", "iterations", "lock", "optimizer"])
    return _of_model("align", record, options, {"to": "reference"})


def _swap(record: Record, told: Told) -> Call:
    return _of_model("swap", record, _taken(record, told, [*options_of(Swap), "optimizer", "force"]))


def _shrink(record: Record, told: Told) -> Call:
    return _of_model("shrink", record, _taken(record, told, [*Shrink.choosing(), "optimizer"]), {"like": "shrunk"})


def _pack(record: Record, told: Told) -> Call:
    names = ["compression", "strip", "dtype", "policy", "optimizer", "quantize"]
    return _of_model("pack", record, _taken(record, told, names))


def _convert(record: Record, told: Told) -> Call:
    shape = told.pop("input_shape", None)
    options: Told = {
        "replace": [_replacement(layer, entry) for layer, entry in told.pop("replace", {}).items()],
        "rename": [f"{old}={new}" for old, new in told.pop("rename", {}).items()],
        "attribute": [f"{layer or MODEL}={','.join(names)}" for layer, names in told.pop("attribute", {}).items()],
        "input_shape": None if shape is None else ",".join("none" if each is None else f"{each:d}" for each in shape),
        "shard_size": _none_or(str, told.pop("shard_size", None)),
    }
    options |= {name: _hash(told.pop(name)) for name in ("architecture", "map") if name in told}
    options |= _taken(record, told, ["to", "optimizer", "unzipped", "transpose"])
    options = {name: value for name, value in options.items() if value not in (None, [])}
    _refuse_other_words(record, options)
    if "weights" in _roles(record):
        return _of_model("convert", record, options, {"like": "like"}, model="weights")
    return _of_model("convert", record, options)


def _patch(record: Record, told: Told) -> Call:
    if "patch" in told:
        options = {"patch": _hash(told.pop("patch")), **_taken(record, told, ["reverse"])}
        call = _of_model("patch", record, options)
        return Call(
            call.operation, call.options, call.models
        )  # the records before are those of the patch's other model
    options = {
        "rename": [f"{old}={new}" for old, new in told.pop("rename", {}).items()],
        "set": [_setting(pattern, value) for pattern, value in told.pop("set", {}).items()],
    }
    options |= _taken(record, told, ["include", "exclude", "optimizer"])
    return _of_model("patch", record, {name: each for name, each in options.items() if each != []}, {"source": "from"})


READERS: Mapping[str, Callable[[Record, Told], Call]] = {
    "align": _align,
    "average": _average,
    "convert": _convert,
    "ema": _ema,
    "merge": _merge,
    "pack": _pack,
    "patch": _patch,
    "shrink": _shrink,
    "swap": _swap,
}
"""Operation -> the function that reads its records. One function reads those of all transforms of single models."""


def _taken(record: Record, told: Told, names: Iterable[str]) -> Told:
    """Returns the parameters of a record with some names.

    Raises:
        Unrepeatable: the record tells of other parameters.
    """
    taken = {name: told.pop(name) for name in names if name in told}
    if told:
        raise Unrepeatable(f"the record of {record.operation} tells of {a_few([*map(_short, told)])}, not known here")
    return taken


def _of_model(
    name: str, record: Record, options: Told, further: Mapping[str, str] | None = None, model: str = "model"
) -> Call:
    """Returns the call for one model.

    Args:
        name: of the operation.
        record: of what it did.
        options: of the call.
        further: argument -> role of the input that the argument is.
        model: role of the model.
    """
    roles = _roles(record)
    (index,) = roles[model]
    return Call(name, options, (index,), _others(roles, further or {}), index)


def _others(roles: Mapping[str, Sequence[int]], further: Mapping[str, str]) -> dict[str, int]:
    """Returns argument -> index of its input, of those arguments whose role an input has."""
    return {argument: roles[role][0] for argument, role in further.items() if role in roles}


def _roles(record: Record) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for index, each in enumerate(record.inputs):
        found.setdefault(str(each.told.get("as")), []).append(index)
    return found


def _all(record: Record) -> tuple[int, ...]:
    return tuple(range(len(record.inputs)))


def _hash(value: Any) -> str:
    if not isinstance(value, str) or not HASH.fullmatch(value):
        raise ValueError("no content hash")
    return value


def _setting(pattern: str, value: Any) -> str:
    """Returns the words of `--set` that give tensors a number, or the array in a file."""
    if "=" in pattern:
        raise ValueError("a pattern with =")
    return f"{pattern}={FILE}{_hash(value)}" if isinstance(value, str) else f"{pattern}={float(value)!r}"


def _replacement(layer: str, entry: Mapping[str, Any]) -> str:
    """Returns the words of `--replace` for an entry: settings are JSON, which the words take."""
    import json

    settings = ",".join(f"{key}={json.dumps(value, separators=(',', ':'))}" for key, value in entry["config"].items())
    return f"{layer}={entry['class_name']}{':' if settings else ''}{settings}"


def _refuse_other_words(record: Record, options: Told) -> None:
    """Refuse replacements that came from a file and that words cannot say, or words that name a file."""
    words = [each for name in ("replace", "rename", "attribute") for each in options.get(name, ())]
    if not any(each.lower().endswith(".json") for each in words):
        mine = wishes_of(
            Convert(**{name: options[name] for name in ("replace", "rename", "attribute") if name in options})
        )
        told = (record.parameters.get(name, {}) for name in ("replace", "rename", "attribute"))
        attributes = {layer: list(names) for layer, names in mine.attributes.items()}
        if [mine.replacements, mine.renamed, attributes] == list(told):
            return
    raise Unrepeatable("convert was told of a layer in a file or in words that its record cannot give back")


def _none_or(kind: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else kind(value)


def _short(text: Any) -> str:
    told = one_line(str(text))
    return told if len(told) <= 60 else f"{told[:57]}..."
