"""safetensors files, read and rewritten as the library of that name reads and writes them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wtool
from tests.fuzzing.zip_writer import archive
from tests.fuzzing.zips import honest
from wtool.errors import Differs, Refused
from wtool.io.limits import MAX_JSON

safetensors = pytest.importorskip("safetensors")

Array = np.ndarray[Any, Any]
TYPES = (
    "float64",
    "float32",
    "float16",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    "bool",
)
NARROW = ("bfloat16", "float8_e4m3fn", "float8_e5m2")


def random_arrays(seed: int = 0) -> dict[str, Array]:
    """An array of every number type, and of unusual shapes."""
    rng = np.random.default_rng(seed)
    found: dict[str, Array] = {name: (rng.normal(size=(3, 4)) * 9).astype(name) for name in TYPES}
    found |= {name: rng.normal(size=(5, 2)).astype(getattr(ml_dtypes, name)) for name in NARROW}
    return {**found, "layers.0.weight": rng.normal(size=(6, 5)).astype("f4"), "one": np.array(3.5, "f4"),
            "none": np.zeros((0, 3), "f4"), "é\n": np.ones(2, "f4")}  # fmt: skip


def write(path: Path, arrays: dict[str, Array], metadata: dict[str, str] | None = None) -> Path:
    """A file that the library wrote."""
    from safetensors.numpy import save_file

    save_file(arrays, path, metadata)
    return path


def read(path: Path) -> dict[str, tuple[str, list[int], bytes]]:
    """Name -> type, shape and bytes of each array, as the library reads them."""
    told = safetensors.deserialize(path.read_bytes())
    return {name: (each["dtype"], each["shape"], bytes(each["data"])) for name, each in told}


def header(path: Path) -> dict[str, Any]:
    """The JSON object at the beginning of a file."""
    data = path.read_bytes()
    found: dict[str, Any] = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return found


def with_header(path: Path, told: Any, data: bytes = b"", length: int | None = None) -> Path:
    """A file with any header."""
    text = told if isinstance(told, bytes) else json.dumps(told).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def test_every_number_type_is_read(tmp_path: Path) -> None:
    arrays = random_arrays()
    with wtool.open_checkpoint(str(write(tmp_path / "m.safetensors", arrays))) as found:
        assert found.format == "safetensors"
        assert {each.path for each in found.tensors} == arrays.keys()
        for tensor in found.tensors:
            values = found.read(tensor)
            assert values.dtype == arrays[tensor.path].dtype
            assert values.shape == arrays[tensor.path].shape
            assert values.tobytes() == arrays[tensor.path].tobytes()


def test_an_average_is_that_of_numpy_and_the_library_reads_it(tmp_path: Path) -> None:
    inputs = [random_arrays(seed) for seed in range(2)]
    paths = [write(tmp_path / f"{seed}.safetensors", arrays, {"format": "pt"}) for seed, arrays in enumerate(inputs)]
    wtool.average(paths, output=tmp_path / "mean.safetensors")
    found = read(tmp_path / "mean.safetensors")
    assert list(header(tmp_path / "mean.safetensors")) == list(header(paths[0]))
    for name in ("float64", "float32", "layers.0.weight", "one"):
        mean = np.average([each[name].astype("f8") for each in inputs], axis=0).astype(inputs[0][name].dtype)
        assert found[name][2] == mean.tobytes()
    assert wtool.average(paths, output=tmp_path / "mean.safetensors").skipped


def test_only_what_is_pruned_changes_and_texts_stay(tmp_path: Path) -> None:
    arrays = random_arrays()
    path = write(tmp_path / "m.safetensors", arrays, {"format": "pt", "z": 'a "quoted" é'})
    wtool.prune(path, sparsity=0.5, include=["layers.0.weight"], output=tmp_path / "p.safetensors")
    old, new = read(path), read(tmp_path / "p.safetensors")
    assert old.keys() == new.keys()
    assert {name for name in old if old[name] != new[name]} == {"layers.0.weight"}
    values = np.frombuffer(new["layers.0.weight"][2], "f4")
    largest = np.sort(np.abs(arrays["layers.0.weight"]).ravel())[15:]
    np.testing.assert_array_equal(np.sort(np.abs(values[values != 0])), largest)
    texts = header(tmp_path / "p.safetensors")["__metadata__"]
    assert texts["z"] == 'a "quoted" é'
    assert json.loads(texts["wtool_lineage"])[0]["operation"] == "prune"
    assert (8 + int.from_bytes((tmp_path / "p.safetensors").read_bytes()[:8], "little")) % 8 == 0


def test_a_result_that_another_program_changed_is_made_again(tmp_path: Path) -> None:
    path, out = write(tmp_path / "m.safetensors", random_arrays()), tmp_path / "p.safetensors"
    wtool.prune(path, sparsity=0.5, output=out)
    assert wtool.prune(path, sparsity=0.5, output=out)[0].skipped
    data = bytearray(out.read_bytes())
    data[-1] ^= 1
    out.write_bytes(data)
    with pytest.raises(wtool.WtoolError, match="exists"):
        wtool.prune(path, sparsity=0.5, output=out)


def test_an_operation_in_place_keeps_the_history(tmp_path: Path) -> None:
    path = write(tmp_path / "m.safetensors", random_arrays())
    wtool.prune(path, sparsity=0.5, in_place=True)
    wtool.stroke(path, volatility_ratio=0.1, seed=1, in_place=True)
    assert [each["operation"] for each in wtool.inspect(path)["lineage"]] == ["prune", "stroke"]


@pytest.mark.parametrize(
    ("name", "shape", "role"),
    [
        ("layers.0.weight", (2, 3), "kernel"),
        ("norm.weight", (3,), "gamma"),
        ("embed_tokens.weight", (9, 2), "embeddings"),
        ("fc.bias", (3,), "bias"),
        ("bn.running_var", (3,), "moving_variance"),
        ("bn.num_batches_tracked", (), "unknown"),
        ("dense_1/kernel", (2, 2), "kernel"),
        ("bn/gamma", (2,), "gamma"),
    ],
)
def test_names_of_other_libraries_tell_roles(tmp_path: Path, name: str, shape: tuple[int, ...], role: str) -> None:
    (tensor,) = wtool.inspect(write(tmp_path / "m.safetensors", {name: np.ones(shape, "f4")}))["tensors"]
    assert (tensor["path"], tensor["role"]) == (name, role)
    assert tensor["layer"] == name.replace("/", ".").rpartition(".")[0]


# --- files from strangers ---

ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
PLACED = {"arrays": {"a": "layers/dense/vars/0"}, "groups": {}}


def placed(**changed: Any) -> dict[str, Any]:
    return {"__metadata__": {"wtool_places": json.dumps({**PLACED, **changed})}, "a": ONE}


@pytest.mark.parametrize(
    ("told", "match"),
    [
        ({"a": {**ONE, "shape": [3]}}, "takes 12 bytes, but its data_offsets tell 8"),
        ({"a": {**ONE, "shape": [2.0]}}, "no lists of sizes"),
        ({"a": {**ONE, "shape": [True, 2]}}, "no lists of sizes"),
        ({"a": {**ONE, "shape": [-1, -2]}}, "no lists of sizes"),
        ({"a": {**ONE, "data_offsets": [0, 8, 8]}}, "no lists of sizes"),
        ({"a": {**ONE, "data_offsets": [8, 0]}}, "takes 8 bytes, but its data_offsets tell -8"),
        ({"a": {**ONE, "shape": [0, 1 << 62]}}, "larger than any array"),
        ({"a": {**ONE, "shape": [1] * 33}}, "33 dimensions"),
        ({"a": {**ONE, "dtype": "F4"}}, "is of type 'F4'"),
        ({"a": {**ONE, "dtype": None}}, "is of type None"),
        ({"a": {**ONE, "more": 1}}, "not just a dtype"),
        ({"a": [ONE]}, "not just a dtype"),
        ({"": ONE}, "no name"),
        ({"a": {**ONE, "data_offsets": [4, 12]}}, "belong to no array"),
        ({"a": {**ONE, "shape": [1], "data_offsets": [0, 4]}}, "the file has 8 behind the header"),
        ({}, "the file has 8 behind the header"),
        ({"__metadata__": {"a": 1}, "a": ONE}, "something else than texts"),
        ({"__metadata__": [], "a": ONE}, "something else than texts"),
        (placed(arrays={}), "table of other arrays"),
        (placed(arrays={"b": "vars/0"}), "table of other arrays"),
        (placed(arrays={"a": 1}), "no table of places"),
        (placed(groups={"x": {"name": 1}}), "no table of places"),
        (placed(arrays={"a": "x//0"}), "no place in an HDF5 file"),
        (placed(arrays={"a": "x/" * 300 + "0"}), "no place in an HDF5 file"),
        (placed(groups={"layers/dense/vars/0": {}}), "as an array and as a group"),
    ],
)  # fmt: skip
def test_strange_headers_are_refused(tmp_path: Path, told: Any, match: str) -> None:
    path = with_header(tmp_path / "m.safetensors", told, bytes(8))
    with pytest.raises(Refused, match=match):
        wtool.inspect(path)
    assert [each.severity for each in wtool.check(path).findings] == ["damaged"]


@pytest.mark.parametrize(
    ("told", "match"),
    [
        (b'{"a":%b,"a":%b}' % ((json.dumps(ONE).encode(),) * 2), "twice"),
        ({"a": ONE, "b": ONE}, "within the array before it"),
        (b'{"a": {"dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551616]}}', "64 bits"),
        (placed(arrays={"a": "layers/dense/vars/0"}), "a is in the place of dense/kernel"),
    ],
)
def test_headers_that_readers_take_in_two_ways_differ(tmp_path: Path, told: Any, match: str) -> None:
    if isinstance(told, dict) and "__metadata__" in told:
        told["a"] = {**ONE, "shape": [1, 2]}
    path = with_header(tmp_path / "m.safetensors", told, bytes(8))
    with pytest.raises(Differs, match=match):
        wtool.inspect(path)


def test_lengths_beyond_the_file_or_the_limit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="its header takes 1,000 bytes"):
        wtool.inspect(with_header(tmp_path / "m.safetensors", {"a": ONE}, bytes(8), 1000))
    with pytest.raises(Refused, match="the limit is"):
        wtool.inspect(with_header(tmp_path / "m.safetensors", {"a": ONE}, bytes(8), MAX_JSON + 1))


def test_an_archive_behind_it_or_hdf5_within_it_is_another_reading(tmp_path: Path) -> None:
    path = write(tmp_path / "m.safetensors", {"a": np.frombuffer(archive(honest()), "u1")})
    with pytest.raises(Differs, match="zip archive"):
        wtool.inspect(path)
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file["layers/dense/vars/0"] = np.ones((2, 2))
    text = json.dumps({"a": {"dtype": "U8", "shape": [len(out.getvalue())], "data_offsets": [0, len(out.getvalue())]}})
    with pytest.raises(Differs, match="HDF5"):
        wtool.inspect(with_header(path, text.encode().ljust(504), out.getvalue()))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 20) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets"]), inner)
    ),
    max_leaves=8,
)
SIZES = st.lists(st.integers(0, 3), max_size=3)
ENTRY = st.fixed_dictionaries(
    {"dtype": st.sampled_from(["F32", "BF16", "I8", "F8_E5M2"]), "shape": SIZES, "data_offsets": st.just([0, 8])}
)


@settings(max_examples=50, deadline=None)
@given(told=st.dictionaries(st.sampled_from(["a", "b", "__metadata__", ""]), JSON | ENTRY, max_size=3))
def test_whatever_a_header_says_the_library_reads_the_same(tmp_path_factory: Any, told: Any) -> None:
    path = with_header(tmp_path_factory.mktemp("x") / "m.safetensors", told, bytes(range(8)))
    try:
        with wtool.open_checkpoint(str(path)) as found:
            mine = {each.path: found.read(each).tobytes() for each in found.tensors}
    except wtool.WtoolError:
        return
    assert mine == {name: data for name, (_, _, data) in read(path).items()}
