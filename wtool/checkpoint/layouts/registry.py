"""All layouts that the opener knows, and the extensions of their files. A new format is one module, a sign by which
its files are known (`signs`), and an entry here.

Each is imported when a file of its kind is opened: most commands see one kind.
"""

from __future__ import annotations

import os

from wtool.checkpoint.layouts import signs
from wtool.checkpoint.layouts.layout import Layout
from wtool.io.addresses import name_of

HDF5 = {
    "h5": (".h5", ".hdf5"),
    "weights.h5": (".weights.h5",),
    "h5-weights": (".h5", ".hdf5", ".weights.h5"),
}

LAYOUTS = (
    Layout("keras_archive", {"keras": (".keras",)}, signs.is_archive),
    Layout("safetensors", {signs.SAFETENSORS: (".safetensors",)}, signs.is_safetensors),
    Layout("hdf5_file", HDF5, signs.is_hdf5),
    Layout("shards", {"weights.json": (".weights.json",)}, signs.is_json),
)

EXTENSIONS = {name: endings for layout in LAYOUTS for name, endings in layout.extensions.items()}
"""Format -> extensions under which Keras opens a file of that format, the usual one first."""

KEPT = (".keras", ".lora.h5")
"""Extensions that results keep whatever their format: TensorFlow 2 called HDF5 `.keras`, KerasHub calls adapters so."""

ALL = frozenset(suffix for suffixes in (*EXTENSIONS.values(), KEPT) for suffix in suffixes)


def format_of(path: str) -> str | None:
    """Returns the format that the ending of a path promises, such as `h5` for `x.hdf5`; None for any other ending."""
    own = extension(path).lower()
    return next((name for name, endings in EXTENSIONS.items() if own in endings), None)


def extension(path: str) -> str:
    """Returns what follows a model's stem, with both parts of `.weights.h5`, `.weights.json` and `.lora.h5`."""
    name = name_of(path)
    for long in (".weights.h5", ".weights.json", ".lora.h5"):
        if name.lower().endswith(long):
            return name[-len(long) :]
    return os.path.splitext(name)[1]
