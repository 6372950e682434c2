"""Models that get the weights of other files: names, transpositions, and all that does not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import wtool
from tests.checkpoint.test_safetensors import write
from tests.models import FIXTURES
from tests.ops.test_convert_safetensors import whole
from wtool.errors import Usage
from wtool.ops.converted import Unconvertible

pytest.importorskip("safetensors")

ZOO = FIXTURES / "zoo" / "k3.15.1"
MLP = ZOO / "mlp.keras"
Array = np.ndarray[Any, Any]


def values_of(path: Path) -> dict[str, Array]:
    """Path of each variable of a model -> values."""
    with wtool.open_checkpoint(str(path)) as found:
        return {each.path: found.read(each) for each in found.weights}


def new_values(path: Path = MLP) -> dict[str, Array]:
    """Other values for all variables of a model."""
    rng = np.random.default_rng(5)
    return {name: rng.normal(size=each.shape).astype(each.dtype) for name, each in values_of(path).items()}


def equal(found: dict[str, Array], wanted: dict[str, Array]) -> bool:
    return found.keys() == wanted.keys() and all(
        (found[name].dtype, found[name].tobytes()) == (each.dtype, each.tobytes()) for name, each in wanted.items()
    )


def as_pytorch(path: Path, arrays: dict[str, Array]) -> tuple[dict[str, Array], dict[str, str | None]]:
    """The arrays as PyTorch names them and lays them out, and the table of names."""
    last = {"kernel": "weight", "gamma": "weight", "beta": "bias", "moving_mean": "running_mean"}
    names: dict[str, str | None] = {}
    found = {}
    for name, values in arrays.items():
        layer, _, own = name.rpartition("/")
        names[f"net.{layer}.{last.get(own, own)}"] = name
        found[f"net.{layer}.{last.get(own, own)}"] = np.ascontiguousarray(values.T) if own == "kernel" else values
    return found, names


def written_json(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


def test_tensors_fill_the_variables_at_their_paths(tmp_path: Path) -> None:
    new = new_values()
    wtool.convert(write(tmp_path / "w.safetensors", new), like=MLP, output=tmp_path / "new.keras")
    assert equal(values_of(tmp_path / "new.keras"), new)
    with wtool.open_checkpoint(str(MLP)) as old, wtool.open_checkpoint(str(tmp_path / "new.keras")) as made:
        assert made.config == old.config
        assert not made.slots


def test_names_of_pytorch_and_its_kernels_fill_a_model(tmp_path: Path) -> None:
    new = new_values()
    arrays, names = as_pytorch(MLP, new)
    arrays["net.bn1.num_batches_tracked"], names["net.bn1.num_batches_tracked"] = np.array(3), None
    weights, table = write(tmp_path / "w.safetensors", arrays), written_json(tmp_path / "names.json", names)
    words: dict[str, Any] = {"like": MLP, "map": table, "transpose": ["*fc*.weight", "head/kernel"]}
    (done,) = wtool.convert(weights, output=tmp_path / "new.keras", **words)
    assert equal(values_of(tmp_path / "new.keras"), new)
    assert {each.layer for each in done.changes} == {"fc1", "bn1", "fc2", "head"}
    assert any("transposed" in each.text and "net.fc1.weight" in each.text for each in done.changes)
    assert wtool.convert(weights, output=tmp_path / "new.keras", **words)[0].skipped
    record = wtool.inspect(tmp_path / "new.keras")["lineage"][-1]
    assert [(each["name"], each["as"]) for each in record["inputs"]] == [
        ("w.safetensors", "weights"),
        ("mlp.keras", "like"),
    ]
    assert record["parameters"]["transpose"] == ["*fc*.weight", "head/kernel"]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float8_e5m2"])
def test_narrow_numbers_fill_wide_variables_exactly(tmp_path: Path, dtype: str) -> None:
    kind = np.dtype(getattr(ml_dtypes, dtype, None) or dtype)
    narrow = {name: each.astype(kind) for name, each in new_values().items()}
    wtool.convert(write(tmp_path / "w.safetensors", narrow), like=MLP, output=tmp_path / "new.keras")
    assert equal(values_of(tmp_path / "new.keras"), {name: each.astype("f4") for name, each in narrow.items()})


def test_any_weights_fill_a_model_and_the_result_has_any_format(tmp_path: Path) -> None:
    weights = ZOO / "mlp.weights.h5"
    wtool.convert(weights, like=MLP, output=tmp_path / "new.h5")
    assert equal(values_of(tmp_path / "new.h5"), values_of(MLP))
    wtool.prune(MLP, sparsity=0.5, output=tmp_path / "pruned.safetensors.keras")
    wtool.convert(tmp_path / "pruned.safetensors.keras", like=MLP, output=tmp_path / "again.safetensors")
    assert equal(values_of(tmp_path / "again.safetensors"), values_of(tmp_path / "pruned.safetensors.keras"))
    assert [each["operation"] for each in wtool.inspect(tmp_path / "again.safetensors")["lineage"]] == [
        "prune",
        "convert",
    ]


@pytest.mark.parametrize("name", ["subclassed_model.keras", "text_assets.keras", "rnn.keras"])
def test_custom_classes_and_vocabularies_stay_those_of_the_model(tmp_path: Path, name: str) -> None:
    model = ZOO / name
    wtool.convert(model, output=tmp_path / "w.safetensors", optimizer="drop")
    wtool.convert(model, output=tmp_path / "direct.safetensors", optimizer="drop")
    wtool.convert(tmp_path / "w.safetensors", like=model, output=tmp_path / "new.keras")
    wtool.convert(tmp_path / "direct.safetensors", output=tmp_path / "direct.keras")
    assert whole(tmp_path / "new.keras") == whole(tmp_path / "direct.keras")


def misfits(tmp_path: Path, change: Callable[[dict[str, Array]], Any], **words: Any) -> list[str]:
    """What is refused of a file in which something was changed."""
    new = new_values()
    change(new)
    with pytest.raises(Unconvertible) as error:
        wtool.convert(write(tmp_path / "w.safetensors", new), like=MLP, output=tmp_path / "new.keras", **words)
    assert not (tmp_path / "new.keras").exists()
    return [each.text for each in error.value.refused]


def test_all_misfits_are_told_at_once(tmp_path: Path) -> None:
    def change(new: dict[str, Array]) -> None:
        new["fc1/kernel"] = np.ascontiguousarray(new["fc1/kernel"].T)
        new["more"] = new.pop("fc2/bias")
        new["head/kernel"] = new["head/kernel"].astype("f8")
        new["bn1/gamma"] = new["bn1/gamma"][1:].copy()

    assert sorted(misfits(tmp_path, change)) == [
        "bn1/gamma is 15, and bn1/gamma is 16",
        "fc1/kernel is 16x8, and fc1/kernel is 8x16; --transpose 'fc1/kernel' turns it",
        "head/kernel holds float64, and head/kernel float32, which cannot hold all of it",
        "no tensor fills fc2/bias (12)",
        "the model has no variable more; --map gives it another path, or null",
    ]


def test_square_kernels_beside_transposed_ones_are_told(tmp_path: Path) -> None:
    model = ZOO / "mixed_dtypes.keras"
    values = values_of(model)
    turned = {name: values[name].T.copy() for name in ("f32/kernel", "o/kernel")}
    words: dict[str, Any] = {"like": model, "output": tmp_path / "new.keras"}
    weights = write(tmp_path / "w.safetensors", values | turned)
    (done,) = wtool.convert(weights, transpose=[*turned, "bf16/*", "f16/*"], **words)
    told = [note for note in done.notes if "--transpose" in note]
    assert told == ["mbf/kernel is 5x5 and taken as it is; --transpose 'mbf/kernel' turns it"]
    (done,) = wtool.convert(weights, transpose=["*"], force=True, **words)
    assert not any("--transpose" in note for note in done.notes)


def test_names_and_patterns_of_nothing_are_told(tmp_path: Path) -> None:
    table = written_json(tmp_path / "names.json", {"gone": "fc1/bias", "fc2/kernel": "fc1/kernel"})
    told = misfits(tmp_path, lambda new: None, map=table, transpose=["nothing*"])
    assert sorted(told) == [
        "--map names gone, which is not in the file",
        "--transpose nothing* matches no tensor",
        "fc1/kernel would be filled by it and by fc1/kernel",
        "no tensor fills fc2/kernel (16x12)",
    ]


def test_words_that_do_not_go_together(tmp_path: Path) -> None:
    weights, table = write(tmp_path / "w.safetensors", new_values()), written_json(tmp_path / "n.json", {"a": 1})
    with pytest.raises(Usage, match="only with --like"):
        wtool.convert(weights, transpose=["*"])
    with pytest.raises(Usage, match="a path, or null"):
        wtool.convert(weights, like=MLP, map=table)
    with pytest.raises(Usage, match="only --map and --transpose"):
        wtool.convert(weights, like=MLP, input_shape="3")
    with pytest.raises(Usage, match="--verify"):
        wtool.convert(weights, like=MLP, verify=True)
    with pytest.raises(Unconvertible, match="convert it first"):
        wtool.convert(weights, like=FIXTURES / "zoo" / "tf2.10" / "mlp.h5", output=tmp_path / "x.keras")
    with pytest.raises(Unconvertible, match="weights alone"):
        wtool.convert(weights, like=ZOO / "mlp.weights.h5", output=tmp_path / "x.keras")
