"""Values that are held while a model trains: exact, whatever the optimizer does, and through files and kills."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests import forkserver
from tests.models import Array

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")
holding = pytest.importorskip("wtool.training.fitting.holding")

RNG = np.random.default_rng(0)
X, Y = RNG.random((64, 6), np.float32), RNG.integers(0, 3, 64)


def model(optimizer: Any, **more: Any) -> Any:
    keras.utils.set_random_seed(2)
    made = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(16, activation="tanh", name="hidden", **more),
            keras.layers.Dense(3, name="output"),
        ]
    )
    made.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return made


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.savez("data.npz", x=X, y=Y)
    return tmp_path


def ticket(made: Any, pruned: str = "initial", **more: Any) -> dict[str, Array]:
    """A ticket of a model that was trained, `ticket.keras`; gives which values its mask keeps."""
    made.save("init.keras")
    made.fit(X, Y, epochs=2, verbose=0)
    made.save("trained.keras")
    wtool.prune("trained.keras", sparsity=0.6, output="pruned.keras", **more)
    wtool.rewind("pruned.keras", initial="init.keras", pruned=pruned, output="ticket.keras", **more)
    return {path: values != 0 for path, values in of("pruned.keras").items()}


def of(path: str) -> dict[str, Array]:
    loaded = keras.models.load_model(path)
    return {variable.path: keras.ops.convert_to_numpy(variable) for variable in loaded.weights}


def trained(path: str, output: str, **more: Any) -> Any:
    return wtool.resume(path, data="data.npz", output=output, seed=0, batch_size=16, force=True, **more)


OPTIMIZERS = {
    "momentum": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "decay": lambda: keras.optimizers.AdamW(0.05, weight_decay=0.1),
    "averages": lambda: keras.optimizers.Adam(0.05, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=3),
    "averages at the end": lambda: keras.optimizers.Adam(0.05, use_ema=True, ema_momentum=0.9),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_pruned_weights_keep_their_initial_values_exactly(name: str, here: Path) -> None:
    kept = ticket(model(OPTIMIZERS[name](), kernel_constraint=keras.constraints.MaxNorm(0.5)))
    done = trained("ticket.keras", "first.keras", epochs=2)
    trained("first.keras", "second.keras", epochs=1)
    start, first, second = map(of, ("ticket.keras", "first.keras", "second.keras"))
    kernels = [path for path in start if path.endswith("kernel")]
    assert done.held == sum(int((~kept[path]).sum()) for path in kernels) == round(0.6 * 96) + round(0.6 * 48)
    for path in kernels:
        assert (start[path][~kept[path]] != 0).any()
        for each in (first, second):
            assert np.array_equal(each[path][~kept[path]], start[path][~kept[path]]), path
            assert (each[path][kept[path]] != start[path][kept[path]]).all(), path


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "bfloat16"])
def test_values_in_any_precision(policy: str, here: Path) -> None:
    keras.config.set_dtype_policy(policy)
    try:
        kept = ticket(model(keras.optimizers.SGD(0.5, momentum=0.5)))  # Adam's 0.999 is 1 in bfloat16
        trained("ticket.keras", "trained.keras", epochs=2)
        start, result = map(of, ("ticket.keras", "trained.keras"))
    finally:
        keras.config.set_dtype_policy("float32")
    for path in ("hidden/kernel", "output/kernel"):
        same = start[path] == result[path]
        assert same[~kept[path]].all(), path
        assert not same[kept[path]].all(), path


def test_kept_biases_that_begin_at_zero_are_trained(here: Path) -> None:
    """All initial biases are zero; pruned ones stay so, and kept ones do not that lead to outputs."""
    kept = ticket(model(keras.optimizers.Adam(0.05)), pruned="zero", biases=True)
    assert not of("ticket.keras")["hidden/bias"].any()
    trained("ticket.keras", "trained.keras", epochs=2)
    result = of("trained.keras")
    assert all(not values[~kept[path]].any() for path, values in result.items())
    alive = kept["hidden/bias"] & kept["output/kernel"].any(axis=1)
    assert alive.sum() > 2
    assert result["hidden/bias"][alive].all()
    assert result["output/bias"][kept["output/bias"]].all()


def test_zeros_are_held_as_before_where_no_mask_is_recorded(here: Path) -> None:
    """A ticket that an earlier version made: its lineage has no masks."""
    kept = ticket(model(keras.optimizers.Adam(0.05)), pruned="zero", biases=True)
    with zipfile.ZipFile("ticket.keras") as old, zipfile.ZipFile("old.keras", "w") as new:
        for member in old.infolist():
            told = old.read(member)
            if member.filename == "metadata.json":
                metadata = json.loads(told)
                del metadata["wtool_lineage"][-1]["masks"]
                told = json.dumps(metadata).encode()
            new.writestr(member, told)
    trained("old.keras", "trained.keras", epochs=1)
    result = of("trained.keras")
    assert not result["hidden/bias"].any()
    assert np.array_equal(result["hidden/kernel"] != 0, kept["hidden/kernel"])


def test_a_lost_mask_is_told(here: Path) -> None:
    made = model(keras.optimizers.Adam(0.05))
    ticket(made)
    wtool.align("ticket.keras", to="trained.keras", output="aligned.keras")
    done = trained("aligned.keras", "result.keras", epochs=1)
    assert any("the recorded mask of hidden/kernel, output/kernel is dropped" in note for note in done.notes)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_ended_early_goes_on_to_the_same_bytes(number: signal.Signals, here: Path) -> None:
    ticket(model(keras.optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=5)))
    words = ["resume", "ticket.keras", "--data", "data.npz", "--epochs", "40", "--seed", "1", "--batch-size", "4"]
    full = [*words, "-o", "full.keras", "--checkpoints", "full"]
    subprocess.run(forkserver.wtool(*full, training=True), check=True, capture_output=True)
    part = [*words, "-o", "part.keras", "--checkpoints", "part"]
    process = subprocess.Popen(forkserver.wtool(*part, training=True), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not (here / "part" / "ckpt-0003.keras").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    process.communicate()
    assert not (here / "part" / "ckpt-0040.keras").exists()
    subprocess.run(forkserver.wtool(*part, training=True), check=True, capture_output=True)
    whole, again = of("full.keras"), of("part.keras")
    assert all(np.array_equal(whole[path], again[path]) for path in whole)
