"""`wtool.average` against numpy.average, byte for byte, on real models."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wtool
from tests.models import BLOBS, FIXTURES, HOSTILE, WEIGHTS, ZOO, arrays, changed, extents, hdf5_bytes, nearest, noisy
from wtool.checkpoint.model import Slot, Tensor
from wtool.dtypes import dtype_of
from wtool.run import optimizer_rule
from wtool.run.action import KEPT
from wtool.run.input_model import InputModel
from wtool.transforms import averaging

ONE_OF_EACH_DTYPE = ["k3.15.1/mlp.keras", "k3.15.1/pure_f16.keras", "k3.0.5/pure_bf16.keras", "k3.15.1/f64_model.keras"]
METHODS: list[tuple[dict[str, Any], Any]] = [
    ({}, lambda n: np.ones(n)),
    ({"linear": True}, lambda n: np.arange(1, n + 1)),
    ({"decay": 0.9}, lambda n: np.array([0.9**age for age in reversed(range(n))])),
    ({"alpha": 2.0}, lambda n: np.array([np.exp(-i / 2.0) for i in range(n, 0, -1)])),
    ({"coefficients": [3, -1, 0.5, 2]}, lambda n: np.array([3, -1, 0.5, 2])),
]


def zoo(name: str) -> Path:
    return ZOO / name


@pytest.mark.parametrize("name", ONE_OF_EACH_DTYPE)
@pytest.mark.parametrize(("options", "coefficients"), METHODS)
def test_equals_numpy_average_bit_for_bit(
    name: str, options: dict[str, Any], coefficients: Any, tmp_path: Path
) -> None:
    paths = noisy(zoo(name), tmp_path, 4)
    wtool.average(paths, **options, output=tmp_path / "average.keras")
    stacks = [arrays(path) for path in paths]
    weights = {each.stored for each in wtool.open_checkpoint(str(paths[0])).weights}
    result = arrays(tmp_path / "average.keras")
    floating = [path for path in weights if result[path].dtype.kind in "fV"]
    assert len(floating) >= 4
    for path in floating:
        stack = np.stack([each[path].astype(np.float64) for each in stacks])
        expected = nearest(np.asarray(np.average(stack, axis=0, weights=coefficients(4))), result[path].dtype)
        assert result[path].tobytes() == expected.tobytes(), path
        assert result[path].tobytes() != stacks[-1][path].tobytes(), path


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40),
    st.integers(1, 5),
    st.sampled_from(["float16", "float32", "float64", "bfloat16"]),
    st.integers(0, 2**32 - 1),
)
def test_any_number_of_blocks_of_any_size(weights: list[float], size: int, name: str, seed: int) -> None:
    total = np.asarray(weights).sum()
    if not abs(total) > 1e-6:
        return
    dtype = dtype_of(name)
    blocks = [np.random.default_rng((seed, i)).normal(size=size).astype(dtype) for i in range(len(weights))]
    expected = np.average(np.stack(blocks).astype(np.float64), axis=0, weights=weights)
    if np.abs(expected).max() < 1e4:
        assert averaging.average(blocks, np.asarray(weights)).tobytes() == nearest(expected, dtype).tobytes()


def test_blocks_of_a_long_tensor_are_averaged_like_the_whole() -> None:
    rng = np.random.default_rng(0)
    blocks = [rng.normal(size=70_001) for _ in range(10)]
    weights = averaging.exponential(10, 0.9)
    expected = np.average(np.stack(blocks), axis=0, weights=weights)
    assert averaging.average(blocks, weights).tobytes() == expected.tobytes()
    last = averaging.average([block[-1:] for block in blocks], weights, whole_size=70_001)
    assert last.tobytes() == expected[-1:].tobytes()


def test_coefficients() -> None:
    np.testing.assert_array_equal(averaging.linear(4), [1, 2, 3, 4])
    np.testing.assert_allclose(averaging.exponential(3, 0.5), [0.25, 0.5, 1])
    np.testing.assert_allclose(averaging.polyak(2, 2.0), [np.exp(-1), np.exp(-0.5)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decay": 0.0}, "decay"),
        ({"decay": 1.5}, "decay"),
        ({"alpha": 0.0}, "alpha"),
        ({"coefficients": [1, -1]}, "zero"),
        ({"coefficients": [1e308, 1e308]}, "no number"),
        ({"coefficients": [1e-320, 1e-320]}, "too small to calculate with"),
        ({"alpha": 0.001}, "zero"),
        ({"order": "Natural"}, "no order"),
        ({"optimizer": "resett"}, "no optimizer"),
        ({"include": "hidden/*"}, "include is a list"),
        ({"coefficients": [1, 2, 3]}, "3 coefficients for 2"),
        ({"coefficients": [1, float("nan")]}, "finite"),
        ({"decay": 0.9, "linear": True}, "contradict"),
        ({"equal": True, "alpha": 2.0}, "contradict"),
        ({"include": ["nothing*"]}, "nothing"),
    ],
)
def test_words_that_make_no_sense(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(wtool.Usage, match=message):
        wtool.average(BLOBS[:2], **options, output=tmp_path / "x.keras")
    assert not any(tmp_path.iterdir())


def test_order_is_natural_given_or_by_time(tmp_path: Path) -> None:
    paths = noisy(BLOBS[0], tmp_path, 11)
    shuffled = [paths[9], paths[1], paths[10], paths[0]]  # ckpt10, ckpt2, ckpt11, ckpt1
    natural = wtool.average(shuffled, linear=True, dry_run=True)
    assert natural.inputs == tuple(
        InputModel(str(paths[i]), "averaged", share) for i, share in ((0, 0.1), (1, 0.2), (9, 0.3), (10, 0.4))
    )
    given_order = wtool.average(shuffled, order="given", dry_run=True)
    assert [each.path for each in given_order.inputs] == [str(path) for path in shuffled]
    for age, path in enumerate(shuffled):
        os.utime(path, (10**9 - age, 10**9 - age))
    by_time = wtool.average(shuffled, order="mtime", dry_run=True)
    assert [each.path for each in by_time.inputs] == [str(path) for path in reversed(shuffled)]


def typed(tmp_path: Path, *names: str) -> list[Path]:
    """Copies of different checkpoints under these names."""
    for name, origin in zip(sorted(names), BLOBS, strict=False):
        shutil.copy(origin, tmp_path / name)
    return [tmp_path / name for name in names]


@pytest.mark.parametrize(
    "names", [("b.keras", "a.keras"), ("e2.keras", "e10.keras"), ("z.keras", "a.keras", "m.keras")]
)
def test_coefficients_belong_to_the_files_as_they_were_typed(names: tuple[str, ...], tmp_path: Path) -> None:
    paths, numbers = typed(tmp_path, *names), [1.0, 3.0, 7.0][: len(names)]
    done = wtool.average(paths, coefficients=numbers, output=tmp_path / "out.keras")
    assert done.inputs == tuple(
        InputModel(str(path), "averaged", each / sum(numbers)) for path, each in zip(paths, numbers, strict=True)
    )
    assert any("order of the words" in note for note in done.notes) is (names != ("e2.keras", "e10.keras"))
    name = next(each for each in arrays(paths[0]) if each.startswith("layers/"))
    wanted = np.average([arrays(path)[name].astype(np.float64) for path in paths], axis=0, weights=numbers)
    assert np.array_equal(arrays(tmp_path / "out.keras")[name], wanted.astype(np.float32))


def test_coefficients_of_what_a_shell_may_have_sorted_are_refused(tmp_path: Path) -> None:
    paths = typed(tmp_path, "e1.keras", "e10.keras", "e2.keras")
    with pytest.raises(wtool.Usage, match=r"e1.keras, .*e2.keras, .*e10.keras.*--order says"):
        wtool.average(paths, coefficients=[1, 2, 3], dry_run=True)
    by_name = [paths[0], paths[2], paths[1]]
    for order, wanted in (("given", paths), ("natural", by_name)):
        done = wtool.average(paths, coefficients=[1, 2, 3], order=order, dry_run=True)
        assert [each.path for each in done.inputs] == [str(path) for path in wanted]
    for word in (tmp_path, tmp_path / "e*.keras"):
        done = wtool.average([str(word)], coefficients=[1, 2, 3], dry_run=True)
        assert [each.path for each in done.inputs] == [str(path) for path in by_name]
    argv = [sys.executable, "-m", "wtool", "average", *map(str, paths), "--coefficients", "1,2,3", "-q", "-n"]
    quiet = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert quiet.returncode == 2
    assert "--order says" in quiet.stderr


def test_the_newest_is_told_where_the_words_say_otherwise(tmp_path: Path) -> None:
    paths = typed(tmp_path, "best.keras", "final.keras", "ckpt-20.keras")
    for options in ({"linear": True}, {"decay": 0.5}, {}):
        done = wtool.average(paths, **options, dry_run=True)  # type: ignore[arg-type]
        assert [Path(each.path).name for each in done.inputs] == ["best.keras", "ckpt-20.keras", "final.keras"]
        assert any("final.keras is the newest, not" in note for note in done.notes)
    assert not any("newest, not" in note for note in wtool.average(sorted(paths), linear=True, dry_run=True).notes)


def test_outputs_in_folders_and_dry_runs_beside_them(tmp_path: Path) -> None:
    done = wtool.average(BLOBS[:2], output=f"{tmp_path}/new/deep/")
    assert done.output == f"{tmp_path}/new/deep/average.keras"
    assert wtool.average(BLOBS[:2], output=tmp_path / "new/deep", dry_run=True).output is None
    with pytest.raises(wtool.WtoolError, match="exists already"):
        wtool.average(BLOBS[:3], output=tmp_path / "new/deep")
    wtool.average(BLOBS[:2], output=f"{tmp_path}/other/", dry_run=True)
    assert not (tmp_path / "other").exists()


def test_what_is_done_already_is_skipped(tmp_path: Path) -> None:
    inputs = [Path(shutil.copy(path, tmp_path)) for path in BLOBS[:3]]
    target = tmp_path / "average.keras"
    first = wtool.average(inputs, decay=0.9, output=target)
    content, stamp = target.read_bytes(), target.stat().st_mtime_ns
    again = wtool.average(inputs, decay=0.9, output=target)
    assert (first.skipped, again.skipped) == (False, True)
    assert (again.output, again.inputs, again.actions) == (str(target), first.inputs, {})
    assert (target.read_bytes(), target.stat().st_mtime_ns) == (content, stamp)
    assert not wtool.average(inputs, decay=0.9, output=target, dry_run=True).skipped
    assert not wtool.average(inputs, decay=0.9, output=target, force=True).skipped


@pytest.mark.parametrize("difference", ["method", "number", "order", "content", "optimizer", "another tool"])
def test_what_is_not_the_same_average_is_not_skipped(difference: str, tmp_path: Path) -> None:
    inputs = [Path(shutil.copy(path, tmp_path)) for path in BLOBS[:3]]
    target = tmp_path / "out" / "average.keras"
    options: dict[str, Any] = {"linear": True}
    wtool.average(inputs, output=f"{target.parent}/", **options)
    assert wtool.average(inputs, output=target, **options).skipped
    match difference:
        case "method":
            options = {"equal": True}
        case "number":
            inputs.pop()
        case "order":
            inputs.reverse()
            options["order"] = "given"
        case "content":
            shutil.copy(BLOBS[5], inputs[1])
        case "optimizer":
            options["optimizer"] = "keep"
        case _:
            target.write_bytes(target.read_bytes() + b"\0")
    with pytest.raises(wtool.WtoolError, match="exists already"):
        wtool.average(inputs, output=target, **options)


def test_folders_and_patterns_are_inputs(tmp_path: Path) -> None:
    noisy(BLOBS[0], tmp_path, 3)
    (tmp_path / "notes.txt").write_text("not a model")
    of_folder = wtool.average([tmp_path], output=tmp_path / "a")
    of_pattern = wtool.average([str(tmp_path / "ckpt*.keras")], output=tmp_path / "b")
    assert [each.path for each in of_folder.inputs] == [str(tmp_path / f"ckpt{i}.keras") for i in (1, 2, 3)]
    assert of_pattern.inputs == of_folder.inputs
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()


@pytest.mark.parametrize(
    "name", ["k3.15.1/mlp.keras", "k3.15.1/mlp.weights.h5", "k2.2.4/mlp_defaultnames.h5", "k3.6.0/ema_adamw.keras"]
)
def test_bytes_that_averaging_does_not_touch_are_the_newest(name: str, tmp_path: Path) -> None:
    paths = noisy(zoo(name), tmp_path, 3)
    target = tmp_path / f"average{paths[0].name.removeprefix('ckpt1')}"
    done = wtool.average(paths, output=target)
    with wtool.open_checkpoint(str(paths[-1])) as newest:
        touched = {each.stored for each in newest.tensors if done.actions.get(each.path, KEPT).kind != "kept"}
    old, new = hdf5_bytes(paths[-1]), hdf5_bytes(target)
    position = 96 if target.suffix == ".h5" else 0  # the superblock says where the root is, and the lineage moved that
    for stored, start, stop in extents(paths[-1]):
        assert new[position:start] == old[position:start]
        position = stop if stored in touched else start
    assert new[position : len(old)] == old[position:]
    if target.suffix == ".keras":
        assert len(new) == len(old)
        with zipfile.ZipFile(paths[-1]) as before, zipfile.ZipFile(target) as after:
            assert after.testzip() is None
            assert after.namelist() == before.namelist()
            for member in set(before.namelist()) - {WEIGHTS, "metadata.json"}:
                assert after.read(member) == before.read(member)
            metadata = json.loads(after.read("metadata.json"))
            assert metadata.pop("wtool_lineage")
            assert metadata == json.loads(before.read("metadata.json"))


def test_lineage_carries_the_recipe_and_grows(tmp_path: Path) -> None:
    import blake3

    wtool.average(BLOBS[:2], decay=0.5, output=tmp_path / "a.keras")
    wtool.average([tmp_path / "a.keras", tmp_path / "a.keras"], output=tmp_path / "b.keras")
    first, second = wtool.inspect(tmp_path / "b.keras")["lineage"]
    assert first["operation"] == "average"
    assert first["parameters"]["exp"] == 0.5
    assert [each["name"] for each in first["inputs"]] == ["ckpt-91.keras", "ckpt-92.keras"]
    assert [each["hash"] for each in first["inputs"]] == [
        f"blake3:{blake3.blake3(path.read_bytes()).hexdigest()}" for path in BLOBS[:2]
    ]
    assert first["inputs"][0]["coefficient"] == pytest.approx(1 / 3)
    assert second["inputs"][0]["hash"] == f"blake3:{blake3.blake3((tmp_path / 'a.keras').read_bytes()).hexdigest()}"


def test_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.keras", "b.keras"):
        wtool.average(BLOBS, decay=0.9, output=tmp_path / name)
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()


def optimizer_values(path: Path) -> dict[str, Any]:
    with wtool.open_checkpoint(str(path)) as opened:
        return {each.path: opened.read(each) for each in opened.tensors}


def test_optimizer_follows(tmp_path: Path) -> None:
    paths = [FIXTURES / "bn" / f"ckpt-{epoch}.h5" for epoch in (9, 10, 11)]
    old = optimizer_values(paths[-1])
    wtool.average(paths, output=tmp_path / "follow.h5")
    new = optimizer_values(tmp_path / "follow.h5")
    slots = [path for path in new if path.startswith("optimizer/")]
    assert any(path.startswith("optimizer/average/") for path in slots)
    for path in slots:
        _, kind, *weight = path.split("/")
        if kind == "learning_rate":
            assert new[path] == old[path]
        elif kind == "average":
            np.testing.assert_array_equal(new[path], new["/".join(weight)])
        else:
            assert old[path].any()
            assert not new[path].any()


def test_optimizer_can_be_kept_or_dropped(tmp_path: Path) -> None:
    for suffix in (".keras", ".h5", ".weights.h5"):
        paths = [FIXTURES / "bn" / f"ckpt-{epoch}{suffix}" for epoch in (9, 10, 11)]
        kept, dropped, followed = (tmp_path / f"{name}{suffix}" for name in ("keep", "drop", "follow"))
        wtool.average(paths, optimizer="keep", output=kept)
        wtool.average(paths, optimizer="drop", output=dropped)
        wtool.average(paths, output=followed)
        old, new = arrays(paths[-1]), arrays(kept)
        slots = [name for name in old if name.startswith("optimizer")]
        assert slots
        assert all(old[name].tobytes() == new[name].tobytes() for name in slots)
        assert not [name for name in arrays(dropped) if name.startswith("optimizer")]
        for name, value in arrays(dropped).items():
            assert value.tobytes() == new[name].tobytes() == arrays(followed)[name].tobytes()


def test_a_schedule_that_restarts_is_mentioned() -> None:
    path = zoo("k3.6.0/ema_adamw.keras")
    assert any("schedule" in note for note in wtool.average([path, path], dry_run=True).notes)


def test_fresh_accumulators_start_where_the_optimizer_starts_them() -> None:
    """Nadam multiplies momenta up from 1: a zero there would stay zero for ever."""
    slot = Tensor("optimizer/u_product", "optimizer slot", "optimizer", "Nadam", False, (), "float32", "o/9", 0, 4,
                  slot=Slot("u_product", None, 1.0))  # fmt: skip
    edit, action = optimizer_rule._restarted(slot, {})
    assert edit is not None
    assert edit.apply([], 0, 1).tolist() == [1.0]
    assert str(action) == "set to 1"


def test_a_part_of_the_weights_takes_only_its_own_momentum_along(tmp_path: Path) -> None:
    paths = [FIXTURES / "bn" / f"ckpt-{epoch}.h5" for epoch in (9, 10, 11)]
    done = wtool.average(paths, include=["hidden/kernel"], output=tmp_path / "part.h5")
    old, new = optimizer_values(paths[-1]), optimizer_values(tmp_path / "part.h5")
    changed_paths = {path for path in old if old[path].tobytes() != new[path].tobytes()}
    assert changed_paths == {
        "hidden/kernel", "optimizer/momentum/hidden/kernel", "optimizer/average/hidden/kernel"
    }  # fmt: skip
    assert not new["optimizer/momentum/hidden/kernel"].any()
    assert done.actions["optimizer/iteration"] == KEPT


def test_an_optimizer_that_the_file_does_not_tell_is_kept_whole(tmp_path: Path) -> None:
    """One slot for each weight may be momentum, or the moving average that the weights are set to at the end."""
    import h5py

    for number in (1, 2):
        with h5py.File(tmp_path / f"ckpt{number}.weights.h5", "w") as file:
            file["layers/dense/vars/0"] = np.full((3, 2), number, np.float32)
            file["optimizer/vars/0"] = np.int64(7)
            file["optimizer/vars/1"] = np.float32(0.1)
            file["optimizer/vars/2"] = np.full((3, 2), 5, np.float32)
    done = wtool.average(
        [tmp_path / "ckpt1.weights.h5", tmp_path / "ckpt2.weights.h5"], output=tmp_path / "a.weights.h5"
    )
    result = arrays(tmp_path / "a.weights.h5")
    assert (result["layers/dense/vars/0"] == 1.5).all()
    assert (result["optimizer/vars/2"] == 5).all()
    assert result["optimizer/vars/0"] == 7
    assert any("optimizer is kept as it is" in note for note in done.notes)


def test_names_that_people_gave_do_not_match_by_position(tmp_path: Path) -> None:
    def renamed(text: str) -> str:
        return text.replace('"hidden"', '"actor"').replace('"output"', '"critic"')

    other = changed(BLOBS[0], tmp_path / "a.keras", lambda _, value: value, renamed)
    with pytest.raises(wtool.Refused, match="hidden/kernel is missing"):
        wtool.average([other, BLOBS[1]], order="given", output=tmp_path / "x.keras")


@pytest.mark.parametrize(
    ("name", "output", "expected"),
    [
        ("blobs/ckpt-91.keras", None, "average.keras"),
        ("bn/ckpt-9.h5", None, "average.h5"),
        ("bn/ckpt-9.weights.h5", None, "average.weights.h5"),
        ("bn/ckpt-9.weights.h5", ".", "./average.weights.h5"),
        ("bn/ckpt-9.h5", "mine", "mine.h5"),
        ("bn/ckpt-9.h5", "mine.out", None),
        ("bn/ckpt-9.h5", "mine.keras", None),
        ("bn/ckpt-9.h5", "mine.weights.h5", None),
        ("blobs/ckpt-91.keras", "mine.h5", None),
    ],
)
def test_the_output_is_called_so_that_keras_opens_it(
    name: str, output: str | None, expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if expected is None:
        with pytest.raises(wtool.Usage, match="format of its input"):
            wtool.average([FIXTURES / name], output=output)
        assert not any(tmp_path.iterdir())
    else:
        assert wtool.average([FIXTURES / name], output=output).output == expected
        assert [path.name for path in tmp_path.iterdir()] == [Path(expected).name]


def test_an_earlier_output_in_the_folder_is_no_input(tmp_path: Path) -> None:
    noisy(BLOBS[0], tmp_path, 2)
    first = wtool.average([tmp_path], output=tmp_path / "average.keras")
    content = (tmp_path / "average.keras").read_bytes()
    second = wtool.average([tmp_path], output=tmp_path / "average.keras", force=True)
    assert second.inputs == first.inputs
    assert (tmp_path / "average.keras").read_bytes() == content
    assert any("not an input" in note for note in second.notes)


@pytest.mark.parametrize("output", [None, "run", "run/"])
def test_an_earlier_output_with_the_default_name_is_no_input(
    output: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    noisy(BLOBS[0], folder, 2)
    monkeypatch.chdir(folder if output is None else tmp_path)
    models = "." if output is None else "run"
    first = wtool.average([models], output=output)
    assert len(first.inputs) == 2
    os.utime(folder / "average.keras", (2e9, 2e9))
    for order in (None, "mtime"):
        again = wtool.average([models], output=output, order=order)
        assert (again.inputs, again.skipped) == (first.inputs, True)
        assert any("average.keras is the output of this command, not an input" in note for note in again.notes)
    elsewhere = wtool.average([models], output=tmp_path / "other.keras")
    assert len(elsewhere.inputs) == 3


def test_integers_come_from_the_newest_and_it_is_said(tmp_path: Path) -> None:
    path = zoo("k3.15.1/norm_adapt.keras")
    other = changed(path, tmp_path / "a.keras", lambda _, value: value + 7)
    done = wtool.average([other, path], order="given", output=tmp_path / "out.keras")
    counts = [name for name, value in arrays(path).items() if value.dtype.kind == "i"]
    assert counts
    for name in counts:
        assert arrays(tmp_path / "out.keras")[name] == arrays(path)[name]
    assert any("norm/count kept" in note for note in done.notes)


def test_quantised_kernels_and_their_scales_stay_together(tmp_path: Path) -> None:
    path = zoo("k3.15.1/quant_int8.keras")
    other = changed(path, tmp_path / "a.keras", lambda _, value: value + 1)
    done = wtool.average([other, path], order="given", output=tmp_path / "out.keras")
    assert str(done.actions["q1/kernel"]) == str(done.actions["q1/kernel_scale"]) == "kept from the newest"
    assert str(done.actions["q1/bias"]) == "averaged"
    assert any("q1/kernel" in note for note in done.notes)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("avg_units.keras", "has shape"),
        ("avg_missing_var.keras", "is missing|is too many"),
        ("avg_extra_layer.keras", "is missing|is too many"),
    ],
)
def test_models_that_do_not_match_are_refused(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(wtool.Refused, match=message):
        wtool.average([HOSTILE / name, HOSTILE / "ok_base.keras"], order="given", output=tmp_path / "x.keras")
    assert not any(tmp_path.iterdir())


def test_another_activation_is_another_architecture(tmp_path: Path) -> None:
    other = changed(BLOBS[0], tmp_path / "a.keras", lambda _, value: value,
                    lambda text: text.replace('"activation": "relu"', '"activation": "tanh"'))  # fmt: skip
    with pytest.raises(wtool.Refused, match="activation is 'tanh' instead of 'relu'"):
        wtool.average([other, BLOBS[1]], order="given", output=tmp_path / "x.keras")


def test_automatic_names_of_separate_runs_match_by_position(tmp_path: Path) -> None:
    path = zoo("k3.0.5/mlp_defaultnames.keras")

    def renamed(text: str) -> str:
        for old, new in (("dense_2", "dense_9"), ("dense_1", "dense_8"), ('"dense"', '"dense_7"')):
            text = text.replace(f'"{old}"' if '"' not in old else old, f'"{new}"' if '"' not in new else new)
        return text

    other = changed(path, tmp_path / "a.keras", lambda _, value: np.zeros_like(value), renamed)
    done = wtool.average([other, path], order="given", output=tmp_path / "out.keras")
    assert any("matched by position" in note and "dense" in note for note in done.notes)
    for name, value in arrays(tmp_path / "out.keras").items():
        np.testing.assert_allclose(value, arrays(path)[name] / 2, rtol=1e-6)


def test_nan_is_refused_and_named_unless_allowed(tmp_path: Path) -> None:
    def spoil(name: str, value: Any) -> Any:
        return np.where(np.arange(value.size).reshape(value.shape) == 1, np.nan, value) if value.ndim == 2 else value

    bad = changed(BLOBS[3], tmp_path / "bad.keras", spoil)
    with pytest.raises(wtool.Refused, match=r"bad\.keras: hidden/kernel holds NaN"):
        wtool.average([BLOBS[0], bad, BLOBS[4]], output=tmp_path / "out.keras")
    assert not (tmp_path / "out.keras").exists()
    wtool.average([BLOBS[0], bad, BLOBS[4]], output=tmp_path / "out.keras", allow_nonfinite=True)
    assert sum(int(np.isnan(value).sum()) for value in arrays(tmp_path / "out.keras").values()) >= 1
    assert wtool.average([BLOBS[0], bad, BLOBS[4]], output=tmp_path / "out.keras", allow_nonfinite=True).skipped
    with pytest.raises(wtool.WtoolError, match="exists already"):
        wtool.average([BLOBS[0], bad, BLOBS[4]], output=tmp_path / "out.keras")


def test_one_checkpoint_or_the_same_twice_is_itself(tmp_path: Path) -> None:
    once = wtool.average([BLOBS[0]], output=tmp_path / "a.keras", optimizer="keep")
    link = tmp_path / "link.keras"
    link.symlink_to(BLOBS[0])
    twice = wtool.average([BLOBS[0], link], output=tmp_path / "b.keras", optimizer="keep")
    assert any("only one" in note for note in once.notes)
    assert any("same file" in note for note in twice.notes)
    (tmp_path / "copy.keras").write_bytes(BLOBS[0].read_bytes())
    copied = wtool.average([BLOBS[0], tmp_path / "copy.keras"], output=tmp_path / "c.keras")
    assert any("same content" in note for note in copied.notes)
    for result in ("a.keras", "b.keras"):
        assert hdf5_bytes(tmp_path / result) == hdf5_bytes(BLOBS[0])


def test_selection_averages_some_and_keeps_the_rest(tmp_path: Path) -> None:
    done = wtool.average(BLOBS[:2], include=["hidden/*"], exclude=["*/bias"], output=tmp_path / "a.keras")
    assert [path for path, action in done.actions.items() if action.kind == "averaged"] == ["hidden/kernel"]
    old, new = arrays(BLOBS[1]), arrays(tmp_path / "a.keras")
    same = [name for name in old if "optimizer" not in name and old[name].tobytes() == new[name].tobytes()]
    assert len(same) == 3


def test_checkpoints_with_other_layouts_are_averaged_too(tmp_path: Path) -> None:
    """A whole-model .h5 and a .keras of one training run: nothing is where it is in the other."""
    paths = [FIXTURES / "bn" / "ckpt-9.h5", FIXTURES / "bn" / "ckpt-10.h5", FIXTURES / "bn" / "ckpt-11.keras"]
    wtool.average(paths, output=tmp_path / "mixed.keras")
    same = [path.with_suffix(".keras") for path in paths]
    wtool.average(same, output=tmp_path / "same.keras")
    for name, value in arrays(tmp_path / "same.keras").items():
        assert value.tobytes() == arrays(tmp_path / "mixed.keras")[name].tobytes()


def test_compressed_archives_and_datasets_work(tmp_path: Path) -> None:
    for name in ("ok_deflated.keras", "ok_latest_libver.keras", "ok_chunked_gzip.keras", "ok_userblock.keras",
                 "ok_big_endian.keras", "ok_data_descriptor.keras", "ok_extra_members.keras"):  # fmt: skip
        if not (HOSTILE / name).exists():
            continue
        wtool.average(
            [HOSTILE / "ok_base.keras", HOSTILE / name], order="given", output=tmp_path / name, optimizer="keep"
        )
        before, after = arrays(HOSTILE / name), arrays(tmp_path / name)
        assert before.keys() == after.keys()
        base = arrays(HOSTILE / "ok_base.keras")
        for path in (path for path in before if path.startswith("layers")):
            mean = (base[path].astype(np.float64) + before[path].astype(np.float64)) / 2
            np.testing.assert_array_equal(after[path], mean.astype(np.float32))
        with zipfile.ZipFile(tmp_path / name) as archive:
            assert archive.testzip() is None


@pytest.mark.parametrize("stem", ["sharded", "shardsplit_1.535e-05"])
def test_sharded_checkpoints(stem: str, tmp_path: Path) -> None:
    source = zoo(f"k3.12.4/{stem}.weights.json")
    folder = tmp_path / "in"
    folder.mkdir()
    for path in source.parent.glob(f"{stem}*weights*"):
        if not path.name.endswith(".layout.json"):
            shutil.copy(path, folder)
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    for shard in other.glob("*.h5"):
        changed(shard, shard, lambda name, value: value if "optimizer" in name else value * 3)
    wtool.average([folder, other], output=tmp_path / "mean.weights.json")
    made = json.loads((tmp_path / "mean.weights.json").read_text())
    names = {name for value in made["weight_map"].values() for name in ([value] if isinstance(value, str) else value)}
    assert names == {path.name for path in tmp_path.glob("mean_*.weights.h5")}
    for path, value in optimizer_values(tmp_path / "mean.weights.json").items():
        if not path.startswith("optimizer"):
            np.testing.assert_allclose(value, 2 * optimizer_values(source)[path], rtol=1e-6)
    assert wtool.inspect(tmp_path / "mean.weights.json")["lineage"][0]["operation"] == "average"


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(4)), st.integers(1 << 16, 1 << 20))
def test_neither_batch_size_nor_order_of_equal_terms_matters(order: list[int], budget: int) -> None:
    import tempfile

    from wtool.run import pipeline

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "BUDGET", budget)
        patch.setattr(pipeline, "SMALLEST_BATCH", 64)
        one, two = Path(folder, "a.keras"), Path(folder, "b.keras")
        wtool.average(BLOBS[:4], output=one)
        wtool.average([BLOBS[:4][i] for i in order], output=two)
        assert one.read_bytes() == two.read_bytes()


@pytest.mark.tensorflow
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_keras_loads_the_result_and_trains_on(suffix: str, tmp_path: Path) -> None:
    import keras

    paths = [FIXTURES / "bn" / f"ckpt-{epoch}{suffix}" for epoch in (9, 10, 11)]
    models = [keras.models.load_model(path) for path in paths]
    expected = [np.average(np.stack(values).astype(np.float64), axis=0, weights=[0.25, 0.5, 1]).astype(np.float32)
                for values in zip(*(model.get_weights() for model in models), strict=True)]  # fmt: skip
    for mode in ("follow", "keep", "drop"):
        target = tmp_path / f"{mode}{suffix}"
        wtool.average(paths, decay=0.5, output=target, optimizer=mode)
        model = keras.models.load_model(target)
        for value, wanted in zip(model.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(value, wanted)
        assert int(model.optimizer.iterations) == (int(models[-1].optimizer.iterations) if mode == "keep" else 0)
        data = np.load(FIXTURES / "blobs" / "data.npz")
        x = data["test_x"]
        models[-1].set_weights(expected)
        np.testing.assert_array_equal(model.predict(x, verbose=0), models[-1].predict(x, verbose=0))


@pytest.mark.tensorflow
def test_averaged_blobs_predict_no_worse_than_their_mean(tmp_path: Path) -> None:
    import keras

    data = np.load(FIXTURES / "blobs" / "data.npz")
    wtool.average(BLOBS, decay=0.9, output=tmp_path / "average.keras")
    x, y = data["test_x"], data["test_y"].argmax(axis=1)

    def accuracy(path: Path) -> float:
        return float((keras.models.load_model(path).predict(x, verbose=0).argmax(axis=1) == y).mean())

    assert accuracy(tmp_path / "average.keras") >= np.mean([accuracy(path) for path in BLOBS]) - 0.01
