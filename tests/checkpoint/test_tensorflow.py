"""SavedModels and checkpoints of TensorFlow, made and read without TensorFlow: values, reasons for refusals, limits."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wtool
from tests import bundles, forkserver
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.opener import open_checkpoint
from wtool.errors import Reaches, Refused

SIZES = (3, 4, 2)


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """The index of a checkpoint of two Dense layers."""
    return bundles.write_bundle(tmp_path / "ckpt", bundles.dense_tree(*SIZES))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A SavedModel of two Dense layers."""
    return bundles.write_saved_model(tmp_path / "saved", *SIZES)


@pytest.fixture
def architecture(tmp_path: Path) -> Path:
    """What `model.to_json()` writes of the model."""
    path = tmp_path / "model.json"
    path.write_text(json.dumps({**bundles.sequential(*SIZES), "keras_version": "2.10.0"}))
    return path


def values(checkpoint: Checkpoint) -> dict[str, np.ndarray[Any, Any]]:
    """Path of each weight -> its values."""
    return {tensor.path: checkpoint.read(tensor) for tensor in checkpoint.weights}


def expected(*sizes: int) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """Paths and values of the model that `bundles` makes."""
    for number, layer in enumerate(bundles.dense_tree(*sizes).values()):
        yield from ((f"d{number}/{name}", array) for name, array in layer.items())


def test_a_saved_model_is_read(folder: Path) -> None:
    with open_checkpoint(str(folder), foreign=True) as found:
        assert (found.format, found.keras_version) == ("saved-model", "2.10.0")
        read = values(found)
        (hashed,) = found.finish()
    wanted = dict(expected(*SIZES))
    assert list(read) == list(wanted)
    assert all((read[path] == wanted[path]).all() for path in wanted)
    assert hashed.startswith("blake3:")


@pytest.mark.parametrize("name", ["ckpt", "ckpt.index"])
def test_a_checkpoint_becomes_a_model_along_an_architecture(
    name: str, index: Path, architecture: Path, tmp_path: Path
) -> None:
    (done,) = wtool.convert(index.parent / name, output=tmp_path / "new.keras", architecture=architecture)
    assert done.output is not None
    with open_checkpoint(done.output) as made:
        read = values(made)
        (record,) = made.lineage
    assert all((read[path] == array).all() for path, array in expected(*SIZES))
    assert [each.name for each in record.inputs] == [name]


def test_a_saved_model_becomes_a_model_beside_itself(folder: Path) -> None:
    (done,) = wtool.convert(folder)
    assert done.output == f"{folder}.keras"
    assert wtool.convert(folder)[0].skipped
    with open_checkpoint(done.output) as made:
        assert all((values(made)[path] == array).all() for path, array in expected(*SIZES))


def test_weights_alone_come_of_it_as_well(folder: Path, tmp_path: Path) -> None:
    wtool.convert(folder, output=tmp_path / "new.weights.h5")
    with open_checkpoint(str(tmp_path / "new.weights.h5")) as made:
        assert [each.shape for each in made.weights] == [(3, 4), (4,), (4, 2), (2,)]


def test_a_checkpoint_alone_needs_an_architecture(index: Path, tmp_path: Path) -> None:
    for target in ("new.keras", "new.weights.h5"):
        with pytest.raises(wtool.WtoolError, match="--architecture"):
            wtool.convert(index, output=tmp_path / target)


def test_a_model_that_another_object_holds_is_found(architecture: Path, tmp_path: Path) -> None:
    tree = {"step": np.int64(3), "model": bundles.dense_tree(*SIZES), "save_counter": np.int64(1)}
    index = bundles.write_bundle(tmp_path / "ckpt-1", tree)
    wtool.convert(index, output=tmp_path / "new.keras", architecture=architecture)
    with open_checkpoint(str(tmp_path / "new.keras")) as made:
        assert all((values(made)[path] == array).all() for path, array in expected(*SIZES))


def adam(*sizes: int) -> tuple[dict[str, Any], list[tuple[str, str, str]]]:
    """The objects of a model with an optimizer of TensorFlow 2.10, whose first moments are 1, 2, ...; and its slots."""
    model = bundles.dense_tree(*sizes)
    weights = [f"{layer}/{name}" for layer, own in model.items() for name in own]
    optimizer: dict[str, Any] = {"iter": np.int64(7), "beta_1": np.float32(0.9)}
    slots = []
    for name in ("m", "v"):
        for number, path in enumerate(weights, 1):
            layer, own = path.split("/")
            value = np.full_like(model[layer][own], number if name == "m" else -number)
            optimizer[f"{name}{number}"] = value
            slots.append((path, name, f"optimizer/{name}{number}"))
    return {**model, "optimizer": optimizer}, slots[::-1]


def test_slots_of_older_optimizers_are_told_by_the_graph(tmp_path: Path) -> None:
    tree, slots = adam(*SIZES)
    config = {
        "optimizer_config": {"class_name": "Adam", "config": {"name": "Adam", "learning_rate": 0.5}},
        "loss": "mse",
    }
    folder = bundles.write_saved_model(tmp_path / "saved", *SIZES, training_config=config)
    bundles.write_bundle(folder / "variables" / "variables", tree, slots)
    wtool.convert(folder, output=tmp_path / "new.keras")
    with open_checkpoint(str(tmp_path / "new.keras")) as made:
        state = {(each.slot.name, each.slot.weight): made.read(each) for each in made.slots if each.slot is not None}
    assert int(state["iteration", None]) == 7
    for number, (path, array) in enumerate(expected(*SIZES), 1):
        assert (state["momentum", path] == np.full_like(array, number)).all()
        assert (state["velocity", path] == np.full_like(array, -number)).all()


def changed(tree: dict[str, Any], change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The tree, after a change in place."""
    change(tree)
    return tree


WRONG_TREES: dict[str, Callable[[dict[str, Any]], object]] = {
    "the checkpoint has no layer-1, which would be d1": lambda tree: tree.pop("layer-1"),
    "layer-0 holds kernel; layer d0 .* has kernel, bias": lambda tree: tree["layer-0"].pop("bias"),
    "is 4x3, but the configuration demands": lambda tree: tree["layer-0"].update(kernel=np.zeros((4, 3), np.float32)),
    "is 3, but its rank should be 2": lambda tree: tree["layer-0"].update(kernel=np.zeros(3, np.float32)),
    "a layer layer-2, which the architecture": lambda tree: tree.update({"layer-2": {"kernel": np.zeros(3)}}),
    "holds layer-0/summary, which": lambda tree: tree["layer-0"].update(summary=np.zeros((2, 3), np.float32)),
    "holds int64": lambda tree: tree["layer-0"].update(bias=np.zeros(4, np.int64)),
}


@pytest.mark.parametrize(("reason", "change"), WRONG_TREES.items(), ids=WRONG_TREES.keys())
def test_a_checkpoint_of_another_model_is_refused(
    reason: str, change: Callable[[dict[str, Any]], object], architecture: Path, tmp_path: Path
) -> None:
    index = bundles.write_bundle(tmp_path / "ckpt", changed(bundles.dense_tree(*SIZES), change))
    with pytest.raises(Refused, match=reason):
        wtool.convert(index, output=tmp_path / "new.keras", architecture=architecture)
    assert not (tmp_path / "new.keras").exists()


KEY = "layer-0/bias/.ATTRIBUTES/VARIABLE_VALUE"
ZEROS = np.zeros(4, np.float32).tobytes()
WIDER = (bundles.field(1, 4), bundles.field(1, 5))
HOSTILE: dict[str, dict[str, Any]] = {
    "names 0 data files": {"header": b""},
    "names 99,999 data files": {"header": bundles.field(1, 99_999)},
    "big-endian": {"header": bundles.field(1, 1) + bundles.field(2, 1)},
    "its index has field 1 comes twice": {"header": bundles.field(1, 1) * 2},
    "its object graph has not the wire format": {"graph": b"\x0a\x7f"},
    "its object graph has 0 objects": {"graph": b""},
    "an object that is not there": {"graph": bundles.field(1, bundles.field(1, bundles.field(1, 9)))},
    "without an object graph": {"entries": lambda known: known.pop(bundles.GRAPH)},
    "none that TensorFlow wrote": {"entries": lambda known: known.pop("")},
    "the bytes of .* are not its own": {
        "entries": lambda known: known.update({KEY: bundles.entry(1, (4,), 1 << 50, ZEROS)})
    },
    "not its own": {"entries": lambda known: known.update({KEY: bundles.entry(1, (4,), 0, ZEROS)})},
    "which is not what its shape": {"entries": lambda known: known.update({KEY: known[KEY].replace(*WIDER, 1)})},
    "is stored in slices": {"entries": lambda known: known.update({KEY: known[KEY] + bundles.field(7, b"")})},
    "a place or shape": {"entries": lambda known: known.update({KEY: bundles.entry(1, (4,), 0, ZEROS, shard=3)})},
    "is not a text": {"entries": lambda known: known.update({bundles.GRAPH: bundles.entry(1, (1,), 0, ZEROS[:4])})},
}


@pytest.mark.parametrize(("reason", "change"), HOSTILE.items(), ids=HOSTILE.keys())
def test_hostile_bundles_are_refused(reason: str, change: dict[str, Any], tmp_path: Path) -> None:
    index = bundles.write_bundle(tmp_path / "ckpt", bundles.dense_tree(*SIZES), **change)
    with pytest.raises(Refused, match=reason):
        open_checkpoint(str(index), foreign=True)


def test_a_changed_value_is_seen(index: Path, architecture: Path, tmp_path: Path) -> None:
    data = index.with_suffix(".data-00000-of-00001")
    data.write_bytes(data.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(Refused, match=r"checksum of layer-1/kernel/.* does not match its bytes"):
        wtool.convert(index, output=tmp_path / "new.keras", architecture=architecture)
    assert not (tmp_path / "new.keras").exists()


def test_a_changed_graph_is_seen(index: Path) -> None:
    data = index.with_suffix(".data-00000-of-00001")
    data.write_bytes(data.read_bytes()[:40] + b"\x7f" + data.read_bytes()[41:])
    with pytest.raises(Refused, match=f"checksum of {bundles.GRAPH} does not match"):
        open_checkpoint(str(index), foreign=True)


def test_missing_data_and_links(index: Path) -> None:
    data = index.with_suffix(".data-00000-of-00001")
    data.rename(index.parent / "elsewhere")
    with pytest.raises(Refused, match="cannot be opened"):
        open_checkpoint(str(index), foreign=True)
    data.symlink_to(index.parent / "elsewhere")
    with pytest.raises(Refused, match="is a symbolic link"):
        open_checkpoint(str(index), foreign=True)


@pytest.mark.parametrize(
    "name", ["keras_metadata.pb", "variables", "variables/variables.index", "variables/variables.data-00000-of-00001"]
)
def test_links_in_a_saved_model(name: str, folder: Path) -> None:
    (folder / name).rename(folder / "moved")
    (folder / name).symlink_to(folder / "moved")
    with pytest.raises(Reaches, match=f"its {name} is a symbolic link"):
        open_checkpoint(str(folder), foreign=True)


METADATA: dict[str, dict[str, Any]] = {
    "of the class 'Mine', whose layers only its code connects": {
        "identifier": "_tf_keras_model", "class_name": "Mine", "model_config": None,
    },
    "no Keras model but a part of one": {"identifier": "_tf_keras_layer", "class_name": "Dense"},
    "whose layers only its code": {"model_config": []},
    "do not tell the version": {"keras_version": 2},
}  # fmt: skip


@pytest.mark.parametrize(("reason", "words"), METADATA.items(), ids=METADATA.keys())
def test_models_that_metadata_do_not_tell(reason: str, words: dict[str, Any], tmp_path: Path) -> None:
    folder = bundles.write_saved_model(tmp_path / "saved", *SIZES, **words)
    with pytest.raises(Refused, match=reason):
        open_checkpoint(str(folder), foreign=True)


BYTES: dict[str, bytes] = {
    "do not tell of the model itself": b"",
    "damaged: its keras_metadata.pb has": b"\xff",
    "what it tells of 'root' holds a list": bundles.field(1, bundles.field(3, "root") + bundles.field(5, "[]")),
    "what it tells of 'root' ": bundles.field(1, bundles.field(3, "root") + bundles.field(5, "{")),
    "keras_metadata.pb has field 3": bundles.field(1, bundles.field(3, "root") * 2),
}


@pytest.mark.parametrize(("reason", "message"), BYTES.items(), ids=BYTES.keys())
def test_damaged_metadata(reason: str, message: bytes, folder: Path) -> None:
    (folder / "keras_metadata.pb").write_bytes(message)
    with pytest.raises(Refused, match=reason):
        open_checkpoint(str(folder), foreign=True)


MODEL = {
    "identifier": "_tf_keras_sequential",
    "class_name": "Sequential",
    "keras_version": "2.4.0",
    "model_config": bundles.sequential(*SIZES),
}


def test_layers_that_are_called_otherwise(folder: Path) -> None:
    message = bundles.saved_nodes(MODEL, [(1, "root.layer-0", {"name": "other"})])
    (folder / "keras_metadata.pb").write_bytes(message)
    with pytest.raises(Refused, match="layer-0 is d0 in the architecture, and 'other' among the saved layers"):
        open_checkpoint(str(folder), foreign=True)


def test_older_versions_keep_metadata_in_the_graph(folder: Path) -> None:
    (folder / "keras_metadata.pb").unlink()
    (folder / "saved_model.pb").write_bytes(bundles.saved_objects(MODEL, layers=9))
    with open_checkpoint(str(folder), foreign=True) as found:
        assert found.keras_version == "2.4.0"
        read = values(found)
    assert all((read[path] == array).all() for path, array in expected(*SIZES))


@pytest.mark.parametrize(
    ("reason", "message"),
    {
        "damaged: its saved_model.pb has": b"\xff",
        "without metadata of Keras": bundles.saved_objects({"identifier": "_generic_user_object"}),
        "no Keras model but a part of one": bundles.saved_objects({"identifier": "_tf_keras_layer"}),
        "what it tells of 'object 0'": bundles.field(2, bundles.field(7, bundles.field(1, bundles.field(
            4, bundles.field(1, "_tf_keras_model") + bundles.field(3, "{"))))),
    }.items(),
)  # fmt: skip
def test_graphs_that_tell_no_model(reason: str, message: bytes, folder: Path) -> None:
    (folder / "keras_metadata.pb").unlink()
    (folder / "saved_model.pb").write_bytes(message)
    with pytest.raises(Refused, match=reason):
        open_checkpoint(str(folder), foreign=True)


def test_a_saved_model_without_metadata(folder: Path) -> None:
    (folder / "keras_metadata.pb").unlink()
    with pytest.raises(Refused, match="TFSMLayer"):
        wtool.convert(folder)


@pytest.mark.parametrize("command", ["inspect", "prune", "average"])
def test_other_commands_name_the_conversion(command: str, folder: Path, index: Path) -> None:
    options = ["--sparsity", ".5"] if command == "prune" else []
    for path in (folder.name, index.name):
        words = forkserver.wtool(command, path, *options)
        done = subprocess.run(words, cwd=folder.parent, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "wtool convert" in done.stderr
        assert done.stderr.count("\n") == 1


def test_messages_of_very_many_fields_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wtool.io.protobuf.MAX_FIELDS", 1000)
    (folder / "keras_metadata.pb").write_bytes(bundles.field(1, b"") * 1001)
    with pytest.raises(Refused, match=r"its keras_metadata\.pb has more than 1,000 fields"):
        open_checkpoint(str(folder), foreign=True)


def test_a_folder_of_checkpoints_is_told(tmp_path: Path) -> None:
    bundles.write_bundle(tmp_path / "f" / "ckpt", bundles.dense_tree(*SIZES))
    with pytest.raises(wtool.WtoolError, match=r"takes one by its name, such as ckpt\.index"):
        wtool.convert(tmp_path / "f")


def test_an_index_of_another_name(index: Path) -> None:
    shutil.copy(index, index.parent / "renamed")
    with pytest.raises(Refused, match=r"without the ending \.index"):
        open_checkpoint(os.fspath(index.parent / "renamed"), foreign=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a SavedModel."""
    folder = bundles.write_saved_model(tmp_path_factory.mktemp("whole"), *SIZES)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_changed_bytes_are_seen_or_harmless(
    data: st.DataObject, whole: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever bytes are changed, cut off or put in: the file is refused, or is a model."""
    name = data.draw(st.sampled_from([name for name in sorted(whole) if name != "saved_model.pb"]))
    at = data.draw(st.integers(0, len(whole[name]) - 1))
    new, gone = data.draw(st.binary(max_size=4)), data.draw(st.integers(0, 4))
    folder = tmp_path_factory.getbasetemp() / "changed"
    for each, content in whole.items():
        (folder / each).parent.mkdir(parents=True, exist_ok=True)
        (folder / each).write_bytes(content[:at] + new + content[at + gone :] if each == name else content)
    with suppress(Refused), open_checkpoint(str(folder), foreign=True) as found:
        found.finish()
