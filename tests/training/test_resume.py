"""Training that goes on, against plain Keras: to the bit, with held zeros, through signals, kills and NaN."""

from __future__ import annotations

import csv
import importlib
import inspect
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blake3 import blake3

import wtool
from tests import forkserver
from tests.models import HOSTILE, ZOO, Array
from tests.steps import Steps

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")
h5py = pytest.importorskip("h5py")
datasets = pytest.importorskip("sklearn.datasets")
tensorflow = pytest.importorskip("tensorflow")
data = pytest.importorskip("wtool.training.data.reading")
fingerprints = pytest.importorskip("wtool.training.data.fingerprints")
samples = pytest.importorskip("wtool.training.data.samples")

COUNT = 600
KERAS_2 = ZOO / "tf2.10" / "mlp.h5"
DIGITS = datasets.load_digits(return_X_y=True)
X, Y = (DIGITS[0] / 16).astype(np.float32)[:COUNT], DIGITS[1][:COUNT]
QUIET = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": os.getcwd()}


def model(optimizer: Any = "adam", compiled: bool = True) -> Any:
    keras.utils.set_random_seed(4)
    made = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(16, activation="relu", name="hidden"),
            keras.layers.Dropout(0.2, seed=1, name="dropout"),
            keras.layers.Dense(10, name="out"),
        ]
    )
    if compiled:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        made.compile(optimizer, loss, metrics=["accuracy"])
    return made


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an initial model and data in it, which is the current one."""
    monkeypatch.chdir(tmp_path)
    model().save("init.keras")
    np.savez("digits.npz", x=X, y=Y)
    return tmp_path


def load(path: Path | str) -> Any:
    return keras.models.load_model(path)


def state(model: Any) -> list[Array]:
    """Weights, and the optimizer's variables."""
    return [np.asarray(each).copy() for each in (*model.weights, *model.optimizer.variables)]


def assert_same(one: Any, other: Any) -> None:
    for left, right in zip(state(one), state(other), strict=True):
        assert np.array_equal(left, right)


OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "adam": lambda: keras.optimizers.Adam(0.01),
    "momentum": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "accumulated": lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=3),
    "schedule": lambda: keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(0.01, 60)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_two_and_three_epochs_are_five_of_keras(name: str, here: Path) -> None:
    model(OPTIMIZERS[name]()).save("init.keras")
    plain = load("init.keras")
    plain.fit(X, Y, epochs=5, batch_size=64, shuffle=False, verbose=0)
    options = {"data": "digits.npz", "batch_size": 64, "shuffle": False}
    wtool.resume("init.keras", epochs=2, output="two.keras", **options)
    done = wtool.resume("two.keras", epochs=3, output="five.keras", **options)
    assert_same(load("five.keras"), plain)
    assert done.epochs == 5
    lineage = wtool.inspect("five.keras")["lineage"]
    assert [record["epoch"] for record in lineage] == [2, 5]
    state_of_dropout = plain.get_layer("dropout").seed_generator.state.numpy().tolist()
    assert lineage[-1]["random_states"] == [state_of_dropout] == [[1, 50]]


def test_shuffled_epochs_are_those_of_keras_in_the_same_order(here: Path) -> None:
    plain = load("init.keras")
    for epoch in range(3):
        order = samples.order(7, epoch, COUNT)
        assert sorted(order) == list(range(COUNT))
        plain.fit(X[order], Y[order], epochs=epoch + 1, initial_epoch=epoch, batch_size=32, shuffle=False, verbose=0)
    wtool.resume("init.keras", data="digits.npz", epochs=1, seed=7, output="one.keras")
    wtool.resume("one.keras", data="digits.npz", epochs=2, seed=7, output="three.keras")
    assert_same(load("three.keras"), plain)
    assert not np.array_equal(samples.order(7, 0, COUNT), samples.order(7, 1, COUNT))
    assert not np.array_equal(samples.order(7, 0, COUNT), samples.order(8, 0, COUNT))


def test_pruned_weights_stay_zero_and_others_do_not(here: Path) -> None:
    wtool.resume("init.keras", data="digits.npz", epochs=1, output="dense.keras", seed=0)
    wtool.prune("dense.keras", sparsity=0.7, include=["hidden/*"], output="pruned.keras")
    mask = load("pruned.keras").get_layer("hidden").kernel.numpy() == 0
    done = wtool.resume("pruned.keras", data="digits.npz", epochs=2, output="held.keras", seed=0)
    held = load("held.keras").get_layer("hidden").kernel.numpy()
    assert done.held == np.count_nonzero(mask) == round(0.7 * mask.size)
    assert np.array_equal(held == 0, mask)
    again = wtool.resume("held.keras", data="digits.npz", epochs=1, output="again.keras", seed=0)
    assert again.held == done.held
    wtool.resume("pruned.keras", data="digits.npz", epochs=1, output="free.keras", seed=0, hold_zeros=False)
    assert (load("free.keras").get_layer("hidden").kernel.numpy()[mask] != 0).any()
    wtool.rewind("pruned.keras", initial="init.keras", output="ticket.keras")
    ticket = wtool.resume("ticket.keras", data="digits.npz", epochs=1, output="trained.keras", seed=0)
    assert ticket.held == done.held


def test_mixed_precision_goes_on_with_its_loss_scale(here: Path) -> None:
    """Keras loads such a model with its loss scale only under the policy that it was made under."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        plain = model(keras.optimizers.AdamW(0.01, weight_decay=0.1))
    finally:
        keras.config.set_dtype_policy("float32")
    assert isinstance(plain.optimizer, keras.optimizers.LossScaleOptimizer)
    plain.fit(X, Y, epochs=1, batch_size=32, shuffle=False, verbose=0)
    plain.save("init.keras")
    plain.get_layer("dropout").seed_generator.state.assign([1, 0])
    plain.fit(X, Y, epochs=3, batch_size=32, shuffle=False, verbose=0)
    words = {"data": "digits.npz", "shuffle": False}
    wtool.resume("init.keras", epochs=1, output="one.keras", **words)
    wtool.resume("one.keras", epochs=2, output="three.keras", **words)
    loaded = pytest.importorskip("wtool.training.loading.load").load("three.keras").model
    assert_same(loaded, plain)
    assert keras.config.dtype_policy().name == "float32"
    wtool.prune("three.keras", sparsity=0.8, output="pruned.keras")
    wtool.resume("pruned.keras", epochs=1, output="held.keras", **words)
    for mask, held in zip(load("pruned.keras").get_weights()[::2], load("held.keras").get_weights()[::2], strict=True):
        assert np.array_equal(mask == 0, held == 0)


def test_zeros_of_no_mask_are_held_only_if_asked_for(here: Path) -> None:
    made = load("init.keras")
    made.get_layer("out").kernel.assign(np.zeros((16, 10)))
    made.save("zeros.keras")
    assert wtool.resume("zeros.keras", data="digits.npz", epochs=1, output="free.keras").held == 0
    done = wtool.resume("zeros.keras", data="digits.npz", epochs=1, output="held.keras", hold_zeros=True)
    assert done.held == 160
    assert not load("held.keras").get_layer("out").kernel.numpy().any()
    assert wtool.resume("held.keras", data="digits.npz", epochs=1, output="later.keras").held == 160


def test_the_callbacks_are_those_of_the_module(here: Path) -> None:
    callbacks = pytest.importorskip("wtool.callbacks")
    plain = load("init.keras")
    used = [callbacks.Stroke(volatility_ratio=0.1, seed=3), callbacks.Pruning(min_value=-0.01, max_value=0.01)]
    plain.fit(X, Y, epochs=2, batch_size=32, shuffle=False, verbose=0, callbacks=used)
    words = {"data": "digits.npz", "epochs": 2, "seed": 3, "shuffle": False}
    wtool.resume("init.keras", **words, stroke=0.1, prune=(-0.01, 0.01), output="out.keras")
    assert_same(load("out.keras"), plain)
    for name, output in (("init.keras", "one.keras"), ("one.keras", "two.keras")):
        wtool.resume(name, **{**words, "epochs": 1}, stroke=0.1, prune=(-0.01, 0.01), output=output)
    assert_same(load("two.keras"), plain)


@pytest.mark.parametrize(
    ("option", "words", "kind", "parameters"),
    [
        (
            "stroke",
            "ratio=.3,decay=.5,cutoff=2,biases=yes,include=hidden/*,include=out/bias",
            "Stroke",
            {
                "volatility_ratio": 0.3,
                "decay": 0.5,
                "cutoff": 2,
                "do_biases": True,
                "include": ["hidden/*", "out/bias"],
            },
        ),
        ("prune", {"max_value": 0.05, "set_value": 0.01}, "Pruning", {"max_value": 0.05, "set_value": 0.01}),
        (
            "neuroplast",
            "max_value=.02,low_bound=-1,weights=no,biases=yes",
            "NeuroPlast",
            {"max_value": 0.02, "low_bound": -1, "do_weights": False, "do_biases": True},
        ),
    ],
)
def test_callbacks_take_words_for_all_their_parameters(
    option: str, words: Any, kind: str, parameters: dict[str, Any], here: Path
) -> None:
    callbacks = pytest.importorskip("wtool.callbacks")
    plain = load("init.keras")
    used = getattr(callbacks, kind)(**parameters, seed=3)
    plain.fit(X, Y, epochs=3, batch_size=100, shuffle=False, verbose=0, callbacks=[used])
    how = {"data": "digits.npz", "batch_size": 100, "seed": 3, "shuffle": False, option: words}
    wtool.resume("init.keras", epochs=1, output="one.keras", **how)
    wtool.resume("one.keras", epochs=2, output="three.keras", **how)
    assert_same(load("three.keras"), plain)
    recorded = wtool.inspect("three.keras")["lineage"][-1]["parameters"][option]
    assert recorded == parameters


def test_every_parameter_of_the_callbacks_is_a_word() -> None:
    callbacks = pytest.importorskip("wtool.callbacks")
    words = pytest.importorskip("wtool.training.callback_words").EPOCH_ENDS
    for option, kind in (("stroke", "Stroke"), ("prune", "Pruning"), ("neuroplast", "NeuroPlast")):
        known = inspect.signature(getattr(callbacks, kind)).parameters
        assert set(words[option].types) == set(known) - {"seed"}


SUBCLASSED = """
import keras
@keras.saving.register_keras_serializable("subclassed")
class Model(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.first = keras.layers.Dense(8, activation="relu")
        self.rest = [keras.layers.Dense(8, activation="relu"), keras.layers.Dense(10)]
    def call(self, x):
        for layer in (self.first, *self.rest):
            x = layer(x)
        return x
"""


def test_masks_of_subclassed_models(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their layers get names when they are made, others in each file and each process."""
    Path("subclassed.py").write_text(SUBCLASSED)
    monkeypatch.syspath_prepend(here)
    made = importlib.import_module("subclassed").Model()
    made.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    made.fit(X, Y, verbose=0)
    made.save("sub.keras")
    pattern = f"{made.rest[0].name}/*"
    wtool.prune("sub.keras", sparsity=0.75, include=[pattern], output="pruned.keras")
    words = {"data": "digits.npz", "epochs": 2, "seed": 1}
    done = wtool.resume("pruned.keras", **words, checkpoints="run", output="out.keras")
    assert done.held == 48
    result = load("out.keras")
    assert [np.count_nonzero(layer.kernel == 0) for layer in (result.first, *result.rest)] == [0, 48, 0]
    os.unlink("out.keras")
    os.unlink("run/ckpt-0002.keras")
    assert wtool.resume("pruned.keras", **words, checkpoints="run", output="out.keras").held == 48
    assert_same(load("out.keras"), result)


def test_zeros_under_lora_are_not_promised(here: Path) -> None:
    """Keras adds A B to the kernel when it saves it."""
    made = load("init.keras")
    made.get_layer("hidden").enable_lora(2)
    made.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    made.save("lora.keras")
    wtool.prune("lora.keras", sparsity=0.5, include=["hidden/kernel"], output="pruned.keras")
    with pytest.raises(wtool.WtoolError, match="zeros of hidden/kernel cannot be held: LoRA"):
        wtool.resume("pruned.keras", data="digits.npz", epochs=1)
    assert wtool.resume("pruned.keras", data="digits.npz", epochs=1, hold_zeros=False).held == 0


def test_variables_of_one_name(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer may call all of its weights `kernel`: each is held, and looked at for NaN."""
    Path("thrice.py").write_text(
        "import keras\n@keras.saving.register_keras_serializable('own')\nclass Thrice(keras.layers.Layer):\n"
        "    def build(self, shape):\n"
        "        self.own = [self.add_weight(shape=(64, 10), name='kernel') for _ in range(3)]\n"
        "    def call(self, x): return sum(x @ each for each in self.own)\n"
    )
    monkeypatch.syspath_prepend(here)
    made = keras.Sequential([keras.Input((64,)), importlib.import_module("thrice").Thrice()])
    made.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    made.save("thrice.keras")
    wtool.prune("thrice.keras", sparsity=0.5, include=["thrice/*"], output="pruned.keras")
    assert wtool.resume("pruned.keras", data="digits.npz", epochs=1, output="out.keras").held == 3 * 320
    assert [np.count_nonzero(each == 0) for each in load("out.keras").weights] == [320] * 3
    callbacks = pytest.importorskip("wtool.callbacks")
    made.fit(X, Y, verbose=0, callbacks=[callbacks.Pruning(min_value=-9, max_value=9, include=["thrice/*"])])
    assert not any(np.any(each) for each in made.get_weights())
    made.weights[1].assign(np.full((64, 10), np.nan))
    with pytest.raises(wtool.WtoolError, match="kernel_1 NaN"):
        importlib.import_module("wtool.training.saving.save").refuse_nonfinite(made)


def test_lineage_that_tells_of_other_tensors(here: Path) -> None:
    wtool.prune("init.keras", sparsity=0.5, include=["hidden/*"], output="pruned.keras")
    with wtool.open_checkpoint("pruned.keras") as found:
        record = found.lineage[-1]
    record = replace(record, parameters={**record.parameters, "include": ["elsewhere/*"]})
    saving = importlib.import_module("wtool.training.saving.save")
    saving.save(load("init.keras"), "other.keras", [record])
    words = {"data": "digits.npz", "epochs": 1, "output": "out.keras"}
    message = "its lineage tells of zeros to hold, but no tensor .* 'elsewhere.*--hold-zeros"
    with pytest.raises(wtool.WtoolError, match=message):
        wtool.resume("other.keras", **words)
    assert wtool.resume("other.keras", hold_zeros=False, **words).held == 0


FORMS: dict[str, Callable[[Array, Array], Any]] = {
    "arrays in files": lambda x, y: ["x.npy", "y.npy"],
    "parts": lambda x, y: "parts.npz",
    "by name": lambda x, y: "named.npz",
    "table": lambda x, y: "table.csv",
    "saved samples": lambda x, y: "singles",
    "saved batches": lambda x, y: "batches",
    "function of arrays": lambda x, y: "some_data:arrays",
    "function of batches": lambda x, y: "some_data:pieces",
    "arrays": lambda x, y: (x, y),
    "batches": lambda x, y: tensorflow.data.Dataset.from_tensor_slices((x, y)).batch(32),
}


@pytest.fixture(scope="module")
def trained_on_96(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The initial model after an epoch of plain Keras."""
    path = tmp_path_factory.mktemp("plain") / "init.keras"
    model().save(path)
    plain = load(path)
    plain.fit(X[:96], Y[:96], epochs=1, batch_size=32, shuffle=False, verbose=0)
    return plain


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_data_is_the_same_data(form: str, here: Path, trained_on_96: Any) -> None:
    x, y = X[:96], Y[:96]
    np.save("x.npy", x)
    np.save("y.npy", y)
    np.savez("parts.npz", x_train=x.astype(np.float64), y_train=y, x_test=X[96:128], y_test=Y[96:128])
    np.savez("named.npz", **{load("init.keras").inputs[0].name: x, "y": y})
    header = ",".join([*(f"p{i}" for i in range(64)), "digit"])
    np.savetxt("table.csv", np.column_stack([x, y]), delimiter=",", header=header, comments="")
    tensorflow.data.Dataset.from_tensor_slices((x, y)).save("singles")
    tensorflow.data.Dataset.from_tensor_slices((x, y)).batch(32).save("batches")
    (here / "some_data.py").write_text(
        "import numpy as np\ndef arrays(): return np.load('x.npy'), np.load('y.npy')\n"
        "def pieces():\n    import tensorflow as tf\n"
        "    return tf.data.Dataset.from_tensor_slices(arrays()).batch(32)\n"
    )
    done = wtool.resume("init.keras", data=FORMS[form](x, y), epochs=1, shuffle=False, output="out.keras")
    assert_same(load("out.keras"), trained_on_96)
    assert ("val_loss" in done.metrics) == (form == "parts")
    assert (
        np.load("x.npy", mmap_mode="r").shape == data.read_data(["x.npy", "y.npy"], None).take(np.arange(96))[0].shape
    )


def test_images_by_class(here: Path) -> None:
    pictures = [keras.utils.array_to_img(X[at].reshape(8, 8, 1) * 255, scale=False) for at in range(12)]
    for at, picture in enumerate(pictures):
        folder = here / "images" / ("zebra" if at % 2 else "ant")
        folder.mkdir(parents=True, exist_ok=True)
        picture.save(folder / f"{at}.png")
    made = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
    found = data.read_data("images", made)
    x, y = found.take(np.arange(12))
    order = [0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]
    assert y.tolist() == [0] * 6 + [1] * 6
    assert np.array_equal(x[..., 0], np.round(X[order].reshape(12, 8, 8) * 255 - 0.5).astype(np.uint8)) or np.allclose(
        x[..., 0], X[order].reshape(12, 8, 8) * 255, atol=1
    )
    made.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    made.save("images.keras")
    assert wtool.resume("images.keras", data="images", epochs=1, seed=0, validation_split=0.25).metrics["val_loss"] > 0


def test_validation_split_is_keras(here: Path) -> None:
    plain = load("init.keras")
    history = plain.fit(X, Y, epochs=1, batch_size=32, shuffle=False, verbose=0, validation_split=0.3).history
    done = wtool.resume("init.keras", data="digits.npz", epochs=1, shuffle=False, validation_split=0.3)
    assert dict(done.metrics) == {name: values[0] for name, values in history.items()}


def test_compiling(here: Path) -> None:
    model(compiled=False).save("bare.keras")
    with pytest.raises(wtool.WtoolError, match=r"bare.keras: is not compiled: it needs a loss \(--loss\) and an opt"):
        wtool.resume("bare.keras", data="digits.npz", epochs=1)
    loss = "sparse_categorical_crossentropy"
    done = wtool.resume("bare.keras", data="digits.npz", epochs=1, loss=loss, new_optimizer="sgd", metrics=["accuracy"])
    assert set(done.metrics) == {"loss", "accuracy"}
    trained = load("bare-resume.keras")
    assert (type(trained.optimizer).__name__, trained.loss) == ("SGD", loss)
    wtool.resume("bare-resume.keras", data="digits.npz", epochs=1, learning_rate=0.5, output="fast.keras")
    fast = load("fast.keras")
    assert (float(fast.optimizer.learning_rate), int(fast.optimizer.iterations)) == (0.5, 38)
    for wrong in ({"loss": "nonsense"}, {"metrics": ["nonsense"]}, {"new_optimizer": "nonsense"}):
        with pytest.raises(wtool.Usage, match="nonsense"):
            wtool.resume("init.keras", data="digits.npz", epochs=1, output="x.keras", **wrong)
    assert not os.path.exists("x.keras")


def test_a_lost_optimizer_is_no_fresh_one(here: Path) -> None:
    trained = model()
    trained.get_layer("hidden").trainable = False
    trained.compile("adam", trained.loss)
    trained.fit(X, Y, verbose=0)
    trained.get_layer("hidden").trainable = True
    trained.save("thawed.keras")
    with pytest.raises(wtool.WtoolError, match=r"is at step 19 in the file and at 0 when loaded; --new-optimizer"):
        wtool.resume("thawed.keras", data="digits.npz", epochs=1)
    wtool.resume("thawed.keras", data="digits.npz", epochs=1, new_optimizer="adam")


@pytest.mark.parametrize(
    ("first", "told"),
    [
        ("saved", "its configuration lost the optimizer whose state is stored"),
        ("loaded", "the state of its optimizer is lost: only its step is stored"),
    ],
)
def test_an_optimizer_that_was_lost_through_hdf5_is_told_with_the_cause(first: str, told: str, here: Path) -> None:
    trained = load("init.keras")
    trained.fit(X, Y, verbose=0)
    trained.save("way.h5")
    (trained if first == "saved" else load("way.h5")).save("lost.keras")
    with pytest.raises(wtool.WtoolError, match=rf"^lost\.keras: {told}.*\.h5.*; --new-optimizer starts another$"):
        wtool.resume("lost.keras", data="digits.npz", epochs=1)
    wtool.resume("lost.keras", data="digits.npz", epochs=1, new_optimizer="adam")


def test_checkpoints_and_logs(here: Path) -> None:
    words = {"data": "digits.npz", "seed": 2, "checkpoints": "run", "save_every": 2, "log": "log.csv"}
    wtool.resume("init.keras", epochs=3, output="three.keras", **words)
    wtool.resume("three.keras", epochs=3, output="six.keras", **{**words, "log": "log.jsonl"})
    assert sorted(os.listdir("run")) == ["ckpt-0002.keras", "ckpt-0004.keras", "ckpt-0006.keras"]
    assert_same(load("run/ckpt-0006.keras"), load("six.keras"))
    wtool.average(["run"], output="average.keras")
    with open("log.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    lines = [json.loads(line) for line in Path("log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [4, 5, 6]
    assert lines[-1]["loss"] < float(rows[0]["loss"])
    assert not os.path.exists("log-1.csv")
    with pytest.raises(wtool.WtoolError, match=r"ckpt-0002.keras: exists already, and is of another training"):
        wtool.resume("init.keras", epochs=3, output="other.keras", **{**words, "seed": 3})
    wtool.resume("init.keras", epochs=2, output="other.keras", **{**words, "seed": 3}, force=True)
    assert [line.split(",")[0] for line in Path("log.csv").read_text().splitlines()] == ["epoch", "1", "2"]


def test_the_log_of_another_training_is_kept(here: Path) -> None:
    words = {"data": "digits.npz", "epochs": 2, "log": "log.csv"}
    wtool.resume("init.keras", output="one.keras", seed=1, **words)
    before = Path("log.csv").read_text()
    done = wtool.resume("init.keras", output="two.keras", seed=2, **words)
    assert done.notes == ("log.csv had epochs after 0 already: as it was, it is log-1.csv now",)
    assert Path("log-1.csv").read_text() == before != Path("log.csv").read_text()


def test_a_log_gets_the_columns_of_all_legs(here: Path) -> None:
    words = {"data": "digits.npz", "epochs": 1, "log": "log.csv", "seed": 1}
    wtool.resume("init.keras", output="one.keras", **words)
    wtool.resume("one.keras", output="two.keras", validation_split=0.2, **words)
    wtool.resume("two.keras", output="three.keras", **words)
    with open("log.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert list(rows[0]) == ["epoch", "accuracy", "loss", "val_accuracy", "val_loss"]
    assert [bool(row["val_loss"]) for row in rows] == [False, True, False]
    assert all(0 < float(row["loss"]) < 3 for row in rows)


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl"])
def test_half_a_line_of_a_killed_run_goes(name: str, here: Path) -> None:
    words = {"data": "digits.npz", "epochs": 1, "log": name, "seed": 1}
    wtool.resume("init.keras", output="one.keras", **words)
    before = Path(name).read_text()
    Path(name).write_text(before + before.splitlines()[-1][:7])
    assert wtool.resume("one.keras", output="two.keras", **words).notes == ()
    found = Path(name).read_text()
    assert found.startswith(before)
    assert len(found.splitlines()) == len(before.splitlines()) + 1


def test_a_report_that_fails_is_not_the_datas_fault(here: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        wtool.resume("init.keras", data="digits.npz", epochs=1, output="out.keras", report=lambda epoch: 1 / 0)


def test_what_cannot_be_written_is_told_before_training(here: Path) -> None:
    words = {"data": "digits.npz", "epochs": 1, "report": pytest.fail}
    for more in ({"log": "nowhere/log.csv"}, {"checkpoints": "init.keras"}):
        with pytest.raises(OSError, match=r"init\.keras|nowhere"):
            wtool.resume("init.keras", output="out.keras", **words, **more)


def test_tensorboard_has_what_the_log_has(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = {"data": "digits.npz", "validation_split": 0.2, "seed": 2, "epochs": 2, "tensorboard": "board"}
    wtool.resume("init.keras", output="two.keras", log="log.jsonl", **words)
    lines = [json.loads(line) for line in Path("log.jsonl").read_text().splitlines()]
    events = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
    tensors = importlib.import_module("tensorboard.util.tensor_util")
    for part, name in (("train", "loss"), ("validation", "val_loss")):
        board = events.EventAccumulator(f"board/{part}").Reload()
        told = [float(tensors.make_ndarray(each.tensor_proto)) for each in board.Tensors("epoch_loss")]
        assert told == pytest.approx([line[name] for line in lines], rel=1e-6)
    monkeypatch.setattr("wtool.training.checks.find_spec", lambda name: None)
    with pytest.raises(wtool.WtoolError, match="needs the package tensorboard"):
        wtool.resume("init.keras", output="three.keras", **words)


def interrupt(epoch: Any) -> None:
    """As a user who changes their mind."""
    raise KeyboardInterrupt


def test_a_finished_leg_is_skipped(here: Path) -> None:
    words = {"data": "digits.npz", "epochs": 1, "output": "out.keras"}
    first = wtool.resume("init.keras", **words)
    before = Path("out.keras").read_bytes()
    second = wtool.resume("init.keras", **words)
    assert (second.skipped, second.seed) == (True, first.seed)
    assert Path("out.keras").read_bytes() == before
    os.makedirs("run")
    again = wtool.resume("init.keras", **words, seed=first.seed, checkpoints="run", force=True)
    assert (again.skipped, again.epochs, list(again.metrics)) == (False, 1, ["accuracy", "loss"])
    assert os.listdir("run") == ["ckpt-0001.keras"]
    more = {"data": "digits.npz", "output": "more.keras", "checkpoints": "run", "force": True}
    wtool.resume("init.keras", epochs=3, seed=1, **more)
    saved = sorted(os.listdir("run"))
    with pytest.raises(KeyboardInterrupt):
        wtool.resume("init.keras", epochs=3, seed=2, report=interrupt, **more)
    assert (saved, os.listdir("run")) == ([f"ckpt-000{number}.keras" for number in (1, 2, 3)], [])
    for other in ({"batch_size": 16}, {"seed": first.seed + 1}, {"data": (X, Y)}):
        with pytest.raises(wtool.WtoolError, match="exists already"):
            wtool.resume("init.keras", **{**words, **other})
    np.savez("digits.npz", x=X, y=np.roll(Y, 1))
    with pytest.raises(wtool.WtoolError, match="exists already"):
        wtool.resume("init.keras", **words)


def test_a_folder_for_the_result_is_made(here: Path) -> None:
    words: dict[str, Any] = {"data": "digits.npz", "epochs": 1, "seed": 1, "output": "new/deep/"}
    assert wtool.resume("init.keras", **words).output == "new/deep/init.keras"
    assert Path("new/deep/init.keras").is_file()
    assert wtool.resume("init.keras", **words).skipped
    with pytest.raises(wtool.WtoolError, match="does not exist"):
        wtool.resume("init.keras", **words | {"output": "missing/init.keras"})


def test_lineage_tells_the_content_of_the_data(here: Path) -> None:
    for name in ("a/1.png", "a/2.png", "b/1.png"):
        os.makedirs(os.path.dirname(f"images/{name}"), exist_ok=True)
        Path(f"images/{name}").write_bytes(name.encode())
    wtool.resume("init.keras", data="digits.npz", validation_data="digits.npz", epochs=1, output="out.keras")
    hashed = f"blake3:{blake3(Path('digits.npz').read_bytes()).hexdigest()}"
    with wtool.open_checkpoint("out.keras") as found:
        inputs = [each.to_json() for each in found.lineage[-1].inputs]
    assert inputs[1:] == [
        {"name": "digits.npz", "as": "data", "hash": hashed},
        {"name": "digits.npz", "as": "validation_data", "hash": hashed},
    ]
    os.makedirs("elsewhere/deep")
    Path("elsewhere/deep/1.png").write_bytes(b"linked")
    for name, target in (("c", "../elsewhere"), ("a/gone.png", "nowhere"), ("a/up", "../..")):
        os.symlink(target, f"images/{name}")
    first = fingerprints.entries("images/", "data")
    Path("elsewhere/deep/1.png").write_bytes(b"linked, and longer")
    assert fingerprints.entries("images/", "data") != first
    assert first[0].name == "images"
    Path("images/b/1.png").write_bytes(b"longer")
    second = fingerprints.entries("images", "data")
    os.rename("images/a/2.png", "images/a/3.png")
    assert len({each[0].hashes for each in (first, second, fingerprints.entries("images", "data"))}) == 3
    assert fingerprints.entries("json:loads", "data") == fingerprints.entries((X, Y), "data") == []


LEG = (
    "resume",
    "init.keras",
    "--data",
    "digits.npz",
    "--epochs",
    10,
    "--batch-size",
    4,
    "--seed",
    5,
    "-o",
    "out.keras",
)


def started(*words: object) -> subprocess.Popen[str]:
    argv = forkserver.wtool(*LEG, *words, training=True)
    return subprocess.Popen(argv, env=QUIET, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(path: str, lines: int, process: subprocess.Popen[str]) -> None:
    while not os.path.exists(path) or len(Path(path).read_text().splitlines()) < lines:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)


def uninterrupted() -> None:
    """Makes the model as it would be without interruptions."""
    model().save("init.keras")
    np.savez("digits.npz", x=X, y=Y)
    wtool.prune("init.keras", sparsity=0.5, output="pruned.keras")
    os.replace("pruned.keras", "init.keras")
    wtool.resume("init.keras", data="digits.npz", epochs=10, batch_size=4, seed=5, output="whole.keras")


def epochs_of(path: str) -> int:
    """Returns the number of whole epochs that a model was trained for."""
    found: int = wtool.inspect(path)["lineage"][-1]["epoch"]
    return found


def steps_of(path: str) -> int:
    """Returns the number of steps of a model's optimizer."""
    return int(load(path).optimizer.iterations)


def interrupted() -> None:
    process = started("--log", "log.jsonl")
    wait_for("log.jsonl", 1, process)
    process.send_signal(signal.SIGINT)
    told = process.communicate()[1]
    assert process.returncode == 130, told
    record = wtool.inspect("out.keras")["lineage"][-1]
    assert record["epoch"] >= 1
    assert "stopped after" in told
    assert "Traceback" not in told
    assert steps_of("out.keras") == 150 * record["epoch"] + record.get("batch", 0)


def terminated() -> None:
    before = steps_of("out.keras")
    process = started("--log", "log.jsonl", "--checkpoints", "run")
    wait_for("log.jsonl", epochs_of("out.keras") + 1, process)
    process.terminate()
    told = process.communicate()[1]
    assert process.returncode == 143, told
    assert steps_of("out.keras") > before


def killed() -> None:
    process = started("--log", "log.jsonl", "--checkpoints", "run")
    wait_for("log.jsonl", min(epochs_of("out.keras") + 2, 9), process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    stray = [name for name in os.listdir("run") if not name.startswith((".wtool-", "ckpt-"))]
    assert not stray


def finished() -> None:
    words = {"data": ["digits.npz"], "epochs": 10, "batch_size": 4, "seed": 5, "output": "out.keras"}
    done = wtool.resume("init.keras", **words, log="log.jsonl", checkpoints="run")
    assert done.held == round(0.5 * 64 * 16) + round(0.5 * 160)
    assert not [name for folder in (".", "run") for name in os.listdir(folder) if name.startswith(".wtool-")]
    assert_same(load("out.keras"), load("whole.keras"))
    assert [json.loads(line)["epoch"] for line in Path("log.jsonl").read_text().splitlines()] == list(range(1, 11))
    assert wtool.resume("init.keras", **words).skipped


STOPS = (uninterrupted, interrupted, terminated, killed, finished)


@pytest.fixture(scope="module")
def stops(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Steps]:
    return tmp_path_factory.mktemp("stops"), Steps(STOPS)


@pytest.mark.slow
@pytest.mark.parametrize("count", range(1, len(STOPS) + 1), ids=lambda count: STOPS[count - 1].__name__)
def test_signals_and_kills(count: int, stops: tuple[Path, Steps], monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGINT, then SIGTERM, then SIGKILL, then to the end: all that is left is equal to the bit."""
    folder, steps = stops
    monkeypatch.chdir(folder)
    steps.run(count)


def test_a_checkpoint_that_is_exchanged_before_it_is_loaded(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = pytest.importorskip("wtool.training.training_run")
    words = {"data": "digits.npz", "epochs": 2, "seed": 1, "checkpoints": "run", "output": "out.keras"}
    wtool.resume("init.keras", **words)
    os.unlink("out.keras")
    real = running.latest

    def exchanging(*found: Any) -> Any:
        Path("run/ckpt-0002.keras").write_bytes(Path("init.keras").read_bytes())
        return real(*found)

    monkeypatch.setattr(running, "latest", exchanging)
    with pytest.raises(wtool.WtoolError, match=r"ckpt-0002\.keras: changed while it was being read; run the command"):
        wtool.resume("init.keras", **words)
    assert not os.path.exists("out.keras")


@pytest.mark.parametrize("form", ["arrays", "dataset"])
def test_the_middle_of_an_epoch_is_where_it_goes_on(form: str, here: Path) -> None:
    fitting = pytest.importorskip("wtool.training.fitting.loop")
    arrays = samples.of_arrays((X, Y))
    source = arrays if form == "arrays" else tensorflow.data.Dataset.from_tensor_slices((X, Y)).batch(50)
    stop = fitting.Stop()

    class Press(keras.callbacks.Callback):  # type: ignore[misc,name-defined]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if int(self.model.optimizer.iterations) == 17:
                stop.signal = signal.SIGINT

    made, plain = load("init.keras"), load("init.keras")
    begin = fitting.Position(0)
    options = {"seed": 1, "batch_size": 50}
    at = fitting.fit(made, source, begin, 3, callbacks=[Press()], stop=stop, **options)
    assert at == fitting.Position(1, 5)
    assert fitting.fit(made, source, at, 3, **options) == fitting.Position(3)
    fitting.fit(plain, source, begin, 3, **options)
    assert_same(made, plain)


def test_an_ignored_signal_stays_ignored() -> None:
    """As `nohup` and shells want it for work in the background."""
    fitting = pytest.importorskip("wtool.training.fitting.loop")
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with fitting.stopping_on_signals(fitting.Stop()) as stop:
            signal.raise_signal(signal.SIGINT)
            assert stop.signal is None
            signal.raise_signal(signal.SIGTERM)
            assert stop.signal == signal.SIGTERM
    finally:
        signal.signal(signal.SIGINT, before)


def test_whole_models_in_hdf5(here: Path) -> None:
    """Keras itself loses the optimizer of an `.h5` file, but not that of a `.keras` file."""
    for name in ("init.h5", "init.keras"):
        load("init.keras").save(name)
        wtool.resume(name, data="digits.npz", epochs=2, seed=1, output=f"two-{name}")
        wtool.resume(f"two-{name}", data="digits.npz", epochs=1, seed=1, output=f"three-{name}")
    one, other = load("three-init.h5"), load("three-init.keras")
    assert all(np.array_equal(left, right) for left, right in zip(one.get_weights(), other.get_weights(), strict=True))
    assert [each["epoch"] for each in wtool.inspect("three-init.h5")["lineage"]] == [2, 3]
    assert wtool.inspect("three-init.h5")["optimizer"]["step"] == 57


@pytest.mark.parametrize("short", ["mse", "mae", "mape", "msle", "bce", "kld", "MSE"])
def test_short_names_of_losses_in_hdf5(short: str, here: Path) -> None:
    """Keras 3 writes them and does not read them."""
    made = keras.Sequential([keras.Input((64,)), keras.layers.Dense(10, activation="sigmoid")])
    made.compile(keras.optimizers.Adam(0.01), short, metrics=["mae"])
    targets = np.eye(10, dtype=np.float32)[Y]
    made.fit(X, targets, batch_size=60, shuffle=False, verbose=0)
    made.save("short.h5")
    told = made.fit(X, targets, batch_size=60, epochs=1, shuffle=False, verbose=0).history
    words = {"data": (X, targets), "batch_size": 60, "shuffle": False}
    done = wtool.resume("short.h5", epochs=1, output="out.h5", **words)
    assert done.metrics["loss"] == told["loss"][0]
    with wtool.open_checkpoint("out.h5") as found:
        for tensor, variable in zip(found.weights, made.weights, strict=True):
            assert np.array_equal(found.read(tensor), variable.numpy())
    assert wtool.resume("out.h5", epochs=1, output="again.h5", **words).epochs == 2


OWN_PARTS = """
import keras
register = keras.saving.register_keras_serializable("own")
@register
class Loss(keras.losses.Loss):
    def __init__(self, mode="odd", **options):
        super().__init__(**options)
        self.mode = mode
    def call(self, true, predicted): return keras.ops.mean((predicted - 1) ** 2, axis=-1)
    def get_config(self): return {**super().get_config(), "mode": self.mode}
@register
class Metric(keras.metrics.Mean):
    def update_state(self, true, predicted, sample_weight=None): super().update_state(predicted)
@register
class Start(keras.initializers.Initializer):
    def __init__(self, how="evenly"): self.how = how
    def __call__(self, shape, dtype=None): return keras.ops.ones(shape, dtype) / 64
    def get_config(self): return {"how": self.how}
@register
def activation(x): return x / 2
@register
def error(true, predicted): return keras.ops.mean(predicted, axis=-1)
"""


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_registered_parts_of_a_compilation(ending: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their settings are words that mean nothing to Keras, and nothing to be afraid of."""
    Path("own_parts.py").write_text(OWN_PARTS)
    monkeypatch.syspath_prepend(here)
    own = importlib.import_module("own_parts")
    dense = keras.layers.Dense(1, activation=own.activation, kernel_initializer=own.Start())
    made = keras.Sequential([keras.Input((64,)), dense])
    wrapped = keras.metrics.MeanMetricWrapper(own.error, name="wrapped")
    made.compile("adam", own.Loss(name="my_loss"), metrics=[own.Metric(name="my_metric"), wrapped])
    made.save(f"own{ending}")
    told = made.fit(X, Y, batch_size=32, shuffle=False, verbose=0).history
    words = {"data": "digits.npz", "epochs": 1, "shuffle": False, "imports": ["own_parts"]}
    done = wtool.resume(f"own{ending}", output=f"out{ending}", **words)
    assert done.metrics == {name: values[0] for name, values in told.items()}


def test_a_compilation_that_cannot_be_restored_can_be_replaced(here: Path) -> None:
    load("init.keras").save("init.h5")
    with h5py.File("init.h5", "r+") as file:
        config = json.loads(file.attrs["training_config"])
        config["optimizer_config"]["config"]["lr"] = 0.01
        file.attrs["training_config"] = json.dumps(config)
    words = {"data": "digits.npz", "epochs": 1, "output": "out.h5"}
    message = r"cannot compile it as it was saved \(.*lr.*\): it needs a loss \(--loss\) and an optimizer"
    with pytest.raises(wtool.WtoolError, match=message):
        wtool.resume("init.h5", **words)
    done = wtool.resume("init.h5", loss="sparse_categorical_crossentropy", new_optimizer="adam", **words)
    assert done.epochs == 1
    assert 0 < done.metrics["loss"] < np.inf


def as_keras_2(path: str, decay: float) -> None:
    """Make Adam's state in an `.h5` file what Keras 2 writes: by kind, under other names, the rate not among it."""
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["training_config"])
        config["optimizer_config"] = {
            "class_name": "Adam",
            "config": {"name": "Adam", "learning_rate": 0.01, "decay": decay, "beta_1": 0.9, "beta_2": 0.999},
        }
        file.attrs["training_config"] = json.dumps(config)
        file.attrs["keras_version"] = "2.10.0"
        group = file["optimizer_weights"]
        values = [group[name][()] for name in group.attrs["weight_names"]]
        del file["optimizer_weights"]
        weights = ["hidden/kernel", "hidden/bias", "out/kernel", "out/bias"]
        names = ["Adam/iter:0", *(f"Adam/{weight}/{kind}:0" for kind in "mv" for weight in weights)]
        group = file.create_group("optimizer_weights")
        for name, value in zip(names, [values[0], *values[2::2], *values[3::2]], strict=True):
            group[name] = value
        group.attrs["weight_names"] = [name.encode() for name in names]


def test_the_optimizer_of_a_file_of_keras_2_goes_on(here: Path) -> None:
    made = keras.Sequential(
        [keras.Input((64,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(10, name="out")]
    )
    made.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    made.fit(X, Y, verbose=0)
    made.save("two.h5")
    as_keras_2("two.h5", decay=0.0)
    made.fit(X, Y, batch_size=32, shuffle=False, epochs=2, verbose=0)
    words = {"data": "digits.npz", "epochs": 2, "shuffle": False}
    wtool.resume("two.h5", output="out.keras", **words)
    assert_same(load("out.keras"), made)
    made.save("decay.h5")
    as_keras_2("decay.h5", decay=0.1)
    with pytest.raises(wtool.WtoolError, match=r"does not know the decay .*\(0.1\); --new-optimizer starts another"):
        wtool.resume("decay.h5", output="never.keras", **words)


def test_a_real_model_of_keras_2(here: Path) -> None:
    """Configurations of its metrics name functions, which Keras 3 would call by name."""
    done = wtool.resume(KERAS_2, data=(np.ones((8, 8), np.float32), np.zeros(8)), epochs=1, output="out.h5")
    assert set(done.metrics) == {"loss", "accuracy"}
    assert [wtool.inspect(path)["optimizer"]["step"] for path in (KERAS_2, "out.h5")] == [4, 5]


def test_a_killed_average_goes_on_to_the_same(here: Path) -> None:
    """`use_ema` replaces weights when training ends: what is left behind before must not have them replaced."""
    optimizer = keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9)
    model(optimizer).save("init.keras")
    words = {"data": "digits.npz", "seed": 1, "epochs": 3}
    wtool.resume("init.keras", **words, output="whole.keras", checkpoints="whole")
    os.mkdir("run")
    for number in (1, 3):
        os.replace(f"whole/ckpt-000{number}.keras", f"run/ckpt-000{number}.keras")
        wtool.resume("init.keras", **words, output=f"again{number}.keras", checkpoints="run")
        assert_same(load(f"again{number}.keras"), load("whole.keras"))
        for name in os.listdir("run"):
            os.unlink(f"run/{name}")


def test_nan_stops_and_keeps_the_last_good_checkpoint(here: Path) -> None:
    """w -> w - 2 * 1.5 * w doubles w in every step, until its square is more than float32 can hold."""
    np.savez("ones.npz", x=np.ones((8, 1)), y=np.zeros(8))
    made = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    made.compile(keras.optimizers.SGD(1.5), "mse")
    made.save("doubling.keras")
    words = {"data": "ones.npz", "batch_size": 1, "seed": 1}
    with pytest.raises(wtool.WtoolError, match=r"became inf in epoch 9; .* good model is run/ckpt-0008.keras"):
        wtool.resume("doubling.keras", epochs=20, checkpoints="run", **words)
    assert load("run/ckpt-0008.keras").get_weights()[0] == 2.0**64
    assert sorted(os.listdir("run")) == [f"ckpt-000{epoch}.keras" for epoch in range(1, 9)]
    assert not os.path.exists("doubling-resume.keras")


REGISTERED = "wtool>Linked"
MARSHALLED: list[Any] = ["4wEAAAAA", None, None]
HIDDEN: list[dict[str, Any]] = [
    {"class_name": "Lambda", "config": {"name": "l", "function": MARSHALLED, "function_type": "lambda"}},
    {
        "class_name": "Lambda",
        "config": {"name": "l", "function": "system", "function_type": "function", "module": "os"},
    },
    {"class_name": "TFOpLambda", "config": {"name": "l", "function": "io.write_file"}},
    {"class_name": "__lambda__", "config": {"value": MARSHALLED[0]}},
    {"class_name": "TorchModuleWrapper", "module": "keras.layers", "config": {"module": "gASV"}},
    {"class_name": "Popen", "module": "subprocess", "config": {"args": "true"}},
    {"class_name": "function", "module": "os", "config": "system"},
]


@pytest.mark.parametrize("entry", HIDDEN)
def test_a_registered_name_hides_nothing(entry: dict[str, Any], here: Path) -> None:
    """Older formats, and older versions, go by `class_name`, and do not look at `registered_name`."""
    load("init.keras").save("init.h5")
    with h5py.File("init.h5", "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"].insert(1, {**entry, "registered_name": REGISTERED})
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(wtool.WtoolError, match=r"^init.h5: loading it (runs|imports) .*--unsafe if you trust the file"):
        wtool.resume("init.h5", data="digits.npz", epochs=1)


def test_code_in_models(here: Path) -> None:
    for name in ("exec_lambda_marshal.keras", "exec_legacy_lambda.h5"):
        with pytest.raises(wtool.WtoolError, match="--unsafe if you trust the file"):
            wtool.resume(HOSTILE / name, data="digits.npz", epochs=1, output="new/deep/")
    assert not Path("new").exists()
    made = keras.Sequential([keras.Input((64,)), keras.layers.Lambda(lambda x: x * 2), keras.layers.Dense(10)])
    made.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    made.save("lambda.keras")
    with pytest.raises(wtool.WtoolError, match=r"lambda.keras: loading it runs a lambda of marshalled Python bytecode"):
        wtool.resume("lambda.keras", data="digits.npz", epochs=1)
    wtool.resume("lambda.keras", data="digits.npz", epochs=1, unsafe=True)
    (here / "own_layers.py").write_text(
        "import keras\n@keras.saving.register_keras_serializable('own')\nclass Twice(keras.layers.Layer):\n"
        "    def call(self, x): return 2 * x\n"
    )
    sys.path.insert(0, str(here))
    own = importlib.import_module("own_layers")
    made = keras.Sequential([keras.Input((64,)), own.Twice(), keras.layers.Dense(10)])
    made.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    made.save("own.keras")
    del keras.saving.get_custom_objects()["own>Twice"], sys.modules["own_layers"]
    with pytest.raises(wtool.WtoolError, match="--import the module that registers it, or --unsafe"):
        wtool.resume("own.keras", data="digits.npz", epochs=1)
    wtool.resume("own.keras", data="digits.npz", epochs=1, imports=["own_layers"])


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of things that do not go together."""
    folder = tmp_path_factory.mktemp("full")
    np.savez(folder / "digits.npz", x=X, y=Y)
    np.savez(folder / "objects.npz", x=np.array([{}], object), y=np.zeros(1))
    np.savez(folder / "other.npz", a=X, b=Y)
    np.savez(folder / "uneven.npz", x=X, y=Y[:5])
    (folder / "words.csv").write_text("a,b\n1,x\n")
    (folder / "digits.csv").write_text("a,b\n1.5,2\n")
    model().save(folder / "init.keras")
    model().save_weights(folder / "init.weights.h5")
    model(OPTIMIZERS["schedule"]()).save(folder / "schedule.keras")
    return folder


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "missing.npz"}, "missing.npz: no such file"),
        ({"data": "init.keras"}, "no data that wtool knows"),
        ({"data": "objects.npz"}, "no .npz file of arrays .*Object arrays cannot be loaded"),
        ({"data": "words.csv"}, "line 2: .x. is no number"),
        ({"data": "other.npz"}, "holds a, b; wanted are x and y"),
        ({"data": (np.ones((4, 7)), np.zeros(4))}, "Keras cannot train it with this data"),
        ({"data": (X, Y + 99)}, "Keras cannot train it with this data|loss became nan"),
        ({"data": "uneven.npz"}, "600 samples do not go together"),
        ({"data": "nowhere:function"}, "cannot import nowhere"),
        ({"data": "json:nothing"}, "json has no function nothing"),
        ({"data": ["a.npy", "b.npy", "c.npy"]}, "no such file"),
        ({"epochs": 0}, "counted from 1"),
        ({"save_every": 2}, "needs a folder"),
        ({"log": "log.txt"}, "a log is called .csv or .jsonl"),
        ({"validation_split": 1.0}, "leaves nothing to one side"),
        ({"output": "no/such/x.keras"}, "does not exist"),
        ({"output": "x.weights.h5"}, "has to end in .keras or .h5"),
        ({"learning_rate": 1.0, "model": "schedule.keras"}, "follows a schedule"),
        ({"learning_rate": -0.1}, "a learning rate of -0.1 is none"),
        ({"model": "init.weights.h5"}, "holds weights only"),
        ({"model": "nothing.keras"}, "No such file"),
        ({"log": "digits.csv"}, "is no log of training"),
    ],
)
def test_misuse_is_told(options: dict[str, Any], message: str, full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(full)
    words = {"model": "init.keras", "data": "digits.npz", "epochs": 1, **options}
    with pytest.raises(wtool.WtoolError, match=message):
        wtool.resume(words.pop("model"), **words)


@pytest.mark.parametrize("text", ["0,1,2\n3,4,5\n7,7,7\n", "step,loss\n1,2\n", "a\xff\n"])
def test_a_file_that_is_no_log_is_left_alone(text: str, here: Path) -> None:
    """Not even if its first column could be epochs."""
    Path("table.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(wtool.WtoolError, match=r"^table.csv: is there already, and is no log of training"):
        wtool.resume("init.keras", data="digits.npz", epochs=1, log="table.csv")
    assert Path("table.csv").read_bytes() == text.encode("latin-1")


def test_pipes(here: Path) -> None:
    """A model comes in on standard input and goes out on standard output, and nothing else does."""
    words = ("resume", "-", "--data", "digits.npz", "--epochs", 1, "--seed", 1, "-o", "-")
    argv = forkserver.wtool(*words, training=True)
    done = subprocess.run(argv, capture_output=True, env=QUIET, input=Path("init.keras").read_bytes(), check=True)
    Path("piped.keras").write_bytes(done.stdout)
    wtool.resume("init.keras", data="digits.npz", epochs=1, seed=1, output="file.keras")
    assert_same(load("piped.keras"), load("file.keras"))
    assert done.stderr.decode().splitlines()[0].startswith("wtool: epoch 1/1: accuracy ")
