"""To what models are converted, and how: the options of a conversion. The command line reads them without NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wtool.choices import CONVERSION_FORMATS, OPTIMIZER_CONVERSIONS
from wtool.option import Checked, option
from wtool.values import dataclass
from wtool.words import Path


@dataclass(frozen=True, kw_only=True)
class Convert(Checked):
    """Turn models of Keras 2 into models of Keras 3, and models of each format into those of another.

    The result computes what the model did; what cannot be kept is refused with the layer and the reason. Neither Keras
    nor the model's code is needed. A result is called like its model, with the ending of its format.

    Examples:
        wtool convert old.h5 -o new.keras
        wtool convert zoo/ -o new-zoo/ -j 2
        wtool convert old.h5 --replace 'scale=Rescaling:scale=2,offset=1'
        wtool convert model.keras --to weights.h5
        wtool convert weights.safetensors --like model.keras -o new.keras
        >>> wtool.convert("old.h5", output="new.keras")  # doctest: +SKIP
    """

    output: Path | None = option(
        None, "A file, a folder for many models (new/), or - for standard output.", short="-o", metavar="PATH"
    )
    to: str | None = option(
        None,
        "Format of the result; by default the ending of --output tells it, else keras.",
        choices=CONVERSION_FORMATS,
        noun="format that can be written",
    )
    replace: Sequence[str] = option(
        (),
        "LAYER=CLASS:key=value,key=value or LAYER=FILE.json: what takes the place of a Lambda layer.",
        metavar="WORDS",
    )
    rename: Sequence[str] = option((), "OLD=NEW: registered names of a custom class.", metavar="WORDS")
    attribute: Sequence[str] = option(
        (), "LAYER=NAME,NAME: attributes in which a custom layer (. for the model) holds its layers.", metavar="WORDS"
    )
    input_shape: str | None = option(
        None, "Shape of an input (28,28,1) that the model does not tell; none for any size.", metavar="SHAPE"
    )
    architecture: Path | None = option(
        None, "What model.to_json() wrote, for a file that has weights alone.", metavar="CONFIG.json"
    )
    like: Path | None = option(None, "A model that gets the weights of the files in place of its own.", metavar="MODEL")
    map: Path | None = option(
        None, "With --like: a JSON object, name of a tensor in the file to path in the model.", metavar="NAMES.json"
    )
    transpose: Sequence[str] = option(
        (), "With --like: names of kernels that stand as in PyTorch, outputs first; * is any text.", metavar="GLOB"
    )
    shard_size: str | None = option(None, "Most bytes of a shard of weights.json (500MB, 2GB).", metavar="SIZE")
    unzipped: bool = option(False, "Write a .keras model as a folder.")
    optimizer: str = option(
        "keep", "What becomes of the optimizer's state.", choices=OPTIMIZER_CONVERSIONS, noun="optimizer mode"
    )
    verify: bool = option(False, "Run the new model with Keras, and the old one where tf_keras is installed.")

    def __post_init__(self) -> None:
        mode: Any = self.optimizer
        if mode is None:
            object.__setattr__(self, "optimizer", type(self).optimizer)
        super().__post_init__()
