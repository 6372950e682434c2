"""Options of `wtool.pack`. This module imports no NumPy, so that `--help` is instant."""

from __future__ import annotations

from wtool.choices import COMPRESSIONS, QUANTISATIONS, STORED_DTYPES
from wtool.option import Checked, option
from wtool.values import dataclass


@dataclass(frozen=True, kw_only=True)
class Pack(Checked):
    """Store models in fewer bytes, as files that stock Keras loads: arrays are deflated inside their HDF5 files.

    All values stay, to the bit, unless --dtype or --quantize rounds the weights. Arrays with many zeros, as pruning
    leaves them, become as small as gzip makes them; dense ones save a tenth. Other commands read packed models and pack
    what they make of them again. `--compression none` makes the arrays plain again.

    Examples:
        wtool pack pruned.keras -o small.keras
        wtool pack zoo/ -o packed/ --drop-optimizer
        wtool pack small.keras --compression none -o plain.keras
        wtool pack model.keras --dtype float16 -o half.keras
        wtool pack model.keras --quantize int8 -o int8.keras
        wtool pack pruned-by-tfmot.h5 --strip --drop-optimizer -o stripped.h5
        >>> wtool.pack("pruned.keras", output="small.keras")  # doctest: +SKIP
    """

    compression: str = option("gzip", "Of the arrays.", choices=COMPRESSIONS, noun="compression")
    dtype: str | None = option(
        None,
        "Store the weights in this number type; the model computes in its own.",
        choices=STORED_DTYPES,
        noun="number type",
    )
    quantize: str | None = option(
        None,
        "Make integer codes of kernels and embeddings, as Keras 3's `model.quantize` does.",
        choices=QUANTISATIONS,
        noun="quantisation",
    )
    drop_optimizer: bool = option(False, "The same as --optimizer drop.")
    policy: bool = option(False, "With --dtype: the layers compute in this number type as well.")
    strip: bool = option(False, "Take away the wrappers in which tfmot prunes layers, with their masks and thresholds.")
