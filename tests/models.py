"""Models to test on, read and made without wtool: zipfile, h5py and NumPy only."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np

FIXTURES = Path(__file__).parent.parent / "fixtures"
ZOO = Path(os.environ.get("WTOOL_ZOO", FIXTURES / "zoo"))
HOSTILE = Path(os.environ.get("WTOOL_HOSTILE", FIXTURES / "hostile"))
BLOBS = [FIXTURES / "blobs" / f"ckpt-{epoch}.keras" for epoch in range(91, 101)]
OF_EACH_KIND = [
    BLOBS[0],
    FIXTURES / "bn" / "ckpt-9.h5",
    FIXTURES / "bn" / "ckpt-9.weights.h5",
    ZOO / "k3.15.1" / "mlp.keras",
    ZOO / "tf2.10" / "mlp_weights_only.h5",
]
"""Small models of the formats that a pass writes in other ways."""

WEIGHTS = "model.weights.h5"

Array = np.ndarray[Any, Any]


def hdf5_bytes(path: Path) -> bytes:
    """The HDF5 file that holds a model's weights."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return archive.read(WEIGHTS)
    return path.read_bytes()


def arrays(path: Path) -> dict[str, Array]:
    """Path inside the HDF5 file -> values, of everything that is stored; bfloat16 as such."""
    found: dict[str, Array] = {}

    def visit(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset):
            value = np.asarray(item[()])
            found[name] = value.view(ml_dtypes.bfloat16) if value.dtype.kind == "V" else value

    with h5py.File(io.BytesIO(hdf5_bytes(path)), "r") as file:
        file.visititems(visit)
    return found


def extents(path: Path) -> list[tuple[str, int, int]]:
    """Name, first byte and byte behind the last of every array in the HDF5 file."""
    found: list[tuple[str, int, int]] = []

    def visit(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset) and item.id.get_offset() is not None:
            found.append((name, item.id.get_offset(), item.id.get_offset() + item.id.get_storage_size()))

    with h5py.File(io.BytesIO(hdf5_bytes(path)), "r") as file:
        file.visititems(visit)
    return sorted(found, key=lambda each: each[1])


def config_of(path: Path) -> Any:
    """The configuration in a whole model, as its JSON says it."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read("config.json"))
    with h5py.File(path) as file:
        return json.loads(str(file.attrs["model_config"]))


def changed(path: Path, target: Path, change: Callable[[str, Array], Array], text: Any = None) -> Path:
    """A copy of a model with `change(name, values)` in place of every array, and `text` applied to its config.json."""
    data = io.BytesIO(hdf5_bytes(path))
    new = {name: np.asarray(change(name, value)).astype(value.dtype) for name, value in arrays(path).items()}
    with h5py.File(data, "r+") as file:
        for name, value in new.items():
            file[name][...] = value.view("V2") if value.dtype == ml_dtypes.bfloat16 else value
    if not zipfile.is_zipfile(path):
        target.write_bytes(data.getvalue())
        return target
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as archive:
        for member in old.infolist():
            content = data.getvalue() if member.filename == WEIGHTS else old.read(member)
            if text is not None and member.filename == "config.json":
                content = text(content.decode()).encode()
            archive.writestr(member, content)
    return target


def noisy(path: Path, folder: Path, count: int, seed: int = 0) -> list[Path]:
    """`count` copies whose floating weights (not the optimizer's) differ by noise, named ckpt1, ckpt2, ... ckpt10."""
    rng = np.random.default_rng(seed)

    def change(name: str, value: Array) -> Array:
        if "optimizer" in name or value.dtype.kind not in "fV":
            return value
        return value.astype(np.float64) + rng.normal(scale=0.1, size=value.shape)

    suffix = "".join(path.suffixes[-2:]) if path.name.endswith(".weights.h5") else path.suffix
    return [changed(path, folder / f"ckpt{number}{suffix}", change) for number in range(1, count + 1)]


def nearest(values: Array, dtype: np.dtype[Any]) -> Array:
    """Float64 values rounded once to `dtype`, ties to even: NumPy for its own types, by table for two-byte others."""
    if dtype.kind == "f":
        return values.astype(dtype)
    table = np.arange(2**16, dtype=np.uint16).view(dtype).astype(np.float64)
    codes = np.flatnonzero(np.isfinite(table))
    order = codes[np.argsort(table[codes], kind="stable")]
    sorted_values = table[order]
    at = np.clip(np.searchsorted(sorted_values, values), 1, len(order) - 1)
    low, high = at - 1, at
    nearer_low = np.abs(values - sorted_values[low]) < np.abs(sorted_values[high] - values)
    tie = np.abs(values - sorted_values[low]) == np.abs(sorted_values[high] - values)
    even_low = order[low] % 2 == 0
    return np.where(nearer_low | (tie & even_low), order[low], order[high]).astype(np.uint16).view(dtype)


def cpu_seconds() -> float:
    """Processor time of this process and of the children that ended: a busy machine makes no difference to it."""
    return sum(os.times()[:4])
