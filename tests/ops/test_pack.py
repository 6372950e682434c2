"""`wtool pack`: h5py and Keras read the same from packed models, and every command works on them."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import pytest

import wtool
from tests import forkserver
from tests.models import BLOBS, FIXTURES, ZOO, changed, hdf5_bytes
from wtool.hdf5 import packing

MODELS = sorted(
    path
    for folder in {FIXTURES / "zoo", ZOO}
    for path in folder.glob("*/*")
    if path.suffix in (".keras", ".h5") and path.is_file()
)


@pytest.fixture
def packs_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has small arrays deflated too, which would save nothing."""
    monkeypatch.setattr(packing, "SMALLEST", 1)
    monkeypatch.setattr(packing, "node_size", lambda rank: -(10**6))


def content(path: Path) -> dict[str, Any]:
    """All that h5py reads from the HDF5 file of a model, but for the lineage."""
    found: dict[str, Any] = {}

    def attributes(item: Any) -> dict[str, str]:
        return {name: repr(value) for name, value in item.attrs.items() if name != "wtool_lineage"}

    def visit(name: str, item: Any) -> None:
        is_array = isinstance(item, h5py.Dataset)
        found[name] = (attributes(item), (item.shape, str(item.dtype), item[()].tobytes()) if is_array else None)

    with h5py.File(io.BytesIO(hdf5_bytes(path)), "r") as file:
        found[""] = attributes(file)
        file.visititems(visit)
    return found


def values(path: Path) -> dict[str, bytes]:
    """What wtool reads: path of each tensor -> its bytes."""
    with wtool.open_checkpoint(str(path)) as checkpoint:
        return {each.path: checkpoint.read(each).tobytes() for each in checkpoint.tensors}


def how_stored(path: Path) -> set[str | None]:
    """The compressions of the arrays of a model that have more than one value."""
    found = set()
    with h5py.File(io.BytesIO(hdf5_bytes(path)), "r") as file:
        file.visititems(lambda _, item: found.add(item.compression) if getattr(item, "size", 0) > 1 else None)
    return found


@pytest.mark.parametrize("model", MODELS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_h5py_reads_the_same_from_packed_models(model: Path, tmp_path: Path, packs_everything: None) -> None:
    suffix = ".weights.h5" if model.name.endswith(".weights.h5") else model.suffix
    small, again = tmp_path / f"small{suffix}", tmp_path / f"again{suffix}"
    try:
        wtool.inspect(model)
    except wtool.WtoolError as error:
        pytest.skip(str(error))
    wtool.pack(model, output=small)
    assert content(small) == content(model)
    wtool.pack(small, compression="none", output=again)
    assert content(again) == content(model)
    assert how_stored(again) <= {None}
    assert values(small) == values(again) == values(model)


# --- all commands on packed models ---

DOINGS: dict[str, Callable[[Path, Path], object]] = {
    "prune": lambda model, out: wtool.prune(model, sparsity=0.5, output=out),
    "stroke": lambda model, out: wtool.stroke(model, seed=1, output=out),
    "average": lambda model, out: wtool.average([model, BLOBS[3]], order="given", output=out),
    "average, drop": lambda model, out: wtool.average([model], optimizer="drop", output=out),
    "rewind": lambda model, out: wtool.rewind(model, initial=BLOBS[0], output=out),
    "swap": lambda model, out: wtool.swap(model, to="linked", output=out),
    "patch": lambda model, out: wtool.patch(model, set=["*/bias=0.5"], output=out),
    "convert": lambda model, out: wtool.convert(model, to="h5", output=out.with_suffix(".h5")),
    "shards": lambda model, out: wtool.convert(model, to="weights.json", output=out.with_suffix(".weights.json")),
    "unzipped": lambda model, out: wtool.convert(model, unzipped=True, output=out.with_suffix("")),
    "safetensors": lambda model, out: wtool.convert(model, output=out.with_suffix(".safetensors")),
}


@pytest.mark.parametrize("doing", DOINGS)
def test_results_of_packed_models_are_packed_and_the_same(doing: str, tmp_path: Path, packs_everything: None) -> None:
    small = tmp_path / "small.keras"
    wtool.pack(BLOBS[9], output=small)
    (tmp_path / "packed").mkdir()
    (tmp_path / "plain").mkdir()
    DOINGS[doing](small, tmp_path / "packed" / "out.keras")
    DOINGS[doing](BLOBS[9], tmp_path / "plain" / "out.keras")
    (model, *_) = sorted(each for each in (tmp_path / "plain").iterdir() if "_0" not in each.name)
    made = tmp_path / "packed" / model.name
    assert values(made) == values(model)
    with wtool.open_checkpoint(str(made)) as checkpoint:
        is_from_plain = doing in ("average", "rewind") or doing == "safetensors"
        assert checkpoint.compression == ("none" if is_from_plain else "gzip")


def test_packing_again_is_skipped_and_a_changed_result_is_made_again(tmp_path: Path, packs_everything: None) -> None:
    for source in (BLOBS[0], FIXTURES / "zoo" / "k2.2.4" / "nested_frozen.h5"):
        out = tmp_path / f"out{source.suffix}"
        (first,) = wtool.pack(source, output=out)
        (second,) = wtool.pack(source, output=out)
        assert (first.skipped, second.skipped) == (False, True)
        assert (first.before, first.after, second.after) == (source.stat().st_size, *[out.stat().st_size] * 2)
        data = bytearray(out.read_bytes())
        data[len(data) // 2] ^= 1
        out.write_bytes(data)
        with pytest.raises(wtool.WtoolError, match="exists"):
            wtool.pack(source, output=out)


def test_the_optimizer_is_left_out_on_wish(tmp_path: Path, packs_everything: None) -> None:
    small = tmp_path / "small.keras"
    wtool.pack(BLOBS[0], output=small)
    wtool.pack(small, optimizer="drop", output=tmp_path / "bare.keras")
    wtool.pack(BLOBS[0], optimizer="drop", output=tmp_path / "too.keras")
    assert how_stored(tmp_path / "bare.keras") == how_stored(tmp_path / "too.keras") == {"gzip"}
    kept = {path: each for path, each in values(BLOBS[0]).items() if not path.startswith("optimizer")}
    assert values(tmp_path / "bare.keras") == values(tmp_path / "too.keras") == kept
    wtool.pack(BLOBS[0], drop_optimizer=True, output=tmp_path / "word.keras")
    assert (tmp_path / "word.keras").read_bytes() == (tmp_path / "too.keras").read_bytes()


def test_safetensors_files_are_refused(tmp_path: Path) -> None:
    wtool.convert(BLOBS[0], output=tmp_path / "model.safetensors")
    with pytest.raises(wtool.Refused, match="safetensors files hold plain arrays alone"):
        wtool.pack(tmp_path / "model.safetensors")


def test_the_command_tells_sizes(tmp_path: Path) -> None:
    command = forkserver.python("-m", "wtool", "pack", str(BLOBS[0]), "-o", "out.keras")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    before, after = BLOBS[0].stat().st_size, (tmp_path / "out.keras").stat().st_size
    assert f"{before:,} bytes before, {after:,} after" in done.stderr
    assert "gzip -9 would make about " in done.stderr
    dry = subprocess.run([*command, "-n", "--json", "-f"], cwd=tmp_path, capture_output=True, text=True, check=True)
    told = json.loads(dry.stdout)
    assert (told["before"], told["after"]) == (before, None)
    plain = subprocess.run([*command, "-f", "--compression", "none"], cwd=tmp_path, capture_output=True, text=True)
    assert f"{before:,} bytes before" in plain.stderr
    assert "gzip" not in plain.stderr  # to tell it takes as long as all the work


def test_what_is_not_packed_is_as_before(tmp_path: Path) -> None:
    (done,) = wtool.pack(BLOBS[0], output=tmp_path / "out.keras")
    larger = (tmp_path / "out.keras").stat().st_size - BLOBS[0].stat().st_size
    assert f"the result is {larger:,} bytes larger: its arrays are too small to become smaller deflated" in done.notes
    assert how_stored(tmp_path / "out.keras") == {None}
    assert content(tmp_path / "out.keras") == content(BLOBS[0])


# --- other number types ---


@pytest.mark.parametrize("compression", ["gzip", "none"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("name", ["k3.15.1/mlp.keras", "k3.15.1/quant_int8.keras", "k2.2.4/nested_frozen.h5"])
def test_weights_are_rounded_and_slots_stay(name: str, dtype: str, compression: str, tmp_path: Path) -> None:
    model = FIXTURES / "zoo" / name
    out = tmp_path / f"out{model.suffix}"
    if dtype == "bfloat16" and model.suffix == ".h5":
        with pytest.raises(wtool.Refused, match="choose float16"):
            wtool.pack(model, dtype=dtype, output=out)
        return
    (done,) = wtool.pack(model, dtype=dtype, compression=compression, output=out)
    target = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    largest = 0.0
    with wtool.open_checkpoint(str(model)) as old, wtool.open_checkpoint(str(out)) as new:
        for before, after in zip(old.tensors, new.tensors, strict=True):
            values = old.read(before)
            is_cast = before.slot is None and before.dtype == "float32" and not before.role.endswith("_scale")
            assert before.path == after.path
            assert after.dtype == (dtype if is_cast else before.dtype)
            assert new.read(after).tobytes() == (values.astype(target) if is_cast else values).tobytes()
            if is_cast:
                largest = max(largest, float(np.abs(values.astype(target).astype("f8") - values).max()))
    told = [note for note in done.notes if " moves values by up to " in note]
    assert [note.split()[6] for note in told] == ([f"{largest:.3g}"] if largest else [])


def test_values_that_would_be_infinite_are_refused(tmp_path: Path) -> None:
    model = changed(BLOBS[0], tmp_path / "large.keras", lambda name, a: a * 0 + 70000 if name.endswith("vars/0") else a)
    with pytest.raises(wtool.Refused, match=r"float16 cannot hold values of .*/kernel \(50 values, up to 7e\+04\)"):
        wtool.pack(model, dtype="float16", output=tmp_path / "out.keras")
    assert not (tmp_path / "out.keras").exists()


def test_values_that_become_zero_are_counted(tmp_path: Path) -> None:
    model = changed(BLOBS[0], tmp_path / "tiny.keras", lambda name, a: a * 0 + 1e-9 if a.shape == (25, 3) else a)
    (done,) = wtool.pack(model, dtype="float16", output=tmp_path / "out.keras")
    assert "75 values become zero in float16" in done.notes


@pytest.mark.tensorflow
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["k3.15.1/mlp.keras", "tf2.3/mlp.h5", "tf2.10/mlp.h5", "k2.2.4/nested_frozen.h5"])
def test_keras_widens_what_is_stored_narrow(name: str, dtype: str, tmp_path: Path, packs_everything: None) -> None:
    model = FIXTURES / "zoo" / name
    if dtype == "bfloat16" and not name.startswith("k3"):
        pytest.skip("Keras 2 reads no bfloat16 from files")
    loader = pytest.importorskip("keras" if name.startswith("k3") else "tf_keras")
    wtool.pack(model, dtype=dtype, output=tmp_path / f"half{model.suffix}")
    truth = loader.models.load_model(model, compile=False)
    loaded = loader.models.load_model(tmp_path / f"half{model.suffix}", compile=False)
    target = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    for old, new in zip(truth.get_weights(), loaded.get_weights(), strict=True):
        assert new.dtype == old.dtype
        assert np.array_equal(new, old.astype(target).astype(old.dtype))


# --- Keras ---


@pytest.mark.tensorflow
def test_keras_loads_packed_models(tmp_path: Path) -> None:
    import keras

    rng = np.random.default_rng(0)
    layers = [keras.Input((64,)), keras.layers.Dense(256, "relu"), keras.layers.BatchNormalization()]
    layers += [keras.layers.Reshape((16, 16, 1)), keras.layers.Conv2D(32, 3), keras.layers.Flatten()]
    model = keras.Sequential([*layers, keras.layers.Dense(5)])
    model.compile("adam", "mse")
    model.fit(rng.standard_normal((4, 64)), rng.standard_normal((4, 5)), verbose=0)
    x = rng.standard_normal((6, 64)).astype("float32")
    truth = model.predict(x, verbose=0)
    for suffix in (".keras", ".h5", ".weights.h5"):
        path, small = tmp_path / f"model{suffix}", tmp_path / f"small{suffix}"
        if suffix == ".weights.h5":
            model.save_weights(path)
        else:
            model.save(path)
        (done,) = wtool.pack(path, output=small)
        assert how_stored(small) == {None, "gzip"}
        assert done.after is not None
        assert done.after < 0.95 * done.before
        if suffix == ".weights.h5":
            loaded = keras.Sequential([each.__class__.from_config(each.get_config()) for each in model.layers])
            loaded.build((None, 64))
            loaded.load_weights(small)
        else:
            loaded = keras.saving.load_model(small, compile=False)
        assert np.array_equal(loaded.predict(x, verbose=0), truth)
        assert all(map(np.array_equal, loaded.get_weights(), model.get_weights()))


def whole_of(weights: Path) -> Path | None:
    """Returns the whole model beside a file of weights alone, or the file if it is one."""
    for suffix in (".weights.h5", "_weights_only.h5"):
        if weights.name.endswith(suffix):
            beside = (weights.with_name(weights.name.removesuffix(suffix) + form) for form in (".keras", ".h5"))
            return next((path for path in beside if path.is_file()), None)
    return weights


@pytest.mark.tensorflow
@pytest.mark.parametrize("model", MODELS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_keras_reads_the_same_weights_from_packed_models(model: Path, tmp_path: Path, packs_everything: None) -> None:
    """`WTOOL_ZOO=FOLDER` has all models of another collection tried."""
    if model.parent.name.startswith("k3"):
        import keras as loader
    else:
        import tf_keras as loader
    whole = whole_of(model)
    if whole is None:
        pytest.skip("there is no architecture beside these weights")
    try:
        truth = loader.models.load_model(whole, compile=False)
        if whole != model:
            truth.load_weights(model)
    except Exception as error:
        pytest.skip(f"this Keras does not load the model itself: {type(error).__name__}")
    small = tmp_path / f"small{'.weights.h5' if model.name.endswith('.weights.h5') else model.suffix}"
    try:
        wtool.pack(model, output=small)
    except wtool.Refused as error:
        pytest.skip(f"wtool refuses the model: {error}")
    old = [np.asarray(each).tobytes() for each in truth.get_weights()]
    if whole == model:
        truth = loader.models.load_model(small, compile=False)
    else:
        truth.set_weights([np.zeros_like(each) for each in truth.get_weights()])
        truth.load_weights(small)
    assert [np.asarray(each).tobytes() for each in truth.get_weights()] == old


def test_weights_that_tell_the_type_of_the_optimizers_state_keep_theirs(tmp_path: Path) -> None:
    """An .h5 has no bfloat16: Keras writes bytes, and the policy of the layers tells what they are."""
    model = FIXTURES / "zoo" / "k3.0.5" / "pure_bf16.h5"
    with pytest.raises(wtool.Refused, match="add --drop-optimizer"):
        wtool.pack(model, output=tmp_path / "a.h5", dtype="float16")
    wtool.pack(model, output=tmp_path / "b.h5", dtype="float16", drop_optimizer=True)
    assert not wtool.diff(tmp_path / "b.h5", model).equal  # both are read
