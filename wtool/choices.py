"""What options may say: one list for the command line and for Python, cheap to import."""

from __future__ import annotations

from collections.abc import Collection

from wtool.errors import Usage

ORDERS = ("natural", "given", "mtime")
"""From oldest to newest: by path with numbers as numbers, as given, or by time of change."""

OPTIMIZER_MODES = ("keep", "follow", "reset", "drop")
"""What becomes of an optimizer when weights were rewritten."""

STATISTICS_OF_AVERAGES = ("average", "pool", "newest")
"""What becomes of the statistics of batch normalisation in an average."""

STATISTICS_OF_MERGES = ("average", "pool", "first")
"""What becomes of the statistics of batch normalisation in a merge."""

CONVERSION_FORMATS = ("keras", "h5", "weights.h5", "weights.json", "safetensors")
"""The formats that a conversion writes; in `Checkpoint.format` they have the same names."""

OPTIMIZER_CONVERSIONS = ("keep", "drop")
"""What becomes of an optimizer when its model is converted."""

COMPRESSIONS = ("gzip", "none")
"""How arrays are stored in HDF5 files; in `Checkpoint.compression` they have the same names."""

STORED_DTYPES = ("float16", "bfloat16", "float32")
"""The number types in which weights may be stored, whatever the model computes in."""

QUANTISATIONS = ("int8",)
"""The codes that kernels may become."""

MODES = ("min", "max")
"""Which values of a loss or metric are better."""

SCOPES = ("tensor", "global")
"""What a sparsity is a share of: each tensor, or all selected ones together."""

CHANNEL_SCOPES = ("layer", "global")
"""What a sparsity of channels is a share of: those of each layer, or of all layers together."""

MEMBERS = ("all", "producer")
"""Which weights tell how much a channel matters: all that have the channel, or those that calculate it."""

ARMS = ("rewind", "jitter", "randomize", "reshuffle", "constant", "none", "dense-new")
"""What the tickets of a lottery experiment start from: `none` is what they were trained to.

`dense-new` is no ticket, but the network without pruning from new initial weights.
"""

PRUNED = ("zero", "initial")
"""What the pruned weights of a ticket are: zero, or their initial values, which training holds."""

BUDGETS = ("uniform", "uniform+", "erk", "lamp", "global")
"""How a sparsity is spread over tensors."""

KEEP = ("all", "tickets", "last")
"""Which checkpoints of a lottery experiment stay."""

FILLS = ("zero", "initializer", "mirror")
"""What weights of new inputs get: zero; fresh initial values; the negative of their counterpart's."""


def check_choice(chosen: str, what: str, known: Collection[str]) -> None:
    """Raise Usage unless the choice is known: from Python, words come unchecked."""
    if chosen not in known:
        raise Usage(f"{chosen!r} is no {what}; choose {', '.join(known)}")
