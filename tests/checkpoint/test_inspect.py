"""`wtool inspect` against what the Keras that saved each model reported of it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import wtool
from tests.models import BLOBS, HOSTILE, ZOO, arrays, changed, cpu_seconds
from tests.real_models import assert_as_reported
from wtool.transforms.statistics import Statistics, statistics

MODELS = sorted(
    path
    for path in ZOO.glob("*/*")
    if path.name.endswith((".keras", ".h5", ".weights.json"))
    and "_0000" not in path.name
    and path.name != "sharded_full.keras"
)  # fmt: skip


@pytest.mark.parametrize("path", MODELS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_variables_agree_with_what_keras_reported(path: Path) -> None:
    found = wtool.inspect(path)
    assert_as_reported(found, path)
    assert json.loads(json.dumps(found)) == found


def test_the_keys_are_the_documented_ones() -> None:
    found = wtool.inspect(BLOBS[-1])
    assert list(found) == ["path", "format", "keras_version", "parameters", "bytes", "layers", "tensors", "dead",
                           "optimizer", "lineage", "notes"]  # fmt: skip
    assert found["format"] == "keras"
    assert found["layers"] == [{"name": "hidden", "class": "Dense"}, {"name": "output", "class": "Dense"}] or {
        "name": "hidden", "class": "Dense"
    } in found["layers"]  # fmt: skip
    kernel = found["tensors"][0]
    values = arrays(BLOBS[-1])["layers/dense/vars/0"].astype(np.float64)
    assert kernel["path"] == "hidden/kernel"
    assert (kernel["role"], kernel["layer"], kernel["class"], kernel["trainable"]) == (
        "kernel",
        "hidden",
        "Dense",
        True,
    )
    assert (kernel["shape"], kernel["dtype"], kernel["zeros"]) == ([2, 25], "float32", 0)
    for name in ("sum", "mean", "std", "min", "max"):
        assert kernel[name] == pytest.approx(getattr(values, name)(), rel=1e-12)
    assert found["optimizer"]["class"] == "SGD"
    assert found["optimizer"]["step"] == 400
    assert {slot["path"] for slot in found["optimizer"]["slots"]} == {tensor["path"] for tensor in found["tensors"]}
    assert {slot["slot"] for slot in found["optimizer"]["slots"]} == {"momentum"}


@given(
    hnp.arrays(st.sampled_from([np.float32, np.float64, np.int32, np.uint8, np.bool_]), st.integers(1, 300)),
    st.integers(1, 50),
)
def test_statistics_stream(values: np.ndarray, block: int) -> None:
    found = Statistics()
    for start in range(0, len(values), block):
        found = found.merged(statistics(values[start : start + block]))
    wide = values.astype(np.float64)
    finite = wide[np.isfinite(wide)]
    assert found.count == len(values)
    assert found.zeros == int((wide == 0).sum())
    assert found.nonfinite == len(values) - len(finite)
    if not len(finite):
        assert math.isnan(found.mean)
        assert math.isnan(found.min)
        return
    assert (found.min, found.max) == (finite.min(), finite.max())
    with np.errstate(over="ignore", invalid="ignore"):
        scale = np.abs(finite).max()
        if scale < 1e100:
            assert found.mean == pytest.approx(finite.mean(), abs=1e-9 * scale + 1e-300)
            assert found.std == pytest.approx(finite.std(), rel=1e-6, abs=1e-7 * scale + 1e-300)


def test_nonfinite_values_are_told(tmp_path: Path) -> None:
    bad = changed(BLOBS[0], tmp_path / "bad.keras", lambda _, value: np.where(value == value.max(), np.inf, value)
                  if value.ndim == 2 else value)  # fmt: skip
    found = wtool.inspect(bad)
    assert any("hidden/kernel" in note for note in found["notes"])
    assert all(tensor["max"] is None or math.isfinite(tensor["max"]) for tensor in found["tensors"])


def hostile_cases() -> list[tuple[str, str]]:
    cases = json.loads((HOSTILE / "manifest.json").read_text())["cases"]
    return [(case["name"], case["expected"]) for case in cases if (HOSTILE / case["name"]).exists()]


@pytest.mark.parametrize(("name", "expected"), hostile_cases())
def test_hostile_files_are_refused_or_stay_data(name: str, expected: str) -> None:
    start = cpu_seconds()
    refusal = refused(HOSTILE / name)
    assert cpu_seconds() - start < 10
    if refusal is None:
        assert expected != "reject" or name.startswith("avg_")
    else:
        assert expected in ("reject", "either")
        assert "\n" not in refusal
        assert refusal.startswith(str(HOSTILE / name))


def refused(path: Path) -> str | None:
    try:
        wtool.inspect(path)
    except wtool.WtoolError as error:
        return str(error)
    return None


def test_a_damaged_archive_is_noticed(tmp_path: Path) -> None:
    data = bytearray(BLOBS[0].read_bytes())
    with wtool.open_checkpoint(str(BLOBS[0])) as opened:
        at = opened.regions[0].start + opened.weights[0].offset
    data[at] ^= 1
    (tmp_path / "bad.keras").write_bytes(data)
    with pytest.raises(wtool.Refused, match=r"checksum of model\.weights\.h5"):
        wtool.inspect(tmp_path / "bad.keras")
    with pytest.raises(wtool.Refused, match=r"checksum of model\.weights\.h5"):
        wtool.average([BLOBS[1], tmp_path / "bad.keras"], output=tmp_path / "out.keras")
    assert not (tmp_path / "out.keras").exists()


def test_float8_is_read_as_what_it_is(tmp_path: Path) -> None:
    """Keras stores float32 for float8 training; a tool that stores float8 marks it as Keras marks bfloat16."""
    import ml_dtypes

    values = np.array([0.5, -1.75, 0, 448], dtype=ml_dtypes.float8_e4m3fn)
    with h5py.File(tmp_path / "f8.weights.h5", "w") as file:
        group = file.create_group("layers/dense/vars")
        group.create_dataset("0", data=np.ones((4, 4), np.float32))
        group.create_dataset("1", data=values.view("V1")).attrs["dtype"] = "float8_e4m3fn"
    tensor = next(each for each in wtool.inspect(tmp_path / "f8.weights.h5")["tensors"] if each["shape"] == [4])
    assert tensor["dtype"] == "float8_e4m3fn"
    assert (tensor["sum"], tensor["min"], tensor["zeros"]) == (446.75, -1.75, 1)
