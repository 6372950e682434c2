"""What a transform knows of the tensors of a file: where their output units are, and how deep their layers."""

from __future__ import annotations

from pathlib import Path

import pytest

from wtool.checkpoint.opener import open_checkpoint
from wtool.run.transform_data import sites_of


@pytest.mark.tensorflow
def test_units_and_depth_of_a_saved_model(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    layers = keras.layers
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 4, name="tokens")(tokens)
    x = layers.MultiHeadAttention(2, 3, name="attention")(x, x)
    x = layers.EinsumDense("abc,dc->abd", (None, 5), bias_axes="d", name="einsum")(x)
    x = layers.Conv1DTranspose(3, 2, name="wider")(x)
    keras.Model(tokens, layers.Dense(2, name="out")(x)).save(tmp_path / "model.keras")
    with open_checkpoint(str(tmp_path / "model.keras")) as checkpoint:
        found = sites_of((checkpoint,), [(each,) for each in checkpoint.weights], of_initial=False, of_axes=True)
        units = {site.path: site.unit_axes for site in found}
        assert units == {
            "tokens/embeddings": (0,),
            "attention/query/kernel": (1, 2),
            "attention/query/bias": (),
            "attention/key/kernel": (1, 2),
            "attention/key/bias": (),
            "attention/value/kernel": (1, 2),
            "attention/value/bias": (),
            "attention/attention_output/kernel": (2,),
            "attention/attention_output/bias": (),
            "einsum/kernel": (0,),
            "einsum/bias": (),
            "wider/kernel": (1,),
            "wider/bias": (),
            "out/kernel": (1,),
            "out/bias": (),
        }
        depths = {site.path: site.depth for site in found}
        assert (depths["tokens/embeddings"], depths["out/kernel"], depths["out/bias"]) == (0.0, 1.0, 1.0)
        ordered = [depths[site.path] for site in found]
        assert ordered == sorted(ordered)
        assert len(set(ordered)) == 8  # layers: four projections are layers of their own
