"""Tensors of another model, constants and new names of layers: what is meant changes, and nothing else does."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import wtool
from tests import forkserver
from tests.models import BLOBS, FIXTURES, arrays, changed, cpu_seconds, extents, hdf5_bytes, nearest

EMA = FIXTURES / "zoo" / "k3.6.0" / "ema_adamw.keras"


def everything(path: Path) -> dict[str, Any]:
    with wtool.open_checkpoint(str(path)) as model:
        return {each.path: model.read(each) for each in model.tensors}


def same(some: dict[str, Any], others: dict[str, Any]) -> bool:
    return {path: each.tobytes() for path, each in some.items()} == {
        path: each.tobytes() for path, each in others.items()
    }


def test_a_constant(tmp_path: Path) -> None:
    (done,) = wtool.patch(BLOBS[0], set=["hidden/bias=-0.25"], output=tmp_path / "out.keras")
    before, after = everything(BLOBS[0]), everything(tmp_path / "out.keras")
    assert done.taken == ("hidden/bias",)
    assert (after.pop("hidden/bias") == -0.25).all()
    assert (after.pop("optimizer/momentum/hidden/bias") == 0).all()
    assert same(after, {path: each for path, each in before.items() if path in after})


def test_all_other_bytes_stay(tmp_path: Path) -> None:
    wtool.patch(BLOBS[0], set=["hidden/bias=3"], optimizer="keep", output=tmp_path / "out.keras")
    before, after = (np.frombuffer(hdf5_bytes(path), "u1") for path in (BLOBS[0], tmp_path / "out.keras"))
    assert len(before) == len(after)
    different = np.flatnonzero(before != after)
    with wtool.open_checkpoint(str(BLOBS[0])) as model:
        (bias,) = [each for each in model.tensors if each.path == "hidden/bias"]
    (place,) = [(low, high) for name, low, high in extents(BLOBS[0]) if name == bias.stored]
    assert place[0] <= different.min() <= different.max() < place[1]


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("hidden/bias", "write a path and a number"),
        ("hidden/bias=@", "write a path and a number"),
        ("=@x.npy", "write a path and a number"),
        ("=3", "write a path and a number"),
        ("a/bias=x", "write a path and a number"),
        ("nothing=3", "no tensor has a path like"),
        ("a/bias=nan", "--set takes finite numbers"),
        ("a/bias=1e39", "cannot hold"),
        ("optimizer/iteration=0.5", "cannot hold"),
        ("optimizer/iteration=-1e30", "cannot hold"),
    ],
)
def test_constants_that_are_none(word: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(wtool.WtoolError, match=told):
        wtool.patch(EMA, set=[word], output=tmp_path / "out.keras")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2", "<i4", "|b1"])
def test_an_array(dtype: str, tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(size=everything(BLOBS[0])["hidden/kernel"].shape).astype(dtype)
    np.save(tmp_path / "x.npy", values)
    word = f"hidden/kernel=@{tmp_path / 'x.npy'}"
    (done,) = wtool.patch(BLOBS[0], set=[word], optimizer="keep", output=tmp_path / "out.keras")
    assert done.taken == ("hidden/kernel",)
    assert bool(done.notes) == (dtype in ("<f8", "<i4"))
    before, after = everything(BLOBS[0]), everything(tmp_path / "out.keras")
    np.testing.assert_array_equal(after.pop("hidden/kernel"), values.astype("<f4"))
    assert same(after, {path: each for path, each in before.items() if path in after})
    (done,) = wtool.patch(BLOBS[0], set=[word], optimizer="keep", output=tmp_path / "out.keras")
    assert done.skipped
    np.save(tmp_path / "x.npy", values.astype("<f4") + 1)
    with pytest.raises(wtool.WtoolError, match="exists"):
        wtool.patch(BLOBS[0], set=[word], optimizer="keep", output=tmp_path / "out.keras")


def test_an_array_of_many_blocks_rounded_once_to_bfloat16(tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(size=(3, 200_000))
    header = json.dumps({"x/kernel": {"dtype": "BF16", "shape": [3, 200_000], "data_offsets": [0, 1_200_000]}}).encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(1_200_000))
    np.save(tmp_path / "x.npy", values)
    wtool.patch(
        tmp_path / "a.safetensors", set=[f"*=@{tmp_path / 'x.npy'}"], output=tmp_path / "b.safetensors"
    )  # fmt: skip
    found = everything(tmp_path / "b.safetensors")["x/kernel"]
    np.testing.assert_array_equal(found.astype("f8"), nearest(values, found.dtype).astype("f8"))


def npy(header: str, data: bytes = b"", version: int = 1) -> bytes:
    width = 2 if version == 1 else 4
    return b"\x93NUMPY" + bytes([version, 0]) + len(header).to_bytes(width, "little") + header.encode() + data


WHOLE = "{'descr': '<f4', 'fortran_order': False, 'shape': (8,), }"
BAD_ARRAYS = {
    "empty": (b"", "is no .npy file"),
    "other": (b"PK\x03\x04" + bytes(50), "is no .npy file"),
    "version": (npy(WHOLE, bytes(32), 9), "is no .npy file"),
    "long header": (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + bytes(50), "header is longer"),
    "cut short": (npy(WHOLE, bytes(31)), "cut short: 31 bytes"),
    "too long": (npy(WHOLE, bytes(33)), "cut short: 33 bytes"),
    "bomb": (npy(WHOLE.replace("(8,)", f"({'9' * 18}, {'9' * 18})"), bytes(32)), "cut short: 32 bytes"),
    "objects": (npy(WHOLE.replace("<f4", "|O"), b"cos\nsystem\n(S'true'\ntR."), "holds '|O': only plain arrays"),
    "texts": (npy(WHOLE.replace("<f4", "<U4"), bytes(128)), "only plain arrays"),
    "complex": (npy(WHOLE.replace("<f4", "<c8"), bytes(64)), "only plain arrays"),
    "records": (npy(WHOLE.replace("'<f4'", "[('a', '<f4')]"), bytes(32)), "tells no array of numbers"),
    "code": (npy("__import__('os').system('true')"), "tells no array of numbers"),
    "digits": (npy(WHOLE.replace("8", "1" * 60_000)), "tells no array of numbers"),
    "blanks": (npy(WHOLE.replace("}", " " * 60_000)), "tells no array of numbers"),
    "fortran": (npy(WHOLE.replace("False", "True").replace("(8,)", "(2, 4)"), bytes(32)), "ascontiguousarray"),
    "shape": (npy(WHOLE, bytes(32)), r"has shape \(8,\), and hidden/bias has"),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_arrays_that_are_none(name: str, tmp_path: Path) -> None:
    content, told = BAD_ARRAYS[name]
    (tmp_path / "x.npy").write_bytes(content)
    begin = cpu_seconds()
    with pytest.raises(wtool.Refused, match=told) as refusal:
        wtool.patch(BLOBS[0], set=[f"hidden/bias=@{tmp_path / 'x.npy'}"], output=tmp_path / "out.keras")
    assert "\n" not in str(refusal.value)
    assert cpu_seconds() - begin < 1
    assert [each.name for each in tmp_path.iterdir()] == ["x.npy"]


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("optimizer/iteration", np.float64(0.5)),
        ("optimizer/iteration", np.float64(2.0**63)),
        ("optimizer/iteration", np.uint64(2**63)),
        ("a/bias", np.float64(1e39)),
        ("optimizer/iteration", np.float32(np.nan)),
    ],
)
def test_values_that_a_type_cannot_hold(path: str, values: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full(everything(EMA)[path].shape, values))
    with pytest.raises(wtool.Refused, match="cannot hold"):
        wtool.patch(EMA, set=[f"{path}=@{tmp_path / 'x.npy'}"], dry_run=True)


def test_an_array_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(wtool.WtoolError, match="No such file"):
        wtool.patch(BLOBS[0], set=[f"hidden/bias=@{tmp_path / 'x.npy'}"], output=tmp_path / "out.keras")


def test_variables_of_the_optimizer_are_set_by_name_only(tmp_path: Path) -> None:
    wtool.patch(EMA, set=["*=1", "optimizer/iteration=7"], optimizer="keep", output=tmp_path / "out.keras")
    before, after = everything(EMA), everything(tmp_path / "out.keras")
    assert after["optimizer/iteration"] == 7
    for path in before:
        if path != "optimizer/iteration":
            assert (after[path] == (before[path] if path.startswith("optimizer/") else 1)).all()


def test_tensors_of_another_model(tmp_path: Path) -> None:
    (done,) = wtool.patch(BLOBS[0], source=BLOBS[5], include=["hidden/*"], output=tmp_path / "out.keras")
    before, other, after = everything(BLOBS[0]), everything(BLOBS[5]), everything(tmp_path / "out.keras")
    assert done.taken == ("hidden/kernel", "hidden/bias")
    assert done.left == {}
    for path in before:
        if path.startswith("hidden/"):
            assert after[path].tobytes() == other[path].tobytes()
        elif path.startswith("optimizer/momentum/hidden"):
            assert not after[path].any()
        else:
            assert after[path].tobytes() == before[path].tobytes()


def test_all_tensors_of_another_model_begin_the_optimizer_anew(tmp_path: Path) -> None:
    wtool.patch(EMA, source=EMA, output=tmp_path / "out.keras")
    after = everything(tmp_path / "out.keras")
    assert after["optimizer/iteration"] == 0
    assert not any(each.any() for path, each in after.items() if path.startswith("optimizer/velocity/"))


def test_models_with_nothing_in_common(tmp_path: Path) -> None:
    with pytest.raises(wtool.Refused, match=r"no tensor of .* fits: .* is not in"):
        wtool.patch(BLOBS[0], source=EMA, output=tmp_path / "out.keras")
    with pytest.raises(wtool.Usage, match="no tensor that could change has a path like 'nothing'"):
        wtool.patch(BLOBS[0], source=BLOBS[1], include=["nothing"], output=tmp_path / "out.keras")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({}, "nothing to do"),
        ({"patch": "x", "set": ["a=1"]}, "no --set beside it"),
        ({"reverse": True, "set": ["a=1"]}, "none is named"),
        ({"include": ["x"], "set": ["a=1"]}, "taken --from"),
        ({"patch": "x", "optimizer": "drop"}, "no meaning"),
        ({"rename": ["a"]}, "write the path"),
        ({"rename": ["a=b/c"]}, "write the path"),
        ({"rename": ["a=b", "a=c"]}, "named twice"),
    ],
)
def test_words_that_do_not_go_together(words: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(wtool.Usage, match=told):
        wtool.patch(BLOBS[0], output=tmp_path / "out.keras", **words)


def test_new_names(tmp_path: Path) -> None:
    (done,) = wtool.patch(
        EMA, rename=["a=first", "b=a"], set=["first/bias=2"], optimizer="keep", output=tmp_path / "out.keras"
    )
    before, after = everything(EMA), everything(tmp_path / "out.keras")
    assert done.taken == ("first/bias",)
    assert (after.pop("first/bias") == 2).all()
    assert {path.replace("/b/", "/a/") for path in after} >= {
        "optimizer/velocity/a/kernel",
        "optimizer/velocity/first/bias",
    }
    assert after["a/kernel"].tobytes() == before["b/kernel"].tobytes()
    assert after["first/kernel"].tobytes() == before["a/kernel"].tobytes()
    assert after["optimizer/velocity/a/kernel"].tobytes() == before["optimizer/velocity/b/kernel"].tobytes()
    assert len(after) == len(before) - 1
    wtool.patch(tmp_path / "out.keras", rename=["a=b", "first=a"], output=tmp_path / "back.keras")
    back = everything(tmp_path / "back.keras")
    assert (back.pop("a/bias") == 2).all()
    assert same(back, {path: each for path, each in before.items() if path != "a/bias"})


ARCHIVES = [path for path in sorted((FIXTURES / "zoo").rglob("k3*/*.keras")) if path.is_file()]


@pytest.mark.parametrize("source", ARCHIVES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_new_names_for_all_layers_and_back(source: Path, tmp_path: Path) -> None:
    with wtool.open_checkpoint(str(source)) as model:
        layers = [each.name for each in model.contents.layers if "/" not in each.name]
    try:
        wtool.patch(source, rename=[f"{name}=new_{name}" for name in layers], output=tmp_path / "new.keras")
    except wtool.Refused as error:
        if "in its author's code" not in str(error):
            raise
        pytest.skip("a subclassed model")
    renamed = everything(tmp_path / "new.keras")
    weights = [path for path in renamed if not path.startswith("optimizer/")]
    assert all(path.startswith("new_") for path in weights)
    wtool.patch(
        tmp_path / "new.keras", rename=[f"new_{name}={name}" for name in layers], output=tmp_path / "back.keras"
    )
    assert same(everything(tmp_path / "back.keras"), everything(source))


RNN = FIXTURES / "zoo" / "k3.15.1" / "rnn.keras"


def test_new_names_inside_wrappers(tmp_path: Path) -> None:
    words = ["bi=both", "bi/forward_lstm=forward_one", "bi/backward_lstm=two", "gru=last"]
    wtool.patch(RNN, rename=words, output=tmp_path / "new.keras")
    moved = {"bi/forward_lstm/": "both/forward_one/", "bi/backward_lstm/": "both/two/", "gru/": "last/"}
    wanted = everything(RNN)
    for old, new in moved.items():
        wanted = {
            path.replace(old, new) if path.startswith(old) or f"/{old}" in path else path: each
            for path, each in wanted.items()
        }
    assert same(everything(tmp_path / "new.keras"), wanted)
    words = ["both=bi", "both/forward_one=forward_lstm", "both/two=backward_lstm", "last=gru"]
    wtool.patch(tmp_path / "new.keras", rename=words, output=tmp_path / "back.keras")
    assert same(everything(tmp_path / "back.keras"), everything(RNN))
    assert wtool.diff(RNN, tmp_path / "back.keras").equal


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("bi/forward_lstm=one", "Keras puts forward_ before the name, as in forward_one"),
        ("bi/forward_lstm=forward_lstm/x", "write the path"),
        ("bi/backward_lstm=forward_lstm", "two layers would be called forward_lstm"),
        ("bi/other=x", "has no layer bi/other"),
        ("gru/gru_cell=x", "has no name of its own: gru"),
    ],
)
def test_names_inside_wrappers_that_are_none(word: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(wtool.WtoolError, match=told):
        wtool.patch(RNN, rename=[word], output=tmp_path / "out.keras")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("word", "told"), [("a=b", "two layers would be called b"), ("nothing=x", "has no layer nothing")]
)
def test_names_that_are_none(word: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(wtool.Refused, match=told):
        wtool.patch(EMA, rename=[word], output=tmp_path / "out.keras")
    assert not list(tmp_path.iterdir())


HDF5 = [path for path in sorted((FIXTURES / "zoo").rglob("*.h5")) if path.is_file()]
NOT_RENAMED = ("does not tell that", "would be read otherwise than it is meant")


@pytest.mark.parametrize("source", HDF5, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_new_names_for_all_layers_of_an_hdf5_file_and_back(source: Path, tmp_path: Path) -> None:
    """What is called otherwise are layers and groups; all arrays are there again, and then under their old names."""
    suffix = ".weights.h5" if source.name.endswith(".weights.h5") else ".h5"
    with wtool.open_checkpoint(str(source)) as model:
        listed = [each.name for each in model.contents.layers if "/" not in each.name]
        layers = listed if model.config else list(dict.fromkeys(each.layer.split("/")[0] for each in model.weights))
    new, back = tmp_path / f"new{suffix}", tmp_path / f"back{suffix}"
    try:
        wtool.patch(source, rename=[f"{name}=new_{number}" for number, name in enumerate(layers)], output=new)
    except wtool.Refused as error:
        if not any(words in str(error) for words in NOT_RENAMED) or new.exists():
            raise
        pytest.skip(str(error))
    renamed = everything(new)
    if "odd" not in source.name:  # layers with a slash in their names keep these here
        assert all(path.startswith("new_") for path in renamed if not path.startswith("optimizer"))
    assert sorted(each.tobytes() for each in renamed.values()) == sorted(
        each.tobytes() for each in everything(source).values()
    )
    wtool.patch(new, rename=[f"new_{number}={name}" for number, name in enumerate(layers)], output=back)
    assert same(everything(back), everything(source))
    assert same(arrays(back), arrays(source))


def test_new_names_and_values_in_an_h5_with_deflated_arrays(tmp_path: Path) -> None:
    source = FIXTURES / "zoo" / "tf2.10" / "mlp.h5"
    (tmp_path / "small.h5").write_bytes(source.read_bytes())
    with h5py.File(tmp_path / "small.h5", "r+") as file:
        group = file["model_weights/fc1/fc1"]
        values = group["kernel:0"][...]
        del group["kernel:0"]
        group.create_dataset("kernel:0", data=values, chunks=values.shape, compression="gzip")
    words: dict[str, Any] = {"rename": ["fc1=first"], "set": ["first/bias=2"], "optimizer": "keep"}
    (done,) = wtool.patch(tmp_path / "small.h5", output=tmp_path / "new.h5", **words)
    assert done.taken == ("first/bias",)
    before, after = everything(source), everything(tmp_path / "new.h5")
    assert (after.pop("first/bias") == 2).all()
    assert after["first/kernel"].tobytes() == before["fc1/kernel"].tobytes()
    assert len(after) == len(before) - 1


def test_files_in_which_no_layer_is_renamed(tmp_path: Path) -> None:
    wtool.convert(BLOBS[0], output=tmp_path / "a.safetensors")
    with pytest.raises(wtool.Refused, match=r"layers are renamed in \.keras models of Keras 3 and in single HDF5"):
        wtool.patch(tmp_path / "a.safetensors", rename=["hidden=b"], output=tmp_path / "out.safetensors")
    with pytest.raises(wtool.Refused, match="two layers would be called b"):
        wtool.patch(EMA.with_suffix(".h5"), rename=["a=b"], output=tmp_path / "out.h5")
    with pytest.raises(wtool.Refused, match="has no layer nothing"):
        wtool.patch(EMA.with_suffix(".weights.h5"), rename=["nothing=b"], output=tmp_path / "out.weights.h5")


def test_the_lineage_tells_the_words(tmp_path: Path) -> None:
    words: dict[str, Any] = {"source": BLOBS[5], "include": ["hidden/*"], "set": ["output/bias=0"]}
    wtool.patch(BLOBS[0], output=tmp_path / "out.keras", **words)
    (done,) = wtool.patch(BLOBS[0], output=tmp_path / "out.keras", **words)
    assert done.skipped
    with wtool.open_checkpoint(str(tmp_path / "out.keras")) as model:
        record = model.lineage[-1].to_json()
    assert record["parameters"] == {"include": ["hidden/*"], "set": {"output/bias": 0.0}, "optimizer": "follow"}
    assert [(each["name"], each["as"]) for each in record["inputs"]] == [
        (BLOBS[0].name, "model"),
        (BLOBS[5].name, "from"),
    ]


def test_the_command(tmp_path: Path) -> None:
    def run(*words: Any) -> subprocess.CompletedProcess[str]:
        command = forkserver.python("-m", "wtool", "patch", *map(str, words))
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    done = run(BLOBS[0], "--from", BLOBS[5], "--include", "hidden/*", "--json", "-o", "out.keras")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["taken"] == ["hidden/kernel", "hidden/bias"]
    assert "2 tensors of" in done.stderr
    dry = run(BLOBS[0], "--set", "hidden/bias=0", "-n")
    assert "set to 0" in dry.stdout
    assert run(BLOBS[0], BLOBS[1], "-o", "no.keras").stderr.endswith("writes one\n")
    assert run(BLOBS[0]).returncode == 2
    assert [each.name for each in tmp_path.iterdir()] == ["out.keras"]


def network(keras: Any, classes: int, seed: int) -> Any:
    """A model with another model inside, and a head."""
    keras.utils.set_random_seed(seed)
    body = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(6, "relu", name="first"), keras.layers.BatchNormalization(name="norm")],
        name="encoder",
    )
    inputs = keras.Input((8,), name="features")
    hidden = body(inputs)
    outputs = keras.layers.Dense(classes, name="head")(keras.layers.Add(name="sum")([hidden, hidden]))
    model = keras.Model(inputs, outputs)
    model.compile("adam", {"head": "mse"})
    x = np.random.default_rng(seed).normal(size=(32, 8))
    model.fit(x, np.ones((32, classes)), epochs=1, verbose=0)
    return model


def without_optimizer(source: Path, target: Path) -> Path:
    """A copy of a model whose configuration lost the optimizer, as that of a model that was saved as `.h5` before."""

    def text(old: str) -> str:
        config = json.loads(old)
        del config["compile_config"]["optimizer"]
        return json.dumps(config)

    return changed(source, target, lambda _, values: values + (values.dtype.kind == "f"), text)


@pytest.mark.parametrize("source", [BLOBS[0], EMA], ids=lambda path: path.stem)
def test_an_optimizer_that_the_configuration_lost(source: Path, tmp_path: Path) -> None:
    """The class of the optimizer comes along, and its variables keep their meaning."""
    lost = without_optimizer(source, tmp_path / "b.keras")
    wtool.make_patch(source, lost, output=tmp_path / "d.wpatch")
    wtool.patch(source, patch=tmp_path / "d.wpatch", output=tmp_path / "b2.keras")
    assert wtool.diff(lost, tmp_path / "b2.keras").equal
    assert same(everything(lost), everything(tmp_path / "b2.keras"))
    wtool.patch(tmp_path / "b2.keras", patch=tmp_path / "d.wpatch", reverse=True, output=tmp_path / "a2.keras")
    assert wtool.diff(source, tmp_path / "a2.keras").equal
    layer = next(path for path in everything(lost) if not path.startswith("optimizer")).split("/")[0]
    wtool.patch(lost, rename=[f"{layer}=other"], output=tmp_path / "c.keras")
    renamed = {
        "/".join("other" if part == layer else part for part in path.split("/")): each
        for path, each in everything(lost).items()
    }
    assert same(renamed, everything(tmp_path / "c.keras"))


@pytest.mark.parametrize("form", ["weights.h5", "weights.json", "safetensors"])
def test_weights_alone_of_another_model(form: str, tmp_path: Path) -> None:
    """Names that the file does not tell are those of the architecture of the model."""
    source = FIXTURES / "zoo" / "k3.15.1" / "rnn.keras"
    other = changed(source, tmp_path / "other.keras", lambda _, values: values + (values.dtype.kind == "f"))
    wtool.convert(other, output=tmp_path / f"w.{form}")
    (done,) = wtool.patch(source, source=tmp_path / f"w.{form}", output=tmp_path / "out.keras")
    assert done.left == {}
    with wtool.open_checkpoint(str(source)) as model:
        weights = [each.path for each in model.weights]
    found, wanted = everything(tmp_path / "out.keras"), everything(other)
    assert same({path: found[path] for path in weights}, {path: wanted[path] for path in weights})


def test_weights_alone_with_layers_in_another_order_keep_their_names(tmp_path: Path) -> None:
    """The names in the file count more than the places of layers in the architecture."""
    wtool.patch(BLOBS[0], rename=["hidden=first"], output=tmp_path / "other.keras")
    wtool.convert(tmp_path / "other.keras", output=tmp_path / "w.weights.h5")
    (done,) = wtool.patch(BLOBS[0], source=tmp_path / "w.weights.h5", output=tmp_path / "out.keras")
    assert "hidden/kernel" in done.left


DEFAULT = FIXTURES / "zoo" / "k3.0.5" / "mlp_defaultnames.keras"


@pytest.mark.parametrize("first", [1, 7])
def test_automatic_names_with_other_numbers(first: int, tmp_path: Path) -> None:
    """Layers are matched in their order, also where a number stands for another layer in the other model."""
    layers = ["dense", "dense_1", "dense_2"]
    words = [f"{name}=dense_{number}" for number, name in enumerate(layers, first)]
    other = changed(DEFAULT, tmp_path / "values.keras", lambda _, values: values + (values.dtype.kind == "f"))
    wtool.patch(other, rename=words, output=tmp_path / "other.keras")
    (done,) = wtool.patch(DEFAULT, source=tmp_path / "other.keras", optimizer="keep", output=tmp_path / "out.keras")
    assert done.left == {}
    assert any("other numbers" in note for note in done.notes)
    assert str(done.actions["dense/kernel"]).startswith(f"from dense_{first}/kernel of")
    found, wanted = everything(tmp_path / "out.keras"), everything(other)
    weights = [path for path in wanted if not path.startswith("optimizer/")]
    assert same({path: found[path] for path in weights}, {path: wanted[path] for path in weights})


def tensors(path: Path, shapes: dict[str, tuple[int, ...]], value: float) -> Path:
    """A safetensors file with float32 tensors, each filled with its own value."""
    header, data = {}, b""
    for number, (name, shape) in enumerate(shapes.items()):
        content = np.full(shape, value + number, "<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def test_automatic_names_and_another_head(tmp_path: Path) -> None:
    own = tensors(tmp_path / "a.safetensors", {"dense/kernel": (8, 6), "dense_1/kernel": (6, 10)}, 0)
    other = tensors(tmp_path / "b.safetensors", {"dense_1/kernel": (8, 6), "dense_2/kernel": (6, 5)}, 5)
    (done,) = wtool.patch(own, source=other, output=tmp_path / "c.safetensors")
    assert done.taken == ("dense/kernel",)
    assert list(done.left) == ["dense_1/kernel"]
    assert "has shape (6, 5)" in done.left["dense_1/kernel"]
    found = everything(tmp_path / "c.safetensors")
    assert (found["dense/kernel"] == 5).all()
    assert (found["dense_1/kernel"] == 1).all()


def test_automatic_names_of_which_nobody_can_tell_which_is_which(tmp_path: Path) -> None:
    """Equal names are no reason to take a tensor where the models count from different numbers on."""
    square = {f"dense_{number}/kernel": (4, 4) for number in range(1, 5)}
    own = tensors(tmp_path / "a.safetensors", {"dense/kernel": (4, 4), "dense_1/kernel": (4, 4), "head/bias": (3,)}, 0)
    other = tensors(tmp_path / "b.safetensors", {**square, "head/bias": (3,)}, 50)
    (done,) = wtool.patch(own, source=other, output=tmp_path / "c.safetensors")
    assert done.taken == ("head/bias",)
    assert set(done.left) == {"dense/kernel", *square}
    assert "2 layers here, dense, dense_1, and 4 in" in done.left["dense_1/kernel"]
    with pytest.raises(wtool.Refused, match="automatic names do not tell"):
        wtool.patch(own, source=other, include=["dense*"], output=tmp_path / "d.safetensors")


def test_names_that_are_not_automatic_are_names(tmp_path: Path) -> None:
    blocks = {f"block_{number}/kernel": (4, 4) for number in range(1, 4)}
    own = tensors(tmp_path / "a.safetensors", dict(list(blocks.items())[1:]), 0)
    other = tensors(tmp_path / "b.safetensors", blocks, 50)
    (done,) = wtool.patch(own, source=other, output=tmp_path / "c.safetensors")
    assert done.taken == ("block_2/kernel", "block_3/kernel")
    assert (everything(tmp_path / "c.safetensors")["block_2/kernel"] == 51).all()


def test_more_layers_that_begin_with_the_same_name(tmp_path: Path) -> None:
    own = tensors(tmp_path / "a.safetensors", {"dense/kernel": (4, 4), "dense_1/kernel": (4, 3)}, 0)
    shapes = {"dense/kernel": (4, 4), "dense_1/kernel": (4, 4), "dense_2/kernel": (4, 3)}
    other = tensors(tmp_path / "b.safetensors", shapes, 50)
    (done,) = wtool.patch(own, source=other, output=tmp_path / "c.safetensors")
    assert done.taken == ("dense/kernel",)
    assert set(done.left) == {"dense_1/kernel", "dense_2/kernel"}


def test_weights_alone_that_tell_no_names(tmp_path: Path) -> None:
    """Older Kerases number the classes of layers in files of weights; a model may have the same names otherwise."""
    weights = DEFAULT.with_name("mlp_defaultnames.weights.h5")
    base = tmp_path / "base.keras"
    wtool.patch(DEFAULT, rename=["dense=dense_2", "dense_2=dense"], output=base)
    other = changed(weights, tmp_path / "other.weights.h5", lambda _, values: values + (values.dtype.kind == "f"))
    wanted = changed(base, tmp_path / "wanted.keras", lambda _, values: values + (values.dtype.kind == "f"))
    (done,) = wtool.patch(base, source=other, output=tmp_path / "out.keras")
    assert done.left == {}
    found, expected = everything(tmp_path / "out.keras"), everything(wanted)
    paths = [path for path in expected if not path.startswith("optimizer/")]
    assert same({path: found[path] for path in paths}, {path: expected[path] for path in paths})
    with pytest.raises(wtool.Refused, match="tells no names of its layers"):
        wtool.patch(BLOBS[0], source=other, output=tmp_path / "no.keras")


def test_weights_alone_of_a_nested_model_in_the_older_layout(tmp_path: Path) -> None:
    """The layout calls a layer by its own name and that of the outermost one; the model tells all names between."""
    source = FIXTURES / "zoo" / "k2.2.4" / "nested_frozen.h5"
    other = changed(source, tmp_path / "other.h5", lambda _, values: values + (values.dtype.kind == "f"))
    with h5py.File(other) as old, h5py.File(tmp_path / "weights.h5", "w") as file:
        for name in old["model_weights"]:
            old.copy(old["model_weights"][name], file, name)
        for name, value in old["model_weights"].attrs.items():
            file.attrs[name] = value
    (done,) = wtool.patch(source, source=tmp_path / "weights.h5", output=tmp_path / "out.h5")
    assert done.left == {}
    found, expected = everything(tmp_path / "out.h5"), everything(other)
    paths = [path for path in expected if not path.startswith("optimizer/")]
    assert same({path: found[path] for path in paths}, {path: expected[path] for path in paths})


@pytest.mark.tensorflow
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_transplant_between_models_with_other_heads(suffix: str, tmp_path: Path) -> None:
    """Keras loads the result, whose encoder computes what that of the other model did, and whose head is its own."""
    keras = pytest.importorskip("keras")
    own, other = network(keras, 3, 1), network(keras, 5, 2)
    own.save(tmp_path / "own.keras")
    other.save(tmp_path / f"other{suffix}")
    (done,) = wtool.patch(tmp_path / "own.keras", source=tmp_path / f"other{suffix}", output=tmp_path / "new.keras")
    assert {path.split("/")[0] for path in done.taken if not path.startswith("optimizer")} == {"encoder"}
    assert set(done.left) == {"head/kernel", "head/bias"}
    assert "has shape (6, 5)" in done.left["head/kernel"]
    made = keras.models.load_model(tmp_path / "new.keras")
    x = np.random.default_rng(0).normal(size=(4, 8)).astype("float32")
    expected = own.get_layer("head")(2 * np.asarray(other.get_layer("encoder")(x)))
    np.testing.assert_allclose(made.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.tensorflow
def test_keras_loads_and_trains_a_model_with_new_names(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    own = network(keras, 3, 1)
    own.save(tmp_path / "own.keras")
    words = ["encoder=body", "encoder/first=one", "head=out", "features=x"]
    wtool.patch(tmp_path / "own.keras", rename=words, output=tmp_path / "new.keras")
    made = keras.models.load_model(tmp_path / "new.keras")
    assert [layer.name for layer in made.layers] == ["x", "body", "sum", "out"]
    assert [layer.name for layer in made.get_layer("body").layers] == ["one", "norm"]
    x = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")
    np.testing.assert_array_equal(made.predict(x, verbose=0), own.predict(x, verbose=0))
    losses = [
        model.fit(x, np.ones((32, 3)), epochs=1, shuffle=False, verbose=0).history["loss"] for model in (made, own)
    ]
    assert losses[0] == losses[1]
    for some, others in zip(made.optimizer.variables, own.optimizer.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(some), np.asarray(others))


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", ["k2.2.4/nested_frozen", "tf2.3/mlp", "tf2.10/mlp", "k2.3.1/f64_model"])
def test_tf_keras_loads_an_h5_with_new_names(name: str, tmp_path: Path) -> None:
    """What tf_keras predicts is what the Keras of the file predicted, and its layers have their new names."""
    keras = pytest.importorskip("tf_keras")
    source = FIXTURES / "zoo" / f"{name}.h5"
    with wtool.open_checkpoint(str(source)) as model:
        layers = [each.name for each in model.contents.layers]
    names = {path: f"new_{number}" for number, path in enumerate(layers)}
    wtool.patch(source, rename=[f"{path}={new}" for path, new in names.items()], output=tmp_path / "new.h5")
    made = keras.models.load_model(tmp_path / "new.h5")
    assert {layer.name for layer in made.layers if layer.weights} <= set(names.values())
    with np.load(source.with_suffix(".npz")) as stored:
        inputs = [stored[name] for name in sorted(stored.files) if name.startswith("x")]
        found = made.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
        outputs = found if isinstance(found, list) else [found]
        for number, each in enumerate(outputs):
            np.testing.assert_allclose(each, stored[f"y{number}"], rtol=1e-5, atol=1e-6)
    old = keras.models.load_model(source)
    for some, others in zip(made.get_weights(), old.get_weights(), strict=True):
        np.testing.assert_array_equal(some, others)
    if old.optimizer is not None:
        states = [
            each.variables() if callable(each.variables) else each.variables for each in (made.optimizer, old.optimizer)
        ]
        for some, others in zip(*states, strict=True):
            np.testing.assert_array_equal(np.asarray(some), np.asarray(others))


@pytest.mark.tensorflow
def test_keras_loads_a_model_with_new_names_inside_wrappers(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    keras.utils.clear_session()
    layers = keras.layers
    own = keras.Sequential(
        [
            keras.Input((5, 3)),
            layers.TimeDistributed(layers.Dense(4), name="each"),
            layers.Bidirectional(layers.LSTM(2, return_sequences=True), name="both"),
            layers.Bidirectional(layers.LSTM(2), backward_layer=layers.LSTM(2, go_backwards=True), name="two"),
        ]
    )
    own.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32")
    own.fit(x, np.ones((4, 4)), verbose=0)
    own.save(tmp_path / "own.keras")
    with wtool.open_checkpoint(str(tmp_path / "own.keras")) as model:
        inner = [each.name for each in model.contents.layers if each.name.count("/") == 1]
    words = [f"{path}={'forward_' if '/forward_' in path else ''}new{n}" for n, path in enumerate(inner)]
    wtool.patch(tmp_path / "own.keras", rename=words, output=tmp_path / "new.keras")
    made = keras.models.load_model(tmp_path / "new.keras")
    assert made.get_layer("each").layer.name == "new0"
    assert made.get_layer("both").forward_layer.name == "forward_new1"
    assert made.get_layer("both").backward_layer.name == "new2"
    np.testing.assert_array_equal(made.predict(x, verbose=0), own.predict(x, verbose=0))
    for some, others in zip(made.optimizer.variables, own.optimizer.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(some), np.asarray(others))


@pytest.mark.tensorflow
def test_a_patch_to_a_model_with_another_head(tmp_path: Path) -> None:
    """The architecture comes along, and Keras predicts what the other model did; and back."""
    keras = pytest.importorskip("keras")
    models = {"a": network(keras, 3, 1), "b": network(keras, 5, 2)}
    for name, model in models.items():
        model.save(tmp_path / f"{name}.keras")
    found = wtool.make_patch(tmp_path / "a.keras", tmp_path / "b.keras", output=tmp_path / "d.wpatch")
    assert "head/kernel" in found.added
    assert "head/kernel" in found.removed
    wtool.patch(tmp_path / "a.keras", patch=tmp_path / "d.wpatch", output=tmp_path / "b2.keras")
    wtool.patch(tmp_path / "b2.keras", patch=tmp_path / "d.wpatch", reverse=True, output=tmp_path / "a2.keras")
    x = np.random.default_rng(0).normal(size=(4, 8)).astype("float32")
    for name, model in models.items():
        assert same(everything(tmp_path / f"{name}.keras"), everything(tmp_path / f"{name}2.keras"))
        made = keras.models.load_model(tmp_path / f"{name}2.keras")
        np.testing.assert_array_equal(made.predict(x, verbose=0), model.predict(x, verbose=0))
