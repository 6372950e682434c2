"""All layouts that the opener knows, and the extensions of their files. A new format is one module and its entry here.

A layout whose files another one could recognise as well comes first: an archive is recognised by its first bytes, but
HDF5 also behind a block of other bytes, and JSON text by its first bracket.
"""

from __future__ import annotations

import os

from wtool.checkpoint.layouts import hdf5_file, keras_archive, safetensors, shards
from wtool.io.addresses import name_of

LAYOUTS = (keras_archive.LAYOUT, safetensors.LAYOUT, hdf5_file.LAYOUT, shards.LAYOUT)

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
