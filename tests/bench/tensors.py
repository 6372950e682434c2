"""Read and convert the benchmark's models, in processes of their own (run.py itself stays small).

python tensors.py safetensors DST CKPT...    write DST/<stem>.safetensors for each, with the same tensors
python tensors.py compare A B                exit 1 unless the tensors of two models agree to 1e-6;
                                             a model is a .keras file or a folder of safetensors
python tensors.py merged A B                 the same, without statistics of batch normalisation, which wtool averages
                                             whatever the method; one value in a million may differ, where others
                                             rank magnitudes in float32
"""

from __future__ import annotations

import json
import re
import struct
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np


def tensors(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """The datasets of a .keras file's weights, by HDF5 path; or the tensors of a folder's safetensors."""
    if path.is_dir():
        for part in path.glob("*.safetensors"):
            yield from read_safetensors(part)
        return
    with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as member:
        image = member.read()
    found: dict[str, np.ndarray] = {}

    def visit(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset):
            found[name] = node[()]

    with h5py.File.in_memory(image) as file:
        file.visititems(visit)
    yield from found.items()


def write_safetensors(target: Path, values: dict[str, np.ndarray]) -> None:
    """The format is a length, a JSON header and the bytes; float32 is all that is needed here."""
    header: dict[str, object] = {}
    offset = 0
    for name, value in values.items():
        header[name] = {"dtype": "F32", "shape": value.shape, "data_offsets": [offset, offset + value.nbytes]}
        offset += value.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with target.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for value in values.values():
            out.write(np.ascontiguousarray(value, "<f4").data)


def read_safetensors(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    image = path.read_bytes()
    (size,) = struct.unpack_from("<Q", image)
    for name, entry in json.loads(image[8 : 8 + size]).items():
        if name != "__metadata__":
            start, stop = entry["data_offsets"]
            yield name, np.frombuffer(image[8 + size + start : 8 + size + stop], "<f4").reshape(entry["shape"])


def compare(first: Path, second: Path, but: re.Pattern[str] | None = None, share: float = 0) -> None:
    """Exit unless the tensors of two models agree, but for those called so, and for a share of all values."""
    mine, other = dict(tensors(first)), dict(tensors(second))
    if mine.keys() != other.keys():
        raise SystemExit(f"other tensors: {sorted(mine.keys() ^ other.keys())[:5]}")
    compared = [name for name in mine if but is None or not but.search(name)]
    different = {name: np.sum(~np.isclose(mine[name], other[name], rtol=1e-6, atol=1e-6)) for name in compared}
    if sum(different.values()) > share * sum(mine[name].size for name in compared):
        name = max(different, key=lambda each: different[each])
        raise SystemExit(f"{name} differs by {np.abs(mine[name] - other[name]).max()}")


def main() -> None:
    match sys.argv[1:]:
        case ["safetensors", folder, *paths]:
            for path in map(Path, paths):
                target = Path(folder) / f"{path.stem}.safetensors"
                if not target.exists():
                    partial = target.with_suffix(".partial")
                    write_safetensors(partial, dict(tensors(path)))
                    partial.replace(target)
        case ["compare", first, second]:
            compare(Path(first), Path(second))
        case ["merged", first, second]:
            compare(Path(first), Path(second), re.compile(r"batch_normalization(_\d+)?/vars/[23]$"), 1e-6)
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
