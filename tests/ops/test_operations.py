"""The transforms on files: real models of many Keras versions, what changes in them and what must not."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.models import BLOBS, FIXTURES, ZOO, Array, arrays, changed, hdf5_bytes
from tests.real_models import Saved, saved_files
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.run.action import Action
from wtool.run.selection import by_role

TRAINED, INITIAL = BLOBS[-1], BLOBS[0]
ONE_OF_EACH_DTYPE = ["k3.15.1/mlp.keras", "k3.15.1/pure_f16.keras", "k3.0.5/pure_bf16.keras", "k3.15.1/f64_model.keras"]
LINEAGE = "wtool_lineage"


def opened(path: Path) -> Checkpoint:
    return wtool.open_checkpoint(str(path))


def kernels(path: Path) -> list[Tensor]:
    with opened(path) as checkpoint:
        return [tensor for tensor in checkpoint.weights if tensor.role.endswith("kernel")]


def slots(path: Path, name: str) -> dict[str, Tensor]:
    """Path of each weight -> its slot of this name."""
    with opened(path) as checkpoint:
        found = {tensor.slot.weight: tensor for tensor in checkpoint.slots if tensor.slot and tensor.slot.name == name}
    return {weight: tensor for weight, tensor in found.items() if weight}


def lineage(path: Path) -> tuple[dict[str, Any], ...]:
    with opened(path) as checkpoint:
        return tuple(record.to_json() for record in checkpoint.lineage)


def pruned(values: Array, sparsity: float) -> Array:
    """Magnitude pruning with a stable sort."""
    flat = np.abs(values.astype(np.float64)).ravel()
    result = values.copy()
    result.reshape(-1)[np.argsort(flat, kind="stable")[: round(sparsity * flat.size)]] = 0
    return result


def same_but(old: Path, new: Path, names: set[str]) -> None:
    """Every array but those in `names` is the same to the byte, and so is the rest of an archive."""
    before, after = arrays(old), arrays(new)
    assert before.keys() == after.keys()
    for name, value in before.items():
        if name not in names:
            assert after[name].tobytes() == value.tobytes(), name
    if zipfile.is_zipfile(old):
        with zipfile.ZipFile(old) as left, zipfile.ZipFile(new) as right:
            assert right.testzip() is None
            assert left.namelist() == right.namelist()
            assert all(
                left.read(each) == right.read(each)
                for each in left.namelist()
                if each not in ("metadata.json", "model.weights.h5")
            )


@pytest.mark.parametrize("name", ONE_OF_EACH_DTYPE)
def test_pruning_a_file(name: str, tmp_path: Path) -> None:
    source, target = ZOO / name, tmp_path / "out.keras"
    (done,) = wtool.prune(source, sparsity=0.7, output=target)
    before, after = arrays(source), arrays(target)
    own = kernels(source)
    for tensor in own:
        expected = pruned(before[tensor.stored], 0.7)
        assert after[tensor.stored].tobytes() == expected.tobytes(), tensor.path
    sizes = [before[tensor.stored].size for tensor in own]
    assert (done.selected, done.rewritten) == (sum(sizes), sum(round(0.7 * size) for size in sizes))
    assert done.zeros == done.rewritten
    moments = {tensor.stored for tensor in slots(source, "momentum").values()}
    same_but(source, target, {tensor.stored for tensor in own} | moments)


@pytest.mark.parametrize("saved", saved_files(), ids=str)
def test_every_real_file(saved: Saved, tmp_path: Path) -> None:
    """Kernels change as the formula says; everything else in the file stays, whatever its format and its layers."""
    target = tmp_path / saved.path.name
    with opened(saved.path) as checkpoint:
        own = [tensor for tensor in checkpoint.weights if tensor.role.endswith("kernel") and tensor.copy_of is None]
        moving = [
            t for t in checkpoint.slots if t.slot and t.slot.name in ("momentum", "average", "gradient_accumulator")
        ]
    if not own:
        with pytest.raises(wtool.WtoolError, match="nothing is selected"):
            wtool.prune(saved.path, sparsity=0.5, output=target)
        return
    if not all(tensor.dtype.startswith(("float", "bfloat")) for tensor in own):
        with pytest.raises(wtool.Refused, match="which cannot be changed"):
            wtool.prune(saved.path, sparsity=0.5, output=target)
        return
    wtool.prune(saved.path, sparsity=0.5, output=target)
    with opened(saved.path) as old, opened(target) as new:
        assert new.lineage[-1].operation == "prune"
        touched = {tensor.path for tensor in (*own, *moving)}
        for left, right in zip(old.tensors, new.tensors, strict=True):
            before, after = old.read(left), new.read(right)
            if left in own:
                assert after.tobytes() == pruned(before, 0.5).tobytes(), left.path
            elif left.path not in touched and left.copy_of is None:
                assert after.tobytes() == before.tobytes(), left.path


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "name", ["mlp.keras", "mlp.h5", "pure_f16.keras", "mha.keras", "rnn.keras", "nested_frozen.keras"]
)
def test_keras_loads_every_result(name: str, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    source, suffix = ZOO / "k3.15.1" / name, Path(name).suffix
    wtool.prune(source, sparsity=0.5, output=tmp_path / f"pruned{suffix}")
    wtool.randomize(tmp_path / f"pruned{suffix}", initial=source, output=tmp_path / f"ticket{suffix}", seed=1)
    for result in (tmp_path / f"pruned{suffix}", tmp_path / f"ticket{suffix}"):
        model = keras.models.load_model(result, compile=False)
        loaded = sorted(np.asarray(value).tobytes() for value in model.get_weights())
        with opened(result) as checkpoint:
            read = [checkpoint.read(tensor).tobytes() for tensor in checkpoint.weights if tensor.role != "seed state"]
        assert set(read) <= set(loaded) or loaded == sorted(read)


# The optimizer


def test_momentum_goes_where_weights_went(tmp_path: Path) -> None:
    wtool.prune(TRAINED, sparsity=0.6, output=tmp_path / "out.keras")
    before, after = arrays(TRAINED), arrays(tmp_path / "out.keras")
    for tensor in kernels(TRAINED):
        moment = slots(TRAINED, "momentum")[tensor.path].stored
        gone = after[tensor.stored] == 0
        assert before[moment][gone].any()
        expected = np.where(gone, np.float32(0), before[moment])
        assert after[moment].tobytes() == expected.tobytes()
    same_but(TRAINED, tmp_path / "out.keras", {
        each.stored for tensor in kernels(TRAINED) for each in (tensor, slots(TRAINED, "momentum")[tensor.path])
    })  # fmt: skip


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_second_moments_stay_and_moving_averages_follow(suffix: str, tmp_path: Path) -> None:
    source, target = ZOO / f"k3.6.0/ema_adamw.{suffix}", tmp_path / f"out.{suffix}"
    rng = np.random.default_rng(0)
    full = changed(
        source, tmp_path / f"full.{suffix}", lambda name, a: a + rng.random(a.shape) if a.dtype.kind == "f" else a
    )
    wtool.stroke(full, volatility_ratio=0.3, low_bound=5.0, high_bound=6.0, seed=4, output=target)
    before, after = arrays(full), arrays(target)
    for tensor in kernels(full):
        struck = before[tensor.stored] != after[tensor.stored]
        assert np.count_nonzero(struck) == round(0.3 * struck.size)
        first, second, average = (slots(full, name)[tensor.path].stored for name in ("momentum", "velocity", "average"))
        assert after[first].tobytes() == np.where(struck, np.float32(0), before[first]).tobytes()
        assert after[second].tobytes() == before[second].tobytes()
        assert after[average].tobytes() == np.where(struck, after[tensor.stored], before[average]).tobytes()


@pytest.mark.parametrize("mode", ["keep", "reset", "drop"])
def test_optimizer_modes(mode: str, tmp_path: Path) -> None:
    wtool.prune(TRAINED, sparsity=0.6, output=tmp_path / "out.keras", optimizer=mode)
    with opened(TRAINED) as old, opened(tmp_path / "out.keras") as new:
        if mode == "drop":
            assert not new.slots
            return
        for left, right in zip(old.slots, new.slots, strict=True):
            assert left.slot is not None
            if mode == "keep" or left.slot.name == "learning_rate":
                assert new.read(right).tobytes() == old.read(left).tobytes()
            else:
                assert not new.read(right).any()


def test_what_the_file_does_not_tell_is_kept_and_said(tmp_path: Path) -> None:
    source = FIXTURES / "bn" / "ckpt-9.weights.h5"
    (done,) = wtool.prune(source, sparsity=0.5, output=tmp_path / "out.weights.h5")
    with opened(source) as checkpoint:
        unclear = [
            tensor for tensor in checkpoint.slots if tensor.slot and tensor.slot.name.startswith(("slot", "unknown"))
        ]
    assert bool(unclear) == any("does not tell" in note for note in done.notes)


@pytest.mark.tensorflow
def test_a_weight_that_is_stored_twice_stays_one(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    inner = keras.layers.Dense(30, name="inner")
    model = keras.Sequential(
        [keras.Input((20,)), keras.layers.SpectralNormalization(inner, name="sn"), keras.layers.Dense(2)]
    )
    model.save(tmp_path / "model.keras")
    (done,) = wtool.stroke(tmp_path / "model.keras", volatility_ratio=0.4, seed=1, output=tmp_path / "out.keras")
    assert done.selected == 20 * 30 + 30 * 2
    with opened(tmp_path / "out.keras") as checkpoint:
        named = {tensor.path: checkpoint.read(tensor) for tensor in checkpoint.weights}
    assert np.array_equal(named["sn/kernel"], named["sn/inner/kernel"])
    assert not np.array_equal(named["sn/kernel"], np.asarray(inner.kernel))
    loaded = keras.models.load_model(tmp_path / "out.keras")
    assert np.array_equal(np.asarray(loaded.layers[0].layer.kernel), named["sn/inner/kernel"])


def test_emptied_biases_take_their_slots_along(tmp_path: Path) -> None:
    source = ZOO / "k3.6.0/ema_adamw.keras"
    rng = np.random.default_rng(0)
    full = changed(
        source, tmp_path / "full.keras", lambda name, a: a + rng.random(a.shape) if a.dtype.kind == "f" else a
    )
    for mode in ("follow", "reset"):
        target = tmp_path / f"{mode}.keras"
        wtool.reshuffle(full, initial=full, seed=1, optimizer=mode, output=target)
        with opened(full) as checkpoint:
            biases = [t for t in checkpoint.weights if t.role == "bias" and t.path in slots(full, "average")]
        before, after = arrays(full), arrays(target)
        assert biases
        for bias in biases:
            assert before[slots(full, "average")[bias.path].stored].any()
            assert not after[bias.stored].any()
            assert not after[slots(full, "average")[bias.path].stored].any()
            assert not after[slots(full, "momentum")[bias.path].stored].any()


@pytest.mark.parametrize(
    "options", [{"sparsity": 0.0}, {"sparsity": 0.5, "last_layer_scale": 0.0}, {"min_value": 50.0, "max_value": 60.0}]
)
def test_zeros_are_counted_where_nothing_changes(options: dict[str, Any], tmp_path: Path) -> None:
    wtool.prune(TRAINED, sparsity=0.5, output=tmp_path / "half.keras")
    (done,) = wtool.prune(tmp_path / "half.keras", **options, output=tmp_path / "out.keras")
    found = arrays(tmp_path / "out.keras")
    assert done.zeros == sum(int(np.count_nonzero(found[tensor.stored] == 0)) for tensor in kernels(TRAINED)) == 63


def test_the_output_layer_is_known_even_if_it_is_not_selected(tmp_path: Path) -> None:
    (done,) = wtool.prune(TRAINED, sparsity=0.8, last_layer_scale=0.5, exclude=["output/*"], dry_run=True)
    assert done.actions["hidden/kernel"] == Action("rewritten", "40 of 50 rewritten; 40 are zero", 50, 40, 40)
    assert "no kernel of an output layer is selected" in done.notes
    (done,) = wtool.prune(TRAINED, sparsity=0.8, last_layer_scale=0.5, dry_run=True)
    assert str(done.actions["output/kernel"]) == "30 of 75 rewritten; 30 are zero"
    assert "the output layer's kernel is output/kernel" in done.notes


# Lottery tickets


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    wtool.prune(TRAINED, sparsity=0.6, output=tmp_path / "mask.keras")
    return tmp_path / "mask.keras"


def test_a_ticket_is_the_initial_checkpoint_under_a_mask(mask: Path, tmp_path: Path) -> None:
    wtool.rewind(mask, initial=INITIAL, output=tmp_path / "ticket.keras")
    wi, model, result = arrays(INITIAL), arrays(mask), arrays(tmp_path / "ticket.keras")
    own = {tensor.stored for tensor in kernels(mask)}
    for name in own:
        assert result[name].tobytes() == np.where(model[name] != 0, wi[name], np.float32(0)).tobytes()
    same_but(INITIAL, tmp_path / "ticket.keras", own)
    (record,) = lineage(tmp_path / "ticket.keras")
    assert [(entry["name"], entry["as"]) for entry in record["inputs"]] == [
        (INITIAL.name, "initial"),
        ("mask.keras", "mask"),
    ]


@pytest.mark.parametrize("operation", ["randomize", "reshuffle", "constant"])
@pytest.mark.parametrize("keep", [False, True])
def test_biases(operation: str, keep: bool, mask: Path, tmp_path: Path) -> None:
    done = getattr(wtool, operation)(mask, initial=INITIAL, keep_biases=keep, seed=1, output=tmp_path / "ticket.keras")
    wi, result = arrays(INITIAL), arrays(tmp_path / "ticket.keras")
    with opened(INITIAL) as checkpoint:
        biases = [tensor.stored for tensor in checkpoint.weights if tensor.role == "bias"]
    assert len(biases) == 2
    for name in biases:
        assert wi[name].any()
        assert result[name].tobytes() == (wi[name] if keep else np.zeros_like(wi[name])).tobytes()
    assert str(done[0].actions["hidden/bias"]) == ("kept" if keep else "set to 0")
    same_but(INITIAL, tmp_path / "ticket.keras", {tensor.stored for tensor in kernels(mask)} | set(biases))


def test_only_the_biases_of_what_is_selected(mask: Path, tmp_path: Path) -> None:
    wtool.constant(mask, initial=INITIAL, value=0.5, include=["hidden/kernel"], output=tmp_path / "ticket.keras")
    with opened(tmp_path / "ticket.keras") as result, opened(INITIAL) as initial:
        new = {tensor.path: result.read(tensor) for tensor in result.weights}
        old = {tensor.path: initial.read(tensor) for tensor in initial.weights}
    assert set(np.abs(new["hidden/kernel"]).ravel().tolist()) == {0.0, 0.5}
    assert not new["hidden/bias"].any()
    assert new["output/kernel"].tobytes() == old["output/kernel"].tobytes()
    assert new["output/bias"].tobytes() == old["output/bias"].tobytes()


def test_fresh_values_come_from_the_configuration(mask: Path, tmp_path: Path) -> None:
    def he(text: str) -> str:
        assert "GlorotUniform" in text
        return text.replace("GlorotUniform", "HeUniform")

    initial = changed(INITIAL, tmp_path / "he.keras", lambda name, value: value, he)
    limits = []
    for number, start in enumerate((INITIAL, initial)):
        wtool.randomize(mask, initial=start, seed=1, output=tmp_path / f"ticket{number}.keras")
        values = arrays(tmp_path / f"ticket{number}.keras")[kernels(mask)[1].stored]
        limits.append(np.abs(values).max())
    assert limits[0] <= np.sqrt(6 / (25 + 3)) < limits[1] <= np.sqrt(6 / 25)


def test_formats_may_differ(tmp_path: Path) -> None:
    folder = FIXTURES / "bn"
    wtool.prune(folder / "ckpt-11.keras", sparsity=0.5, output=tmp_path / "mask.keras")
    (done,) = wtool.rewind(tmp_path / "mask.keras", initial=folder / "ckpt-9.h5")
    assert done.output == str(tmp_path / "mask-rewind.h5")
    wi = arrays(folder / "ckpt-9.h5")
    result = arrays(tmp_path / "mask-rewind.h5")
    for initial, other in zip(kernels(folder / "ckpt-9.h5"), kernels(tmp_path / "mask.keras"), strict=True):
        kept = arrays(tmp_path / "mask.keras")[other.stored] != 0
        assert result[initial.stored].tobytes() == np.where(kept, wi[initial.stored], np.float32(0)).tobytes()


def test_criteria_read_the_initial_checkpoint(tmp_path: Path) -> None:
    wtool.prune(TRAINED, sparsity=0.5, criterion="mov", initial=INITIAL, output=tmp_path / "out.keras")
    wf, wi, result = arrays(TRAINED), arrays(INITIAL), arrays(tmp_path / "out.keras")
    for tensor in kernels(TRAINED):
        moved = np.abs(wf[tensor.stored].astype(np.float64) - wi[tensor.stored]).ravel()
        gone = np.argsort(moved, kind="stable")[: round(0.5 * moved.size)]
        assert np.flatnonzero(result[tensor.stored] == 0).tolist() == sorted(gone.tolist())


def test_another_architecture_is_refused(mask: Path, tmp_path: Path) -> None:
    with pytest.raises(wtool.Refused, match="does not match"):
        wtool.rewind(mask, initial=ZOO / "k3.15.1/mlp.keras", output=tmp_path / "ticket.keras")
    assert not (tmp_path / "ticket.keras").exists()


# Lineage


def test_the_lineage_tells_what_was_done(tmp_path: Path) -> None:
    wtool.stroke(TRAINED, volatility_ratio=0.2, seed=7, exclude=["output/*"], output=tmp_path / "out.keras")
    (record,) = lineage(tmp_path / "out.keras")
    assert record["operation"] == "stroke"
    assert record["seed"] == 7
    assert record["wtool"] == wtool.__version__
    assert record["parameters"]["volatility_ratio"] == 0.2
    assert record["parameters"]["exclude"] == ["output/*"]
    from blake3 import blake3

    digest = blake3(TRAINED.read_bytes()).hexdigest()
    assert record["inputs"] == [{"name": TRAINED.name, "as": "model", "hash": f"blake3:{digest}"}]


def test_strokes_are_counted_by_the_lineage(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    shutil.copy(TRAINED, path)
    counts = []
    for _ in range(4):
        (done,) = wtool.stroke(path, volatility_ratio=0.4, decay=0.5, cutoff=3, in_place=True)
        counts.append(done.rewritten)
    assert counts == [20 + 30, 10 + 15, 5 + round(7.5), 0]
    assert any("nothing changes" in note for note in done.notes)
    assert [record["operation"] for record in lineage(path)] == ["stroke"] * 4


def test_a_fresh_seed_is_drawn_and_told(tmp_path: Path) -> None:
    results = [wtool.stroke(TRAINED, output=tmp_path / f"{n}.keras")[0] for n in range(2)]
    assert results[0].seed != results[1].seed
    assert [lineage(tmp_path / f"{n}.keras")[0]["seed"] for n in range(2)] == [done.seed for done in results]
    wtool.stroke(TRAINED, seed=results[0].seed, output=tmp_path / "again.keras")
    assert hdf5_bytes(tmp_path / "again.keras") == hdf5_bytes(tmp_path / "0.keras")
    assert hdf5_bytes(tmp_path / "1.keras") != hdf5_bytes(tmp_path / "0.keras")
    assert wtool.prune(TRAINED, sparsity=0.5, output=tmp_path / "p.keras")[0].seed is None


# Selection


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"conv/kernel", "dense/kernel"}),
        ({"biases": True}, {"conv/kernel", "conv/bias", "dense/kernel", "dense/bias"}),
        ({"biases": True, "weights": False}, {"conv/bias", "dense/bias"}),
        ({"include": ["dense/*"]}, {"dense/kernel"}),
        ({"include": ["*"]}, {"conv/kernel", "dense/kernel"}),
        ({"include": ["bn*"]}, set()),
        ({"include": ["bn/*"]}, set()),
        ({"include": ["bn/gamma"]}, {"bn/gamma"}),
        ({"include": ["*/gamma", "dense/kernel"]}, {"bn/gamma", "dense/kernel"}),
        ({"include": ["*moving*"], "weights": False}, {"bn/moving_mean", "bn/moving_variance"}),
        ({"include": ["table/emb*"]}, {"table/embeddings"}),
        ({"exclude": ["dense/*"]}, {"conv/kernel"}),
        ({"include": ["*/bias"]}, set()),
        ({"include": ["b*"]}, set()),
        ({"include": ["[!x]*"]}, {"conv/kernel", "dense/kernel"}),
        ({"include": ["*gamma"]}, {"bn/gamma"}),
    ],
)
def test_selection(options: dict[str, Any], expected: set[str]) -> None:
    roles = {
        "conv": ("kernel", "bias"),
        "bn": ("gamma", "beta", "moving_mean", "moving_variance"),
        "table": ("embeddings",),
        "dense": ("kernel", "bias"),
        "seeds": ("seed_state",),
    }
    weights = [
        Tensor(f"{layer}/{role}", role, layer, None, None, (2,), "uint32" if layer == "seeds" else "float32", "", 0, 8)
        for layer, own in roles.items()
        for role in own
    ]
    chosen = by_role(
        weights,
        options.get("include", ()),
        options.get("exclude", ()),
        options.get("weights", True),
        options.get("biases", False),
    )
    assert {tensor.path for tensor in chosen} == expected
    with pytest.raises(wtool.Usage, match="like 'dnse"):
        by_role(weights, ["dnse/*"], (), True, False)
    with pytest.raises(wtool.Refused, match="uint32 values"):
        by_role(weights, ["seeds/seed_state"], (), True, False)


def test_nothing_selected_is_an_error() -> None:
    with pytest.raises(wtool.WtoolError, match="nothing is selected"):
        wtool.prune(TRAINED, sparsity=0.5, weights=False, dry_run=True)


# Words and places


def test_a_dry_run_does_all_but_write(tmp_path: Path) -> None:
    source = tmp_path / "model.keras"
    shutil.copy(TRAINED, source)
    (done,) = wtool.prune(source, sparsity=0.6, dry_run=True)
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]
    assert (done.output, done.rewritten) == (None, 30 + 45)
    assert str(done.actions["hidden/kernel"]) == "30 of 50 rewritten; 30 are zero"
    assert done.actions["optimizer/momentum/hidden/kernel"] == Action("reset", "0 where hidden/kernel changed")
    (real,) = wtool.prune(source, sparsity=0.6)
    assert real.actions == done.actions
    assert real.output == str(tmp_path / "model-prune.keras")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"criterion": "mov"}, "needs an initial checkpoint"),
        ({"initial": "-"}, "plays no part"),
        ({"in_place": True, "output": "x.keras"}, "no other output"),
        ({"optimizer": "forget"}, "no optimizer mode"),
        ({"include": "dense*"}, "a list of texts"),
        ({"jobs": 0}, "at least one"),
        ({"seed": -1}, "not negative"),
        ({"output": "x.h5"}, "has the format of its input, keras"),
    ],
)
def test_words_that_do_not_go_together(
    options: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(wtool.Usage, match=words):
        wtool.prune(TRAINED, sparsity=0.5, **options)
    assert not any(tmp_path.iterdir())


def test_an_initial_checkpoint_that_is_not_needed_is_noted(tmp_path: Path) -> None:
    """Scripts name it for every criterion; the result is the same without it."""
    for name, more in (("with.keras", {"initial": INITIAL}), ("without.keras", {})):
        (done,) = wtool.prune(TRAINED, sparsity=0.5, criterion="lf", output=tmp_path / name, **more)
        assert list(done.notes) == [f"{INITIAL} plays no part in this prune"] * len(more)
    assert (tmp_path / "with.keras").read_bytes() == (tmp_path / "without.keras").read_bytes()


def test_an_unknown_option_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="no option colour"):
        wtool.prune(TRAINED, sparsity=0.5, colour="red")  # type: ignore[call-arg]


def test_in_place(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    shutil.copy(TRAINED, path)
    os.chmod(path, 0o640)
    wtool.prune(path, sparsity=0.6, in_place=True)
    wtool.prune(TRAINED, sparsity=0.6, output=tmp_path / "other.keras")
    assert hdf5_bytes(path) == hdf5_bytes(tmp_path / "other.keras")
    assert path.stat().st_mode & 0o777 == 0o640


def test_sharded_models(tmp_path: Path) -> None:
    for path in (ZOO / "k3.12.4").glob("sharded*"):
        shutil.copy(path, tmp_path)
    (done,) = wtool.prune(tmp_path / "sharded.weights.json", sparsity=0.5)
    assert done.output == str(tmp_path / "sharded-prune.weights.json")
    with opened(tmp_path / "sharded.weights.json") as old, opened(Path(done.output)) as new:
        for left, right in zip(old.weights, new.weights, strict=True):
            expected = old.read(left) if left.role != "kernel" else pruned(old.read(left), 0.5)
            assert new.read(right).tobytes() == expected.tobytes()


def test_sharded_models_in_place(tmp_path: Path) -> None:
    """Shards are no models of their own, and those of the old map go with it."""
    for path in (ZOO / "k3.12.4").glob("sharded[._]*"):
        if path.name.endswith((".weights.json", ".weights.h5")):
            shutil.copy(path, tmp_path)
    count = len(list(tmp_path.iterdir()))
    assert count == 3
    names = []
    for _ in range(3):
        (done,) = wtool.stroke(tmp_path, in_place=True, seed=1)
        assert done.model == str(tmp_path / "sharded.weights.json")
        names.append(sorted(path.name for path in tmp_path.iterdir()))
        assert len(names[-1]) == count
    assert len(lineage(tmp_path / "sharded.weights.json")) == 3
    for path in (ZOO / "k3.12.4").glob("sharded[._]*"):
        shutil.copy(path, tmp_path)
    wtool.stroke(tmp_path / "sharded.weights.json", in_place=True, seed=1)
    assert set(names[0]) <= {path.name for path in tmp_path.iterdir()}


def test_json_of_a_result_is_complete(tmp_path: Path) -> None:
    from dataclasses import asdict

    (done,) = wtool.stroke(TRAINED, output=tmp_path / "out.keras")
    assert json.loads(json.dumps(asdict(done)))["seed"] == done.seed
