"""Patch files: the tensors of the other model come back byte for byte, and of nothing else is anything written."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from itertools import count, permutations
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import wtool
from tests import forkserver
from tests.models import BLOBS, FIXTURES, Array, arrays, changed
from wtool.checkpoint.lineage import UNHASHED
from wtool.checkpoint.patch_text import HASH, TEXT

TYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "F8_E5M2": "u1",
    "I64": "<i8",
    "U8": "u1",
    "BOOL": "u1",
}
"""Name of a number type in safetensors -> how its bytes are made here."""

NUMBERS = count()


def made(before: Path, after: Path, target: Path) -> wtool.PatchMade:
    return wtool.make_patch(before, after, output=target)


def everything(path: Path) -> dict[str, tuple[Any, ...]]:
    """Path of each tensor -> shape, number type and bytes."""
    with wtool.open_checkpoint(str(path)) as model:
        return {each.path: (each.shape, each.dtype, model.read(each).tobytes()) for each in model.tensors}


def written(path: Path, tensors: dict[str, tuple[str, list[int], bytes]]) -> Path:
    """A safetensors file, written without wtool."""
    header, data = {}, b""
    for name, (kind, shape, content) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


SPECIAL = [b"\x00\x00\x00\x80", b"\x00\x00\xc0\x7f", b"\x01\x00\x80\x7f", b"\xff\xff\xff\xff", bytes(4)]
"""Negative zero, two NaNs with payloads, all ones, zero: the bits of float32, and of two halves each."""


@st.composite
def pairs(draw: st.DrawFn, kinds: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tensors of two models of one architecture."""
    before, after = {}, {}
    for number in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(kinds))
        shape = draw(st.lists(st.integers(0, 9), max_size=3))
        width = np.dtype(TYPES[kind]).itemsize
        size = int(np.prod(shape)) * width
        rng = np.random.default_rng(draw(st.integers(0, 2**32)))
        old = np.frombuffer(
            (draw(st.sampled_from(SPECIAL)) * size)[:size] if draw(st.booleans()) else rng.bytes(size), "u1"
        )
        if kind == "BOOL":
            old = old & 1
        new = np.where(rng.random(size) < draw(st.sampled_from([0, 0.1, 1])), np.frombuffer(rng.bytes(size), "u1"), old)
        if kind == "BOOL":
            new = new & 1
        name = f"layer{number}/kernel"
        before[name], after[name] = (kind, shape, old.tobytes()), (kind, shape, new.astype("u1").tobytes())
    return before, after


@pytest.mark.parametrize(
    "kinds", [("F32",), ("F32", "F64"), ("F16", "BF16"), ("F8_E5M2", "U8", "I64", "BOOL")], ids=str
)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_there_and_back(kinds: tuple[str, ...], tmp_path: Path, data: st.DataObject) -> None:
    """200 random pairs in all."""
    old, new = data.draw(pairs(kinds))
    folder = tmp_path / str(next(NUMBERS))
    folder.mkdir()
    before, after = written(folder / "a.safetensors", old), written(folder / "b.safetensors", new)
    found = made(before, after, folder / "d.wpatch")
    assert set(found.changed) == {name for name in old if old[name] != new[name]}
    wtool.patch(before, patch=folder / "d.wpatch", output=folder / "b2.safetensors")
    assert everything(folder / "b2.safetensors") == everything(after)
    wtool.patch(folder / "b2.safetensors", patch=folder / "d.wpatch", reverse=True, output=folder / "a2.safetensors")
    assert everything(folder / "a2.safetensors") == everything(before)
    shutil.rmtree(folder)


MODELS = sorted(
    path
    for path in (FIXTURES / "zoo").rglob("*")
    if path.suffix in (".keras", ".h5") and path.is_file() and "subclass" not in path.name
)


def other_values(name: str, values: Array) -> Array:
    rng = np.random.default_rng(len(name))
    bits = values.view(f"u{values.dtype.itemsize}") if values.dtype.kind in "fV" else values
    if values.dtype.kind not in "fV" or not values.size:
        return values
    where = rng.random(values.shape) < 0.3
    return np.where(where, bits ^ 1, bits).astype(bits.dtype).view(values.dtype)


@pytest.mark.parametrize("source", MODELS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_fixture(source: Path, tmp_path: Path) -> None:
    suffix = ".weights.h5" if source.name.endswith(".weights.h5") else source.suffix
    after = changed(source, tmp_path / f"b{suffix}", other_values)
    made(source, after, tmp_path / "d.wpatch")
    wtool.patch(source, patch=tmp_path / "d.wpatch", output=tmp_path / f"b2{suffix}")
    assert everything(tmp_path / f"b2{suffix}") == everything(after)
    theirs = arrays(after)
    assert {name: each.tobytes() for name, each in arrays(tmp_path / f"b2{suffix}").items()} == {
        name: each.tobytes() for name, each in theirs.items()
    }
    wtool.patch(tmp_path / f"b2{suffix}", patch=tmp_path / "d.wpatch", reverse=True, output=tmp_path / f"a2{suffix}")
    assert everything(tmp_path / f"a2{suffix}") == everything(source)


@pytest.mark.parametrize("kind", ["packed.keras", "packed.h5", "shards.weights.json"])
def test_packed_models_and_shards(kind: str, tmp_path: Path) -> None:
    """A patch is of values: it fits a model that was packed or cut into shards, in both directions."""
    rng = np.random.default_rng(7)
    for number in range(4):
        source, seed = BLOBS[number], int(rng.integers(1 << 30))

        def random(name: str, values: Array, seed: int = seed) -> Array:
            own = np.random.default_rng([seed, len(name), values.size])
            return np.where(own.random(values.shape) < own.random(), own.normal(size=values.shape), values)

        after = changed(source, tmp_path / "b.keras", random)
        suffix = kind[kind.index(".") :]
        files = []
        for name, model in (("a", source), ("b", after)):
            plain = model
            if suffix != ".keras":
                plain = tmp_path / f"{name}-plain{suffix}"
                wtool.convert(model, output=plain, force=True)
            if kind.startswith("packed"):
                wtool.pack(plain, output=tmp_path / f"{name}-packed{suffix}", force=True)
                plain = tmp_path / f"{name}-packed{suffix}"
            files.append(plain)
        wtool.make_patch(*files, output=tmp_path / "d.wpatch", force=True)
        wtool.patch(files[0], patch=tmp_path / "d.wpatch", output=tmp_path / f"c{suffix}", force=True)
        wtool.patch(files[1], patch=tmp_path / "d.wpatch", reverse=True, output=tmp_path / f"d{suffix}", force=True)
        assert everything(tmp_path / f"c{suffix}") == everything(files[1])
        assert everything(tmp_path / f"d{suffix}") == everything(files[0])


def test_tensors_of_many_chunks(tmp_path: Path) -> None:
    """Larger than a block of the loop and a chunk of the code, and in parts equal."""
    rng = np.random.default_rng(1)
    old = rng.normal(size=2_000_001).astype(np.float32)
    new = old.copy()
    new[700_000:1_100_000] *= np.float32(1.001)
    new[-1] = -0.0
    before = written(tmp_path / "a.safetensors", {"x/kernel": ("F32", [2_000_001], old.tobytes())})
    after = written(tmp_path / "b.safetensors", {"x/kernel": ("F32", [2_000_001], new.tobytes())})
    found = made(before, after, tmp_path / "d.wpatch")
    assert found.bytes == (tmp_path / "d.wpatch").stat().st_size < 0.7 * 4 * 400_000
    wtool.patch(before, patch=tmp_path / "d.wpatch", output=tmp_path / "c.safetensors")
    assert everything(tmp_path / "c.safetensors") == everything(after)


def test_a_patch_is_a_safetensors_file(tmp_path: Path) -> None:
    numpy = pytest.importorskip("safetensors.numpy")
    made(BLOBS[0], BLOBS[1], tmp_path / "d.wpatch")
    found = numpy.load_file(tmp_path / "d.wpatch")
    assert all(name.endswith(("/xor", "/ends")) for name in found)


def test_models_of_different_formats(tmp_path: Path) -> None:
    """The patch between two archives changes the same model in any other format."""
    made(BLOBS[0], BLOBS[1], tmp_path / "d.wpatch")
    for name in ("a.h5", "a.safetensors"):
        wtool.convert(BLOBS[0], output=tmp_path / name)
        wtool.patch(tmp_path / name, patch=tmp_path / "d.wpatch", output=tmp_path / f"b-{name}")
        assert everything(tmp_path / f"b-{name}") == everything(BLOBS[1])
    made(BLOBS[0], tmp_path / "b-a.h5", tmp_path / "e.wpatch")
    wtool.patch(BLOBS[0], patch=tmp_path / "e.wpatch", output=tmp_path / "c.keras")
    assert everything(tmp_path / "c.keras") == everything(BLOBS[1])


def stem(path: Path) -> tuple[str, str]:
    return path.parent.name, path.name.split(".")[0].removesuffix("_weights_only")


SAVED = [path for path in sorted((FIXTURES / "zoo").rglob("*")) if path.name.endswith((".keras", ".h5"))]
TWO_FORMATS = [
    (one, other)
    for one, other in permutations(SAVED, 2)
    if stem(one) == stem(other)
    and "bf16" not in one.name  # which an .h5 holds as float32
    and "lora" not in one.name  # which an archive holds merged
    and "shard" not in one.name
]
"""One model in two formats."""


def next_values(name: str, values: Array) -> Array:
    """Other values that depend on the old ones alone, and not on what a file calls its arrays."""
    if values.dtype.kind != "f":
        return values
    bits = values.view(f"u{values.dtype.itemsize}")
    return (bits ^ bits.dtype.type(1)).view(values.dtype)


@pytest.mark.parametrize(("one", "other"), TWO_FORMATS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_one_model_in_two_formats(one: Path, other: Path, tmp_path: Path) -> None:
    """The patch to other values in another format gives these values to the first file, whatever that calls them."""
    here, there = ("".join(path.suffixes[-2:]) if ".weights." in path.name else path.suffix for path in (one, other))
    after = changed(other, tmp_path / f"b{there}", next_values)
    wanted = changed(one, tmp_path / f"wanted{here}", next_values)
    found = made(one, after, tmp_path / "d.wpatch")
    assert found.changed
    wtool.patch(one, patch=tmp_path / "d.wpatch", output=tmp_path / f"a2{here}")
    wtool.patch(after, patch=tmp_path / "d.wpatch", reverse=True, output=tmp_path / f"b2{there}")
    for path, values, old in (
        (tmp_path / f"a2{here}", everything(wanted), everything(one)),
        (tmp_path / f"b2{there}", everything(other), everything(after)),
    ):
        left_out = any("state of an optimizer" in note for note in found.notes)
        metrics = any("metrics" in note for note in found.notes)
        for name, each in everything(path).items():
            stays = (left_out and name.startswith("optimizer/")) or (metrics and name.startswith("metrics/"))
            assert each == (old if stays else values)[name], name


def test_a_patch_between_two_formats_fits_both_sides_in_both(tmp_path: Path) -> None:
    """The names of a tensor in the two files that the patch was made of are both known."""
    folder = FIXTURES / "zoo" / "k3.6.0"
    after = changed(folder / "ema_adamw.weights.h5", tmp_path / "b.weights.h5", next_values)
    made(folder / "ema_adamw.keras", after, tmp_path / "d.wpatch")
    for name in ("ema_adamw.keras", "ema_adamw.weights.h5", "ema_adamw.h5"):
        suffix = name.removeprefix("ema_adamw")
        wanted = changed(folder / name, tmp_path / f"wanted{suffix}", next_values)
        wtool.patch(folder / name, patch=tmp_path / "d.wpatch", output=tmp_path / f"out{suffix}")
        assert everything(tmp_path / f"out{suffix}") == everything(wanted)
        wtool.patch(wanted, patch=tmp_path / "d.wpatch", reverse=True, output=tmp_path / f"back{suffix}")
        assert everything(tmp_path / f"back{suffix}") == everything(folder / name)


@pytest.mark.parametrize("names", [[], {"x/kernel": 3}, {"x/kernel": "z", "y/kernel": "z"}], ids=str)
def test_hostile_names(names: Any, patch: tuple[Path, bytes], tmp_path: Path) -> None:
    model, content = patch
    assert refused(model, with_text(content, lambda told: told | {"version": 2, "names": names}), tmp_path)


def test_names_of_tensors_that_are_not_there(patch: tuple[Path, bytes], tmp_path: Path) -> None:
    """They do no harm: the tensors have the names of the first model."""
    model, content = patch
    names = {"x/kernel": "y/kernel", "y/kernel": "x/kernel", "q": "r"}
    assert refused(model, with_text(content, lambda told: told | {"version": 2, "names": names}), tmp_path) is None


class Scaled:
    """A custom layer, made where Keras is there: a weight of its own, and a layer inside."""

    @staticmethod
    def of(keras: Any) -> Any:
        @keras.saving.register_keras_serializable("tests")
        class ScaledDense(keras.layers.Layer):  # type: ignore[misc, name-defined]
            def __init__(self, units: int, **kwargs: Any) -> None:
                super().__init__(**kwargs)
                self.units = units
                self.dense = keras.layers.Dense(units)

            def build(self, shape: Any) -> None:
                self.scale = self.add_weight(shape=(self.units,), initializer="uniform", name="scale")
                self.dense.build(shape)

            def call(self, x: Any) -> Any:
                return self.dense(x) * self.scale

            def get_config(self) -> dict[str, Any]:
                return {**super().get_config(), "units": self.units}

        return ScaledDense


@pytest.mark.tensorflow
def test_custom_classes_and_wrappers_in_two_formats(tmp_path: Path) -> None:
    """Keras loads what the patch made, and predicts what the other model did."""
    keras = pytest.importorskip("keras")
    own_class = Scaled.of(keras)
    x = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32")
    expected = []
    for seed, name in enumerate(("a.keras", "b.h5")):
        keras.utils.clear_session()  # layers get the same names
        keras.utils.set_random_seed(seed)
        layers = keras.layers
        model = keras.Sequential(
            [
                keras.Input((5, 3)),
                layers.TimeDistributed(layers.Dense(4), name="each"),
                layers.Bidirectional(layers.LSTM(2), name="both"),
                own_class(3, name="own"),
            ]
        )
        model.compile("adam", "mse")
        model.fit(x, np.ones((4, 3)), verbose=0)
        model.save(tmp_path / name)
        expected.append(model.predict(x, verbose=0))
    found = made(tmp_path / "a.keras", tmp_path / "b.h5", tmp_path / "d.wpatch")
    assert not found.added + found.removed
    wtool.patch(tmp_path / "a.keras", patch=tmp_path / "d.wpatch", output=tmp_path / "b2.keras")
    wtool.patch(tmp_path / "b.h5", patch=tmp_path / "d.wpatch", reverse=True, output=tmp_path / "a2.h5")
    for name, values in (("b2.keras", expected[1]), ("a2.h5", expected[0])):
        loaded = keras.models.load_model(tmp_path / name, compile=False)
        np.testing.assert_array_equal(loaded.predict(x, verbose=0), values)


def test_another_model_is_refused(tmp_path: Path) -> None:
    made(BLOBS[0], BLOBS[1], tmp_path / "d.wpatch")
    with pytest.raises(
        wtool.Refused, match=r"is for ckpt-91\.keras, and this is another model: .*/kernel.* other values"
    ):
        wtool.patch(BLOBS[2], patch=tmp_path / "d.wpatch", output=tmp_path / "c.keras")
    with pytest.raises(wtool.Refused, match="with --reverse to go back"):
        wtool.patch(BLOBS[1], patch=tmp_path / "d.wpatch", output=tmp_path / "c.keras")
    other = next(path for path in MODELS if path.name == "ema_adamw.keras")
    with pytest.raises(wtool.Refused, match="it has no"):
        wtool.patch(other, patch=tmp_path / "d.wpatch", output=tmp_path / "c.keras")
    assert [each.name for each in tmp_path.iterdir()] == ["d.wpatch"]


def test_a_model_that_differs_elsewhere_is_refused(tmp_path: Path) -> None:
    kernel = ("F32", [2], np.float32([1, 2]).tobytes())
    other = ("F32", [2], np.float32([1, 3]).tobytes())
    before = written(tmp_path / "a.safetensors", {"x/kernel": kernel, "y/kernel": kernel})
    after = written(tmp_path / "b.safetensors", {"x/kernel": other, "y/kernel": kernel})
    third = written(tmp_path / "c.safetensors", {"x/kernel": kernel, "y/kernel": other})
    made(before, after, tmp_path / "d.wpatch")
    with pytest.raises(wtool.Refused, match="that the patch does not change, some are not the same"):
        wtool.patch(third, patch=tmp_path / "d.wpatch", output=tmp_path / "e.safetensors")
    assert not (tmp_path / "e.safetensors").exists()


def test_what_only_composed_models_could_hold_is_refused(tmp_path: Path) -> None:
    kernel = ("F32", [2], bytes(8))
    before = written(tmp_path / "a.safetensors", {"x/kernel": kernel})
    after = written(tmp_path / "b.safetensors", {"x/kernel": kernel, "y/kernel": kernel})
    with pytest.raises(wtool.Refused, match=r"differs from .*a\.safetensors in y/kernel; only a patch between \.keras"):
        made(before, after, tmp_path / "d.wpatch")
    assert not (tmp_path / "d.wpatch").exists()


def test_an_optimizer_that_is_left_out_and_comes_back(tmp_path: Path) -> None:
    """A patch that removes tensors, and its reverse, which adds them."""
    source = next(path for path in MODELS if path.name == "ema_adamw.keras")
    wtool.convert(source, output=tmp_path / "b.keras", optimizer="drop")
    found = made(source, tmp_path / "b.keras", tmp_path / "d.wpatch")
    assert found.removed
    wtool.patch(source, patch=tmp_path / "d.wpatch", output=tmp_path / "b2.keras")
    assert everything(tmp_path / "b2.keras") == everything(tmp_path / "b.keras")
    wtool.patch(tmp_path / "b2.keras", patch=tmp_path / "d.wpatch", reverse=True, output=tmp_path / "a2.keras")
    assert everything(tmp_path / "a2.keras") == everything(source)


def test_an_optimizer_that_only_one_format_holds(tmp_path: Path) -> None:
    wtool.convert(BLOBS[1], output=tmp_path / "b.safetensors", optimizer="drop")
    found = made(BLOBS[0], tmp_path / "b.safetensors", tmp_path / "d.wpatch")
    assert [note for note in found.notes if "leaves that of" in note]
    (done,) = wtool.patch(BLOBS[0], patch=tmp_path / "d.wpatch", output=tmp_path / "c.keras")
    assert [note for note in done.notes if "whose state stays" in note]
    old, new, after = (everything(path) for path in (BLOBS[0], BLOBS[1], tmp_path / "c.keras"))
    assert all(each == (old if path.startswith("optimizer/") else new)[path] for path, each in after.items())


def with_words(source: Path, target: Path, words: bytes) -> Path:
    """A copy of an archive whose layers have learned other words."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as archive:
        for member in old.infolist():
            archive.writestr(member, words if member.filename.startswith("assets/") else old.read(member))
    return target


def test_models_with_other_vocabularies(tmp_path: Path) -> None:
    source = next(path for path in MODELS if path.name == "text_assets.keras")
    other = with_words(source, tmp_path / "b.keras", b"other\nwords\n")
    with pytest.raises(wtool.Refused, match="vocabularies, or other files of layers, are not those of"):
        made(source, other, tmp_path / "d.wpatch")
    assert not (tmp_path / "d.wpatch").exists()


def test_lineage_is_that_of_the_other_model(tmp_path: Path) -> None:
    wtool.prune(BLOBS[0], sparsity=0.5, output=tmp_path / "b.keras")
    made(BLOBS[0], tmp_path / "b.keras", tmp_path / "d.wpatch")
    (done,) = wtool.patch(BLOBS[0], patch=tmp_path / "d.wpatch", output=tmp_path / "c.keras")
    assert not done.skipped
    with wtool.open_checkpoint(str(tmp_path / "c.keras")) as model:
        assert [each.operation for each in model.lineage] == ["prune", "patch"]
    (done,) = wtool.patch(BLOBS[0], patch=tmp_path / "d.wpatch", output=tmp_path / "c.keras")
    assert done.skipped


@pytest.mark.parametrize("name", ["k3.15.1/mlp.h5", "tf2.10/mlp.h5"])
def test_models_in_h5_that_were_compiled_otherwise(name: str, tmp_path: Path) -> None:
    """The patch brings the training configuration along, and back."""
    source = FIXTURES / "zoo" / name
    after = changed(source, tmp_path / "b.h5", next_values)
    with h5py.File(after, "r+") as file:
        told = json.loads(file.attrs["training_config"])
        file.attrs["training_config"] = json.dumps(told | {"loss": "mae"})
    made(source, after, tmp_path / "d.wpatch")
    wtool.patch(source, patch=tmp_path / "d.wpatch", output=tmp_path / "b2.h5")
    wtool.patch(tmp_path / "b2.h5", patch=tmp_path / "d.wpatch", reverse=True, output=tmp_path / "a2.h5")
    for path, wanted in ((tmp_path / "b2.h5", after), (tmp_path / "a2.h5", source)):
        assert everything(path) == everything(wanted)
        assert {key: each.tobytes() for key, each in arrays(path).items()} == {
            key: each.tobytes() for key, each in arrays(wanted).items()
        }
        with h5py.File(path) as file, h5py.File(wanted) as other:
            configurations = ("training_config", "model_config")
            assert [json.loads(file.attrs[key]) for key in configurations] == [
                json.loads(other.attrs[key]) for key in configurations
            ]
    third = tmp_path / "c.h5"
    shutil.copy(source, third)
    with h5py.File(third, "r+") as file:
        file.attrs["training_config"] = json.dumps(told | {"loss": "mape"})
    with pytest.raises(wtool.Refused, match="compiled otherwise"):
        wtool.patch(third, patch=tmp_path / "d.wpatch", output=tmp_path / "no.h5")
    assert not (tmp_path / "no.h5").exists()


def test_an_h5_that_was_not_compiled(tmp_path: Path) -> None:
    source = FIXTURES / "zoo" / "tf2.10" / "mlp.h5"
    after = tmp_path / "b.h5"
    shutil.copy(source, after)
    with h5py.File(after, "r+") as file:
        del file.attrs["training_config"]
    made(source, after, tmp_path / "d.wpatch")
    wtool.patch(source, patch=tmp_path / "d.wpatch", output=tmp_path / "b2.h5")
    wtool.patch(tmp_path / "b2.h5", patch=tmp_path / "d.wpatch", reverse=True, output=tmp_path / "a2.h5")
    assert everything(tmp_path / "b2.h5") == everything(after)
    assert wtool.diff(tmp_path / "b2.h5", after).equal
    assert wtool.diff(tmp_path / "a2.h5", source).equal
    with h5py.File(tmp_path / "b2.h5") as file:
        assert "training_config" not in file.attrs


def test_equal_models(tmp_path: Path) -> None:
    assert made(BLOBS[0], BLOBS[0], tmp_path / "d.wpatch").changed == ()
    wtool.patch(BLOBS[0], patch=tmp_path / "d.wpatch", output=tmp_path / "c.keras")
    assert everything(tmp_path / "c.keras") == everything(BLOBS[0])


@pytest.fixture(scope="module")
def patch(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A small model, and a patch for it with all codings."""
    folder = tmp_path_factory.mktemp("patch")
    rng = np.random.default_rng(3)
    old = rng.normal(size=300).astype(ml_dtypes.bfloat16)
    few = old.copy()
    few[7] = 5
    names = {"x/kernel": rng.permutation(old), "y/kernel": few}
    before = written(folder / "a.safetensors", {name: ("BF16", [300], old.tobytes()) for name in names})
    after = written(folder / "b.safetensors", {name: ("BF16", [300], each.tobytes()) for name, each in names.items()})
    made(before, after, folder / "d.wpatch")
    return before, (folder / "d.wpatch").read_bytes()


def refused(model: Path, content: bytes, folder: Path) -> str | None:
    """In one line, why a patch is refused; None where it is not. Nothing may be left of it."""
    (folder / "m.wpatch").write_bytes(content)
    out = folder / "out.safetensors"
    try:
        wtool.patch(model, patch=folder / "m.wpatch", output=out)
    except wtool.WtoolError as error:
        told = str(error)
    else:
        out.unlink()
        return None
    assert not out.exists()
    assert "\n" not in told
    assert "bug" not in told
    return told


def test_patches_that_are_cut_short(patch: tuple[Path, bytes], tmp_path: Path) -> None:
    model, content = patch
    assert refused(model, content, tmp_path) is None
    for size in (*range(0, len(content), 37), len(content) - 1):
        assert refused(model, content[:size], tmp_path)


@pytest.mark.parametrize("part", range(4))
def test_patches_with_another_byte(patch: tuple[Path, bytes], part: int, tmp_path: Path) -> None:
    """Every third byte of the file, changed at random."""
    model, content = patch
    rng = np.random.default_rng(part)
    for at in range(part, len(content), 12):
        bad = bytearray(content)
        bad[at] ^= int(rng.integers(1, 256))
        assert refused(model, bytes(bad), tmp_path)


def with_text(content: bytes, change: Any) -> bytes:
    """A patch with another text, its arrays as they were."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    told = json.loads(header["__metadata__"][TEXT])
    header["__metadata__"][TEXT] = json.dumps(change(told))
    header["__metadata__"][HASH] = f"blake3:{blake3(header['__metadata__'][TEXT].encode()).hexdigest()}"
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


HOSTILE = {
    "version": lambda told: told | {"version": 2},
    "no version": lambda told: {},
    "list": lambda told: told | {"changed": []},
    "shape": lambda told: told | {"changed": {k: v | {"shape": [1 << 60]} for k, v in told["changed"].items()}},
    "large": lambda told: told | {"changed": {k: v | {"shape": [1 << 40]} for k, v in told["changed"].items()}},
    "negative": lambda told: told | {"changed": {k: v | {"shape": [-300]} for k, v in told["changed"].items()}},
    "dtype": lambda told: told | {"changed": {k: v | {"dtype": "float_"} for k, v in told["changed"].items()}},
    "object": lambda told: told | {"changed": {k: v | {"dtype": "object"} for k, v in told["changed"].items()}},
    "none": lambda told: told | {"changed": dict.fromkeys(told["changed"])},
    "other hash": lambda told: told | {"changed": {k: v | {"after": UNHASHED} for k, v in told["changed"].items()}},
    "missing": lambda told: told | {"changed": {}},
    "more": lambda told: told | {"changed": told["changed"] | {"z": next(iter(told["changed"].values()))}},
    "tensors": lambda told: (
        told | {"after": told["after"] | {"tensors": {"z": {"shape": [], "dtype": "int8", "hash": ""}}}}
    ),
    "architecture": lambda told: told | {"after": told["after"] | {"architecture": {}}},
    "unchanged": lambda told: told | {"unchanged": 3},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts(name: str, patch: tuple[Path, bytes], tmp_path: Path) -> None:
    model, content = patch
    assert refused(model, with_text(content, HOSTILE[name]), tmp_path)


def test_slots_in_another_order_are_refused_without_a_word_of_other_options(tmp_path: Path) -> None:
    """No option beside a patch file can leave the state of the optimizer out."""
    source = next(path for path in MODELS if path.name == "ema_adamw.keras")
    wtool.convert(source, output=tmp_path / "b.keras", optimizer="drop")
    made(tmp_path / "b.keras", source, tmp_path / "d.wpatch")

    def change(told: Any) -> Any:
        told["after"]["architecture"]["slots"]["optimizer"].reverse()
        return told

    bad = with_text((tmp_path / "d.wpatch").read_bytes(), change)
    (tmp_path / "e.wpatch").write_bytes(bad)
    with pytest.raises(wtool.Refused, match="the new file would be read otherwise than it is meant") as refusal:
        wtool.patch(tmp_path / "b.keras", patch=tmp_path / "e.wpatch", output=tmp_path / "c.keras")
    assert "--optimizer" not in str(refusal.value)
    assert not (tmp_path / "c.keras").exists()


def test_what_is_no_patch(tmp_path: Path) -> None:
    for other in (BLOBS[1], tmp_path / "missing.wpatch", tmp_path):
        with pytest.raises(wtool.WtoolError, match=r"is no patch|No such file|folder"):
            wtool.patch(BLOBS[0], patch=other, output=tmp_path / "c.keras")
    assert not list(tmp_path.iterdir())


def test_the_command(tmp_path: Path) -> None:
    """Written by `wtool diff --patch`, through a pipe too, and applied by `wtool patch`."""

    def run(*words: Any, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = forkserver.python("-m", "wtool", *map(str, words))
        return subprocess.run(command, capture_output=True, cwd=tmp_path, input=given)

    done = run("diff", BLOBS[0], BLOBS[1], "--patch", "-o", "d.wpatch")
    assert done.returncode == 0, done.stderr
    assert f"{(tmp_path / 'd.wpatch').stat().st_size:,} bytes written to d.wpatch".encode() in done.stderr
    assert run("diff", BLOBS[0], BLOBS[1], "--patch", "-o", "-").stdout == (tmp_path / "d.wpatch").read_bytes()
    assert run("patch", BLOBS[0], "d.wpatch", "-o", "b.keras").returncode == 0
    piped = run("patch", BLOBS[0], "-", "-o", "piped.keras", given=(tmp_path / "d.wpatch").read_bytes())
    assert piped.returncode == 0, piped.stderr
    assert everything(tmp_path / "piped.keras") == everything(BLOBS[1])
    assert b"is no patch" in run("patch", BLOBS[0], "-", "-o", "no.keras", given=b"no").stderr
    assert b"only one of the inputs" in run("patch", "-", "-", "-o", "no.keras", given=b"no").stderr
    assert b"- is a single one" in run("patch", BLOBS[0], BLOBS[1], "-", "-o", "no/", given=b"no").stderr
    assert run("patch", "b.keras", "d.wpatch", "--reverse", "-o", "a.keras").returncode == 0
    assert everything(tmp_path / "b.keras") == everything(BLOBS[1])
    assert everything(tmp_path / "a.keras") == everything(BLOBS[0])
    for words in (["--patch", "-o", "d.wpatch"], ["--patch", "--stat"], ["-o", "x"]):
        assert run("diff", BLOBS[0], BLOBS[1], *words).returncode == 2
