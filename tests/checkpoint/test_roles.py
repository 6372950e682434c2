"""What the variables of layers are that Keras does not know: one rule for every format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import wtool

NAMES = ("attention_W", "W", "mix_weight", "kernel_q", "my_kernel", "embeddings")


@pytest.mark.tensorflow
def test_custom_layers_have_the_same_roles_in_every_format(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")

    class Mixer(keras.layers.Layer):  # type: ignore[misc, name-defined]
        def build(self, shape: Any) -> None:
            for name in NAMES:
                setattr(self, name, self.add_weight(name=name, shape=(shape[-1], 4)))
            self.offset = self.add_weight(name="offset", shape=(4,))
            self.gain = self.add_weight(name="gain", shape=())

        def call(self, x: Any) -> Any:
            return sum(x @ getattr(self, name) for name in NAMES) * self.gain + self.offset

    model = keras.Sequential([keras.Input((8,)), Mixer(name="mixer"), keras.layers.Dense(2, name="out")])
    found: dict[str, Any] = {}
    for name in ("m.keras", "m.h5", "m.weights.h5"):
        path = tmp_path / name
        (model.save_weights if ".weights." in name else model.save)(path)
        with wtool.open_checkpoint(path) as checkpoint:
            found[name] = sorted((t.shape, t.role) for t in checkpoint.tensors if t.layer == "mixer")
        (pruned,) = wtool.prune(path, sparsity=0.5, dry_run=True)
        assert pruned.rewritten == len(NAMES) * 16 + 4
    assert found["m.keras"] == found["m.h5"] == found["m.weights.h5"]
    assert [role for _, role in found["m.keras"]] == ["unknown", "bias", *("kernel" for _ in NAMES)]


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.weights.h5"])
def test_vectors_of_custom_layers_are_not_emptied(tmp_path: Path, name: str) -> None:
    """A vector beside a custom kernel may be a scale: randomize empties the biases of Keras's own layers alone."""
    keras = pytest.importorskip("keras")

    class Scaled(keras.layers.Layer):  # type: ignore[misc, name-defined]
        def build(self, shape: Any) -> None:
            self.kernel = self.add_weight(name="kernel", shape=(shape[-1], 4))
            self.scale = self.add_weight(name="scale", shape=(4,), initializer="ones")

        def call(self, x: Any) -> Any:
            return x @ self.kernel * self.scale

    model = keras.Sequential([keras.Input((8,)), Scaled(name="s"), keras.layers.Dense(3, bias_initializer="ones")])
    (model.save_weights if ".weights." in name else model.save)(tmp_path / name)
    out = wtool.randomize(tmp_path / name, initial=tmp_path / name, seed=1, output=tmp_path / f"out-{name}")[0].output
    with wtool.open_checkpoint(str(out)) as checkpoint:
        vectors = {t.shape: checkpoint.read(t).tolist() for t in checkpoint.weights if len(t.shape) == 1}
    assert vectors == {(4,): [1, 1, 1, 1], (3,): [0, 0, 0]}


def pruned_by_tfmot(path: Path, mask: list[float], step: int) -> None:
    """As tfmot 0.8.1 with tf_keras 2.21 saves the weights of a wrapped Dense layer."""
    arrays = [np.array([mask], "f4").T * step, np.array([mask], "f4").T, np.float32(step / 8), np.int64(step)]
    with h5py.File(path, "w", libver="earliest") as file:
        file.create_group("vars")
        own = file.create_group("layers/prune_low_magnitude/vars")
        for key, array in enumerate(arrays):
            own[str(key)] = array
        inner = file.create_group("layers/prune_low_magnitude/layer/vars")
        inner["0"], inner["1"] = arrays[0], np.full(1, step, "f4")


def test_masks_are_those_of_the_newest(tmp_path: Path) -> None:
    pruned_by_tfmot(tmp_path / "1.weights.h5", [1, 1, 0, 0], step=2)
    pruned_by_tfmot(tmp_path / "2.weights.h5", [1, 0, 1, 0], step=4)
    wtool.average([tmp_path / "1.weights.h5", tmp_path / "2.weights.h5"], output=tmp_path / "out.weights.h5")
    with h5py.File(tmp_path / "out.weights.h5") as file:
        own, inner = file["layers/prune_low_magnitude/vars"], file["layers/prune_low_magnitude/layer/vars"]
        assert own["1"][:, 0].tolist() == [1, 0, 1, 0]
        assert (own["2"][()], own["3"][()]) == (0.5, 4)
        assert own["0"][:, 0].tolist() == inner["0"][:, 0].tolist() == [3, 1, 2, 0]
        assert inner["1"][0] == 3


def test_a_mask_is_no_weight(tmp_path: Path) -> None:
    pruned_by_tfmot(tmp_path / "1.weights.h5", [1, 1, 0, 0], step=2)
    with wtool.open_checkpoint(tmp_path / "1.weights.h5") as checkpoint:
        roles = {each.stored.removeprefix("layers/prune_low_magnitude/"): each.role for each in checkpoint.tensors}
    assert roles == {
        "vars/0": "weight", "vars/1": "mask", "vars/2": "threshold", "vars/3": "pruning_step",
        "layer/vars/0": "kernel", "layer/vars/1": "bias",
    }  # fmt: skip
    with pytest.raises(wtool.WtoolError, match="holds a mask"):
        wtool.prune(tmp_path / "1.weights.h5", sparsity=0.5, include=["*/mask"], output=tmp_path / "out.weights.h5")
