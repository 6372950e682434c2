"""The variables of a layer: their names, in the order of the file and in the order of creation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import product
from typing import Any

from wtool.errors import Refused
from wtool.schema.layers.entry import LayerClass, Shape
from wtool.schema.layers.quantisation import QUANTISED, quantisation
from wtool.schema.layers.table import TABLE, entry_of
from wtool.values import dataclass

STATISTICS = ("moving_mean", "moving_variance")
"""Variables that training follows without gradients."""

MATRICES = ("kernel", "recurrent_kernel", "pointwise_kernel", "embeddings")
"""What wrappers store a second time: spectral normalisation one of the layer inside, tfmot all."""

CODES = ("kernel", "quantized_kernel", "embeddings", "reverse_embeddings")
"""Variables that hold whole numbers where their layer is quantised."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable as Keras creates it.

    Attributes:
        name: Keras's own name, which is also its role.
        trainable: unless its layer is frozen.
        rank: None where it depends on the input.
        slots: False where optimizers keep none, though it is trainable (scales of float8 training).
        alias: another owner's variable, stored here a second time.
    """

    name: str
    trainable: bool = True
    rank: int | None = None
    slots: bool = True
    alias: bool = False


NAMED = ("idf_weights",)
"""Variables that Keras 3 stores under their names, and not by their number."""


@dataclass(frozen=True, slots=True)
class Variables:
    """The variables of one layer.

    Attributes:
        saved: in the order of Keras-3 files (`vars/0`, `vars/1`, ...).
        created: in the order of legacy files and of optimizer slots; with LoRA factors, which Keras-3 files leave out.
    """

    saved: tuple[Variable, ...]
    created: tuple[Variable, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys under which Keras-3 files have the saved variables: their numbers, but for the names in `NAMED`."""
        return tuple(each.name if each.name in NAMED else str(number) for number, each in enumerate(self.saved))

    @property
    def weights(self) -> tuple[Variable, ...]:
        """The variables in the order of a live layer's `weights`: a kernel that LoRA froze stays where it was."""
        adapted = [variable for variable in self.created if variable.name.startswith("lora_")]
        if not adapted or any(variable.name.endswith("_scale") for variable in self.saved):
            return self.created
        return (*self.saved, *adapted)


_TOKEN = re.compile(r"(?P<name>\w+)(?:/(?P<rank>\d))?(?P<mark>[!~=]?)$")


@cache
def _parse(spec: str, lora: str) -> Variables:
    saved = tuple(_variable(token) for token in spec.split())
    natural = saved + tuple(_variable(token) for token in lora.split())
    created = [v for v in natural if v.trainable] + [v for v in natural if not v.trainable]
    return Variables(saved, tuple(created))


def _variable(token: str) -> Variable:
    match = _TOKEN.match(token)
    assert match is not None, token
    rank, mark = match["rank"], match["mark"]
    return Variable(match["name"], mark != "!", int(rank) if rank else None, mark != "~", mark == "=")


def variants(class_name: str, config: Mapping[str, Any] | None, keras2: bool = False) -> tuple[Variables, ...] | None:
    """The sets of variables that a built-in layer may have, the likeliest first; None if the class is unknown.

    A configuration leaves one or a few (they differ between Keras versions); without one, every combination of the
    flags that decide is tried.

    Raises:
        Refused: a flag in the configuration is not what Keras takes there.
    """
    entry = entry_of(class_name)
    if entry is None or entry.variables is None:
        return None
    return _variants(entry, config, keras2)


def _variants(entry: LayerClass, config: Mapping[str, Any] | None, keras2: bool) -> tuple[Variables, ...]:
    choices = [_choices(flag, config, keras2) for flag in entry.flags]
    found: dict[Variables, None] = {}
    for values in product(*choices):
        flags = dict(zip(entry.flags, values, strict=True))
        flags.setdefault("use_bias", flags.get("bias_axes"))
        assert entry.variables is not None
        spec = entry.variables if isinstance(entry.variables, str) else entry.variables(flags)
        found[_parse(spec, entry.lora if flags.get("lora") else "")] = None
    return tuple(found)


def _choices(flag: str, config: Mapping[str, Any] | None, keras2: bool) -> Sequence[Any]:
    match flag:
        case "keras2":
            return (keras2,)
        case "keras1":
            return (config is not None and is_of_keras1(config),)
        case "masks":
            return (1, 0, 2, 3, 4)  # one for each matrix of the layer inside
        case "quantization":
            return (None, *QUANTISED) if config is None else quantisation(config)
        case "bias_axes":
            return (True, False) if config is None else (bool(config.get("bias_axes")),)
        case "lora":
            return (False,) if config is None else (bool(config.get("lora_rank")),)
        case "concat":
            return (False, True) if config is None else (config.get("score_mode") == "concat",)
        case "slopes":  # those of linked_neurons, whose configurations tell nothing, are in files of Keras 2.3 only
            return (True,) if config is None or "alpha_initializer" in config else (True, False)
        case "given":
            return (False, True) if config is None else (config.get("mean") is not None,)
        case "learned":  # only Keras 2 keeps what Discretization learned
            is_told = config is not None and any(config.get(name) is not None for name in ("bin_boundaries", "bins"))
            return (False, True) if keras2 and not is_told else (False,)
        case "idf":
            return (False, True) if config is None or config.get("output_mode") in ("tf_idf", "tf-idf") else (False,)
    default = flag not in ("renorm", "rms_scaling", "use_scale")
    if config is None:
        return (default, not default)
    return (_boolean(config, "use_scale" if flag == "use_additive_scale" else flag, default),)


def _boolean(config: Mapping[str, Any], flag: str, default: bool) -> bool:
    value = config.get(flag, default)
    if value is None or isinstance(value, bool) or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    raise Refused(f"the model's configuration has {flag} = {value!r:.60}, which is neither true nor false")


def is_of_keras1(config: Mapping[str, Any]) -> bool:
    """Whether the settings of a recurrent layer or a convolution have the names of Keras 1.

    Keras 1 stored arrays for each gate, and an axis of length 1 in the kernel of a Conv1D.
    """
    return any(name in config for name in ("inner_activation", "consume_less", "nb_filter"))


def fitting(choices: Sequence[Variables], shapes: Sequence[Shape]) -> Variables | None:
    """The first set of variables whose number and ranks are those of the stored shapes, in the order of the file."""
    for choice in choices:
        if len(choice.saved) == len(shapes) and all(
            variable.rank in (None, len(shape)) for variable, shape in zip(choice.saved, shapes, strict=True)
        ):
            return choice
    return None


def holds_kernel(class_name: str, config: Mapping[str, Any] | None) -> bool:
    """Whether a built-in layer, or what it is made of, has a kernel or embeddings.

    Raises:
        Refused: a flag in the configuration is not what Keras takes there.
    """
    entry = entry_of(class_name)
    if entry is None:
        return False
    own = (variable for choice in variants(entry.name, config) or () for variable in choice.saved)
    if bool(entry.wraps) or any(variable.name.endswith(("kernel", "embeddings")) for variable in own):
        return True
    return any(holds_kernel(part.class_name, None) for part in entry.parts)


def role_of(shape: Sequence[int], name: str, own_class: bool) -> str:
    """The role of a variable of an unknown layer: by its rank, where its name is not one of Keras's.

    Args:
        shape: of the variable.
        name: what the file calls it; a number tells nothing.
        own_class: the layer is of a class of its author's. Then the names of statistics alone are Keras's, so that one
            model has the same roles in files that tell names and in those that tell none.
    """
    plain = re.sub(r"_\d+$", "", name)
    if plain in (STATISTICS if own_class else _names()):
        return plain
    return "kernel" if len(shape) >= 2 else "bias" if len(shape) == 1 else "unknown"


@cache
def _names() -> frozenset[str]:
    """What Keras calls the variables of its layers."""
    choices = (variants(name, None, keras2) or () for name in TABLE for keras2 in (False, True))
    return frozenset(v.name for each in choices for choice in each for v in choice.created)
