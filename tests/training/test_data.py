"""Data for training: what files, functions and Python's own values are read as, against NumPy and plain Keras."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.models import Array

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")
data = pytest.importorskip("wtool.training.data.reading")

GENERATOR = np.random.default_rng(0)
X, Y = GENERATOR.normal(size=(60, 4)).astype(np.float32), GENERATOR.integers(0, 3, 60)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(text: str | bytes) -> tuple[Array, Array]:
    """What is read of a CSV file."""
    Path("table.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    found = data.read_data("table.csv", None)
    x, y = found.take(np.arange(found.size))
    return x, y


ROWS = "1.5,2,0\n-3,4e-1,2\n"


@pytest.mark.parametrize(
    "text",
    [
        ROWS,
        "a,b,class\n" + ROWS,
        '"a, in cm",b,class\n' + ROWS,
        "0,1,class\n" + ROWS,  # as pandas writes columns without names
        "\ufeff" + ROWS,  # as Excel writes UTF-8
        "\ufeffa,b,class\n" + ROWS,
        ROWS.replace("\n", "\r\n"),
        '"1.5","2","0"\n"-3","4e-1","2"\n',
        ROWS + "\n",
    ],
)
def test_tables(text: str) -> None:
    x, y = table(text)
    assert np.array_equal(x, np.array([[1.5, 2], [-3, 0.4]], np.float32))
    assert (y.tolist(), y.dtype) == ([0, 2], np.int64)


def test_y_of_a_table_is_whole_only_if_all_of_it_is() -> None:
    assert table("1,0.5\n2,1\n")[1].tolist() == [0.5, 1.0]
    assert table("1,inf\n2,1\n")[1].tolist() == [np.inf, 1.0]
    assert table("1,1e300\n2,1\n")[1].dtype == np.float32


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3\n4,5\n", "line 2 has 2 columns, and those before it 3"),
        ("a,b,c\n1,2,3\n4,five,6\n", "line 3: 'five' is no number"),
        ("1.0,,3\n4,5,6\n", "line 1: '' is no number"),
        ("1.0,NA,3\n4,5,6\n", "line 1: 'NA' is no number"),
        ("1;2;3\n4;5;6\n", "line 2: '4;5;6' is no number; columns have commas between them"),
        ("a,b\n", "needs rows"),
        ("", "needs rows"),
        ("1\n2\n", "at least two columns with commas"),
        (b"\xff\xfe\x00,\n", "no table of numbers"),
        ("1," + "2" * 200_000 + "\n", "no table of numbers|needs rows|is no number"),
    ],
)
def test_tables_that_are_none(text: str | bytes, message: str, recwarn: pytest.WarningsRecorder) -> None:
    with pytest.raises(wtool.WtoolError, match=rf"^table.csv: .*({message})"):
        table(text)
    assert not recwarn.list


@pytest.mark.parametrize("name", ["broken.npz", "broken.npy", "array.npz", "text.npz"])
def test_arrays_that_are_none(name: str) -> None:
    np.savez_compressed("whole.npz", x=X, y=Y)
    np.save("whole.npy", X)
    whole = Path(f"whole{name[-4:]}").read_bytes()
    if name.startswith("broken"):
        for at in range(0, min(len(whole), 600), 7):
            Path(name).write_bytes(whole[:at] + bytes(each ^ 0x55 for each in whole[at : at + 5]) + whole[at + 5 :])
            try:
                data.read_data([name, name] if name.endswith(".npy") else name, None)
            except wtool.WtoolError:
                continue
        return
    Path(name).write_bytes(Path("whole.npy").read_bytes() if name == "array.npz" else b"words")
    with pytest.raises(wtool.WtoolError, match=rf"^{name}: no .npz file of arrays"):
        data.read_data(name, None)


def test_a_number_is_no_samples() -> None:
    np.savez("single.npz", x=X, y=np.float32(1))
    with pytest.raises(wtool.Usage, match="a single number, and no samples"):
        data.read_data("single.npz", None)


def test_empty_arrays_have_no_samples() -> None:
    np.savez("empty.npz", x=X[:0], y=X[:0])
    with pytest.raises(wtool.Usage, match="are empty: they have no samples"):
        data.read_data("empty.npz", None)


def two_outputs(form: type) -> Any:
    keras.utils.set_random_seed(0)
    inputs = {name: keras.Input((2,), name=f"{name}_in") for name in ("left", "right")}
    hidden = keras.layers.Concatenate()(list(inputs.values()))
    outputs = {
        "size": keras.layers.Dense(1, name="size_out")(hidden),
        "kind": keras.layers.Dense(3, activation="softmax", name="kind_out")(hidden),
    }
    losses = {"size": "mean_squared_error", "kind": "sparse_categorical_crossentropy"}
    if form is dict:
        made = keras.Model(inputs, outputs)
        made.compile("sgd", losses)
    else:
        made = keras.Model(list(inputs.values()), list(outputs.values()))
        made.compile("sgd", list(losses.values()))
    return made


@pytest.mark.parametrize("form", [dict, list])
def test_inputs_and_outputs_by_name(form: type) -> None:
    """Dictionaries are by the model's own keys; lists by the names of layers. Sample weights count for both."""
    made = two_outputs(form)
    made.save("two.keras")
    x, y = {"left": X[:, :2], "right": X[:, 2:]}, {"size": X[:, :1], "kind": Y}
    weights = np.linspace(0, 1, len(X)).astype(np.float32)
    names = {
        name: name if form is dict else f"{name}_{end}"
        for name, end in zip((*x, *y), ("in", "in", "out", "out"), strict=True)
    }
    np.savez("named.npz", **{names[name]: values for name, values in (x | y).items()}, sample_weight=weights)
    as_made = (x, y) if form is dict else (list(x.values()), list(y.values()))
    both = {"size": weights, "kind": weights} if form is dict else [weights, weights]
    made.fit(*as_made, sample_weight=both, epochs=2, batch_size=16, shuffle=False, verbose=0)
    words = {"epochs": 2, "batch_size": 16, "shuffle": False}
    wtool.resume("two.keras", data="named.npz", output="named.keras", **words)
    wtool.resume("two.keras", data=(*as_made, both), output="given.keras", **words)
    for name in ("named.keras", "given.keras"):
        for mine, its in zip(keras.models.load_model(name).weights, made.weights, strict=True):
            assert np.array_equal(mine.numpy(), its.numpy())


def single() -> Any:
    keras.utils.set_random_seed(0)
    made = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    made.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9), "sparse_categorical_crossentropy")
    return made


def test_a_function_is_called_for_each_epoch_if_it_makes_a_generator() -> None:
    """Its epochs are those of arrays in its order; for validation too."""
    calls = []

    def batches() -> Iterator[tuple[Array, Array]]:
        calls.append(1)
        for at in range(0, len(X), 20):
            yield X[at : at + 20], Y[at : at + 20]

    plain = single()
    plain.save("init.keras")
    told = plain.fit(X, Y, epochs=3, batch_size=20, shuffle=False, verbose=0, validation_data=(X, Y)).history
    seen: list[Any] = []
    words = {"validation_data": batches, "epochs": 3, "output": "out.keras", "report": seen.append}
    wtool.resume("init.keras", data=batches, **words)
    for mine, its in zip(keras.models.load_model("out.keras").weights, plain.weights, strict=True):
        assert np.array_equal(mine.numpy(), its.numpy())
    for name, values in told.items():
        assert [each.metrics[name] for each in seen] == pytest.approx(values, rel=1e-5)
    assert len(calls) >= 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def function(): raise KeyError('no such table')", "functions:function for the data failed .*no such table"),
        ("def function(): pass", "functions:function for the data gave nothing"),
        (
            "import tensorflow\n"
            "def function(): return tensorflow.data.Dataset.from_tensors(([[1.] * 4], [0])).repeat()",
            "never ends",
        ),
        (
            "import numpy\ndef function():\n"
            "    yield numpy.ones((1, 4)), numpy.zeros(1)\n    raise KeyError('half way')",
            "Keras cannot train it .*half way",
        ),
    ],
)
def test_functions_that_fail(text: str, message: str, here: Path) -> None:
    name = f"functions{abs(hash(text))}"
    Path(f"{name}.py").write_text(text)
    single().save("init.keras")
    with pytest.raises(wtool.WtoolError, match=message.replace("functions:", f"{name}:")):
        wtool.resume("init.keras", data=f"{name}:function", epochs=1)
    os.unlink(f"{name}.py")


def test_a_generator_is_over_after_an_epoch() -> None:
    single().save("init.keras")
    with pytest.raises(wtool.Usage, match="give the function that makes it"):
        wtool.resume("init.keras", data=((X, Y) for _ in range(3)), epochs=2)


def test_an_image_that_cannot_be_read_is_named() -> None:
    os.makedirs("images/a")
    Path("images/a/broken.png").write_bytes(b"words")
    made = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(1)])
    made.compile("sgd", "mean_squared_error")
    made.save("init.keras")
    with pytest.raises(wtool.WtoolError, match=r"^images/a/broken.png: no image that can be read"):
        wtool.resume("init.keras", data="images", epochs=1)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[:, :3], Y, r"expected axis -1 of input shape to have value 4, but received input with shape \(None, 3\)"),
        (X, Y + 7, "Received a label value of . which is outside the valid range"),
        (X, None, "it has no y"),
    ],
)
def test_what_does_not_fit_is_said(x: Array, y: Array | None, message: str) -> None:
    """Keras says it in the middle of many lines."""
    made = single()
    made.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    made.save("init.keras")
    with pytest.raises(wtool.WtoolError, match=message):
        wtool.resume("init.keras", data=(x,) if y is None else (x, y), epochs=1)
