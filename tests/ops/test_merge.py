"""`wtool.merge` on real models: values against NumPy's formulas, what is kept, and what is refused."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.models import BLOBS, FIXTURES, WEIGHTS, ZOO, Array, arrays, changed, nearest, noisy
from wtool.run.input_model import InputModel
from wtool.transforms.merging.registry import METHODS

NAMES = ["k3.15.1/mlp.keras", "k3.15.1/mlp.weights.h5", "k2.2.4/mlp_defaultnames.h5", "k3.15.1/pure_f16.keras",
         "k3.0.5/pure_bf16.keras", "k3.15.1/f64_model.keras"]  # fmt: skip


def weights(path: Path) -> dict[str, Array]:
    """Path of each floating weight -> values, float64."""
    with wtool.open_checkpoint(str(path)) as checkpoint:
        found = {each.path: checkpoint.read(each) for each in checkpoint.weights}
    return {path: value.astype(np.float64) for path, value in found.items() if value.dtype.kind in "fV"}


def ties(base: Array, models: list[Array], share: list[float], density: float) -> Array:
    """Trim each task vector to its largest values, elect signs, and take the mean of what agrees; from the paper."""
    deltas = []
    for model in models:
        delta = (model - base).reshape(-1)
        kept = np.zeros(delta.size, bool)
        kept[np.argsort(np.abs(delta), kind="stable")[-max(1, int(density * delta.size)) :]] = True
        deltas.append(np.where(kept, delta, 0).reshape(base.shape))
    terms = [weight * delta for weight, delta in zip(share, deltas, strict=True)]
    sign = np.where(sum(terms) >= 0, 1, -1)
    agree = [np.sign(term) == sign for term in terms]
    total = sum(np.where(same, term, 0) for same, term in zip(agree, terms, strict=True))
    divisor = sum(np.where(same, weight, 0) for same, weight in zip(agree, share, strict=True))
    return np.asarray(base + total / np.where(divisor == 0, 1, divisor))


@pytest.mark.parametrize("name", NAMES)
def test_ties_is_the_formula(name: str, tmp_path: Path) -> None:
    base, *models = noisy(ZOO / name, tmp_path, 4)
    out = tmp_path / f"out{''.join(base.suffixes)}"
    done = wtool.merge(models, method="ties", base=base, density=0.4, weight=[1, 0.5, 0.25], output=out)
    old, theirs, new = weights(base), [weights(path) for path in models], weights(out)
    with wtool.open_checkpoint(str(out)) as checkpoint:
        dtypes = {each.path: checkpoint.read(each).dtype for each in checkpoint.weights}
    assert len(new) >= 4
    for path, value in new.items():
        if "moving_" in path:
            continue
        expected = ties(old[path], [each[path] for each in theirs], [1, 0.5, 0.25], 0.4)
        wanted = nearest(expected, dtypes[path]).astype(np.float64)
        np.testing.assert_allclose(value, wanted, rtol=1e-12 if dtypes[path] == np.float64 else 1e-3, err_msg=path)
        if dtypes[path] != np.float64:
            assert np.mean(value == wanted) > 0.99, path
        assert str(done.actions[path]) == "merged (weight 1, 0.5, 0.25; lambda 1; density 0.4)"
    assert done.parameters == sum(value.size for value in new.values())


def test_one_model_of_weight_one_is_that_model(tmp_path: Path) -> None:
    done = wtool.merge(
        BLOBS[5], method="task-arithmetic", base=BLOBS[0], optimizer="keep", output=tmp_path / "out.keras"
    )
    merged, tuned = weights(tmp_path / "out.keras"), weights(BLOBS[5])
    for path, value in merged.items():
        np.testing.assert_array_max_ulp(value.astype(np.float32), tuned[path].astype(np.float32), 1)
    assert done.inputs == (InputModel(str(BLOBS[0]), "base"), InputModel(str(BLOBS[5]), "model"))


def test_the_result_is_the_first_models_but_for_its_values(tmp_path: Path) -> None:
    """Its format, its configuration with the training settings, and its optimizer's class; not those of the base."""
    base = FIXTURES / "bn" / "ckpt-9.weights.h5"
    models = [FIXTURES / "bn" / "ckpt-10.keras", FIXTURES / "bn" / "ckpt-11.h5"]
    done = wtool.merge(models, method="task-arithmetic", base=base, weight=0.5, output=f"{tmp_path}/")
    assert done.output == f"{tmp_path}/merged.keras"
    with zipfile.ZipFile(models[0]) as old, zipfile.ZipFile(done.output) as new:
        assert new.namelist() == old.namelist()
        assert new.read("config.json") == old.read("config.json")
        metadata = json.loads(new.read("metadata.json"))
        del metadata["wtool_lineage"]
        assert metadata == json.loads(old.read("metadata.json"))
    a, b, c = weights(base), weights(models[0]), weights(models[1])
    for path, value in weights(Path(done.output)).items():
        if "moving_" not in path:
            np.testing.assert_allclose(
                value, a[path] + 0.5 * (b[path] - a[path]) + 0.5 * (c[path] - a[path]), atol=1e-6
            )


def test_the_lineage_tells_method_numbers_and_roles(tmp_path: Path) -> None:
    out = tmp_path / "out.keras"
    wtool.merge(
        BLOBS[1:3],
        method="ties",
        base=BLOBS[0],
        density={"*/kernel": 0.5},
        weight=[1, 2],
        exclude=["hidden/bias"],
        output=out,
    )
    record = wtool.inspect(out)["lineage"][-1]
    assert record["operation"] == "merge"
    assert record["parameters"] == {
        "method": "ties",
        "weight": ["1,2"],
        "normalize": True,
        "density": ["*/kernel=0.5"],
        "scope": "tensor",
        "optimizer": "follow",
        "bn": "average",
        "exclude": ["hidden/bias"],
    }
    told = [{name: value for name, value in each.items() if name != "hash"} for each in record["inputs"]]
    assert told == [
        {"name": "ckpt-91.keras", "as": "base"},
        {"name": "ckpt-92.keras", "as": "model", "weight": 1.0},
        {"name": "ckpt-93.keras", "as": "model", "weight": 2.0},
    ]


def test_what_is_done_already_is_skipped(tmp_path: Path) -> None:
    out = tmp_path / "out.keras"
    options: dict[str, Any] = {"method": "ties", "base": BLOBS[0], "output": out}
    assert not wtool.merge(BLOBS[1:3], density=0.5, **options).skipped
    again = wtool.merge(BLOBS[1:3], density=["0.5"], **options)  # the same number, as the command line gives it
    assert (again.skipped, again.actions) == (True, {})
    assert again.inputs == tuple(
        InputModel(str(path), role) for path, role in zip(BLOBS, ("base", "model", "model"), strict=False)
    )
    for change in ({"density": 0.6}, {"density": 0.5, "lambda_": 0.9}, {"density": 0.5, "bn": "pool"}):
        with pytest.raises(wtool.WtoolError, match="exists already"):
            wtool.merge(BLOBS[1:3], **options, **change)
    with pytest.raises(wtool.WtoolError, match="exists already"):
        wtool.merge(BLOBS[2:0:-1], density=0.5, **options)
    assert not wtool.merge(BLOBS[1:3], density=0.5, force=True, **options).skipped


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "linear", "density": 0.5}, "linear has no use for --density; it takes --weight, --normalize"),
        ({"method": "linear", "base": BLOBS[0]}, "linear makes nothing of a base"),
        ({"method": "ties"}, "ties needs a base"),
        ({"method": "ties", "base": BLOBS[0], "density": 1.5}, "--density 1.5 is not between 0 and 1"),
        ({"method": "ties", "base": BLOBS[0], "weight": [1, 2, 3]}, "3 numbers for 2 models"),
        ({"method": "ties", "base": BLOBS[0], "density": {"nothing/*": 0.5}}, "no tensor that is merged has a path"),
        ({"method": "ties", "base": BLOBS[0], "density": "much"}, "no finite number"),
        ({"method": "tiles"}, "'tiles' is no method; choose linear"),
        ({"method": "linear", "include": ["nothing/*"]}, "no tensor that could change"),
        ({"method": "linear", "exclude": ["*"]}, "nothing is selected"),
        ({"method": "linear", "weight": [1, -1]}, "add up to 0"),
        ({"method": "nuslerp", "weight": [1, -1]}, "add up to 0, so they cannot be normalised; take others"),
        ({"method": "linear", "weight": 1e308}, r"--weight has 1e\+308; magnitudes are 0, or from 1e-100 to 1e\+100"),
        ({"method": "linear", "weight": "*=1e-320"}, "--weight has '1e-320'; magnitudes are 0, or from 1e-100"),
        ({"method": "linear", "seed": -1}, "not negative"),
        ({"method": "linear", "bn": "newest"}, "no treatment of batch normalisation"),
    ],
)
def test_words_that_make_no_sense(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(wtool.Usage, match=message):
        wtool.merge(BLOBS[1:3], output=tmp_path / "x.keras", **options)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("options", [{"method": "ties"}, {"method": "linear", "density": 0.5}])
def test_misuse_makes_no_folder_and_opens_no_file(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(wtool.Usage):
        wtool.merge([tmp_path / "missing.keras", tmp_path / "other.keras"], output=f"{tmp_path}/new/", **options)
    assert not any(tmp_path.iterdir())


def counted(path: Path, target: Path, count: int) -> Path:
    """A copy of a model with another count in its Normalization layer."""
    return changed(path, target, lambda name, value: np.full(value.shape, count) if value.dtype.kind == "i" else value)


def test_whole_numbers_have_to_agree(tmp_path: Path) -> None:
    model = ZOO / "k3.15.1" / "norm_adapt.keras"
    same = [counted(model, tmp_path / f"same{number}.keras", 7) for number in range(2)]
    other = counted(model, tmp_path / "other.keras", 8)
    out = tmp_path / "out.keras"
    with pytest.raises(wtool.Refused, match=r"same0.keras: norm/count cannot be merged, and \S*other.keras has other"):
        wtool.merge([*same, other], method="linear", output=out)
    with pytest.raises(wtool.Refused, match="norm/count"):
        wtool.merge([*same, other], method="linear", dry_run=True)
    with pytest.raises(wtool.Refused, match=r"other.keras has other values; --exclude keeps the first's"):
        wtool.merge(same, method="task-arithmetic", base=other, output=out)
    assert not out.exists()
    assert wtool.merge(same, method="linear", output=out).actions["norm/count"].text == "kept from the first"
    kept = wtool.merge([same[0], other], method="linear", exclude=["norm/count"], output=tmp_path / "kept.keras")
    assert kept.actions["norm/count"].text == "kept from the first"


def test_quantised_kernels_have_to_agree(tmp_path: Path) -> None:
    model = ZOO / "k3.15.1" / "quant_int8.keras"

    def nudge(name: str, value: Array) -> Array:
        return np.where(value > 0, value - 1, value) if value.dtype == np.int8 else value

    other = changed(model, tmp_path / "other.keras", nudge)
    with pytest.raises(wtool.Refused, match="q1/kernel, q2/kernel cannot be merged"):
        wtool.merge([model, other], method="linear", output=tmp_path / "out.keras")


def test_other_vocabularies_are_refused(tmp_path: Path) -> None:
    model, other = ZOO / "k3.15.1" / "text_assets.keras", tmp_path / "other.keras"
    with zipfile.ZipFile(model) as old, zipfile.ZipFile(other, "w") as new:
        for member in old.infolist():
            content = old.read(member)
            new.writestr(member, content.replace(b"a", b"e") if member.filename.startswith("assets/") else content)
    with pytest.raises(wtool.Refused, match=r"other.keras: its vocabularies.*are not those of .*text_assets"):
        wtool.merge([model, other], method="linear", output=tmp_path / "out.keras")
    wtool.merge([model, model], method="linear", output=tmp_path / "out.keras")


def test_vocabularies_are_compared_across_formats(tmp_path: Path) -> None:
    """An archive, a folder and a safetensors file have the same files of layers, each in its way."""
    model, folder, tensors = ZOO / "k3.15.1" / "text_assets.keras", tmp_path / "folder", tmp_path / "model.safetensors"
    wtool.convert(model, output=folder, unzipped=True)
    wtool.convert(model, output=tensors)
    done = wtool.merge([model, folder, tensors], method="linear", output=tmp_path / "out.keras")
    assert not any("vocabular" in note for note in done.notes)
    vocabulary = next(path for path in (folder / "assets").rglob("*") if path.is_file())
    vocabulary.write_bytes(vocabulary.read_bytes()[::-1])
    with pytest.raises(wtool.Refused, match="folder: its vocabularies"):
        wtool.merge([model, folder, tensors], method="linear", output=tmp_path / "other.keras")


def test_the_command_tells_what_becomes_of_tensors(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "wtool", "merge", *map(str, BLOBS[1:3]), "--base", str(BLOBS[0]), "--method", "ties"]

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*argv, *words], capture_output=True, text=True, cwd=tmp_path, check=False)

    dry = run("--dry-run", "--weight", "hidden/*=.5", "--weight", "1,2", "--density", "0:1")
    assert dry.returncode == 0
    assert "hidden/kernel" in dry.stdout
    assert "merged (weight 0.5; lambda 1; density 0)" in dry.stdout
    assert "merged (weight 1, 2; lambda 1; density 1)" in dry.stdout
    assert f"wtool: base   {BLOBS[0]}" in dry.stderr
    assert not any(tmp_path.iterdir())
    told = json.loads(run("--json", "-q").stdout)
    assert (told["output"], told["method"], told["parameters"]) == ("merged.keras", "ties", 153)
    assert [each["role"] for each in told["inputs"]] == ["base", "model", "model"]
    assert "skipped" in run().stderr
    other = run("--density", ".5")
    assert (other.returncode, other.stdout) == (1, "")
    assert "exists already" in other.stderr
    misuse = run("--t", ".5", "-o", "new/")
    assert (misuse.returncode, misuse.stderr.count("\n")) == (2, 1)
    assert "ties has no use for --t" in misuse.stderr


def test_the_help_lists_the_methods() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "wtool", "merge", "--help"], capture_output=True, text=True, check=True
    )
    lines = [line.strip() for line in shown.stdout.splitlines()]
    for name, method in METHODS.items():
        assert f"{name:17}{method.line}" in lines


def test_statistics_are_averaged_whatever_the_method(tmp_path: Path) -> None:
    """A variance stays one, though the task vectors of a trimmed variance may point below zero."""
    base, *models = (FIXTURES / "bn" / f"ckpt-{number}.keras" for number in (9, 10, 11))
    out = tmp_path / "out.keras"
    done = wtool.merge(models, method="ties", base=base, density=0.2, weight=[3, 1], lambda_=9, output=out)
    told = [weights(path) for path in models]
    for path, value in weights(out).items():
        if "moving_" in path:
            expected = np.average([each[path] for each in told], axis=0, weights=[3, 1]).astype(np.float32)
            np.testing.assert_array_equal(value, expected)
            assert done.actions[path].kind == "averaged"
    assert any("wtool recalibrate" in note for note in done.notes)


@pytest.mark.parametrize(
    ("weight", "wanted"), [([1, -1], [0, 1, 0]), ([-1, -2], [1, 0, 0]), ([0, 2], [0, 0, 1])], ids=str
)
def test_models_that_are_subtracted_have_no_statistics(
    weight: list[float], wanted: list[float], tmp_path: Path
) -> None:
    paths = [FIXTURES / "bn" / f"ckpt-{number}.keras" for number in (9, 10, 11)]
    out = tmp_path / "out.keras"
    wtool.merge(paths[1:], method="task-arithmetic", base=paths[0], weight=weight, output=out)
    told = [weights(path) for path in paths]
    for path, value in weights(out).items():
        if "moving_" in path:
            np.testing.assert_array_equal(value, np.average([each[path] for each in told], axis=0, weights=wanted))


@pytest.mark.parametrize("bn", ["pool", "first"])
def test_statistics_may_be_pooled_or_the_firsts(bn: str, tmp_path: Path) -> None:
    paths = [FIXTURES / "bn" / f"ckpt-{number}.keras" for number in (9, 10)]
    out = tmp_path / "out.keras"
    wtool.merge(paths, method="linear", weight=[3, 1], bn=bn, output=out)
    a, b = (weights(path) for path in paths)
    new = weights(out)
    for path in (path for path in new if path.endswith("moving_variance")):
        means = [each[path.replace("variance", "mean")] for each in (a, b)]
        pooled = (3 * a[path] + b[path]) / 4 + 3 / 16 * (means[0] - means[1]) ** 2
        np.testing.assert_allclose(new[path], pooled if bn == "pool" else a[path], rtol=2e-7)


def test_nan_is_refused_with_file_and_tensor(tmp_path: Path) -> None:
    def spoil(name: str, value: Array) -> Array:
        return np.full(value.shape, np.nan) if name.endswith("vars/1") and value.dtype.kind == "f" else value

    bad = changed(BLOBS[2], tmp_path / "bad.keras", spoil)
    for method, base in (("linear", None), ("ties", BLOBS[0]), ("task-arithmetic", BLOBS[0])):
        with pytest.raises(wtool.Refused, match=r"bad.keras: \w+/bias holds NaN or infinite values; --exclude keeps"):
            wtool.merge([BLOBS[1], bad], method=method, base=base, output=tmp_path / "out.keras")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.keras"]
    wtool.merge([BLOBS[1], bad], method="linear", exclude=["*/bias"], output=tmp_path / "out.keras")


def test_values_beyond_the_dtype_are_refused(tmp_path: Path) -> None:
    options: dict[str, Any] = {"method": "task-arithmetic", "base": BLOBS[0], "lambda_": 1e60}
    with pytest.raises(wtool.Refused, match="kernel is too large for float32; smaller weights or factors") as raised:
        wtool.merge(BLOBS[1:4], output=tmp_path / "merged.keras", **options)
    assert raised.value.file == str(BLOBS[1])  # whose copy the result would have been, and no model that is at fault
    assert not list(tmp_path.iterdir())


def test_a_base_in_the_folder_of_models_is_no_model(tmp_path: Path) -> None:
    for path in BLOBS[:3]:
        shutil.copy(path, tmp_path)
    base = tmp_path / "ckpt-91.keras"
    done = wtool.merge(tmp_path, method="ties", base=base, dry_run=True)
    assert [each.role for each in done.inputs] == ["base", "model", "model"]
    assert any("is the base, and not one of the models" in note for note in done.notes)
    by_name = wtool.merge(BLOBS[:2], method="ties", base=BLOBS[0], dry_run=True)
    assert [each.role for each in by_name.inputs] == ["base", "model", "model"]
    assert any("a model and the base too" in note for note in by_name.notes)


def test_models_through_pipes(tmp_path: Path) -> None:
    """The second comes in on standard input, and the result goes out on standard output."""
    argv = [sys.executable, "-m", "wtool", "merge", str(BLOBS[1]), "-", "--base", str(BLOBS[0]), "--method", "ties"]
    piped = subprocess.run([*argv, "-o", "-", "-q"], input=BLOBS[2].read_bytes(), capture_output=True, check=True)
    wtool.merge(BLOBS[1:3], method="ties", base=BLOBS[0], output=tmp_path / "files.keras")
    (tmp_path / "piped.keras").write_bytes(piped.stdout)
    assert arrays(tmp_path / "piped.keras").keys() == arrays(tmp_path / "files.keras").keys()
    with zipfile.ZipFile(io.BytesIO(piped.stdout)) as one, zipfile.ZipFile(tmp_path / "files.keras") as other:
        assert one.read(WEIGHTS) == other.read(WEIGHTS)
    twice = subprocess.run(
        [*argv[:-2], "--base", "-", *argv[-2:]], input=b"", capture_output=True, text=False, check=False
    )
    assert twice.returncode == 2


def test_the_optimizer_starts_anew_or_follows(tmp_path: Path) -> None:
    options: dict[str, Any] = {"method": "ties", "base": BLOBS[0], "dry_run": True}
    everything = wtool.merge(BLOBS[1:3], **options).actions
    assert str(everything["optimizer/iteration"]) == "set to 0"
    some = wtool.merge(BLOBS[1:3], include=["hidden/*"], **options).actions
    assert some["optimizer/iteration"].kind == "kept"
    assert str(some["optimizer/momentum/hidden/kernel"]) == "set to 0"
    assert str(some["output/kernel"]) == "kept from the first"
    kept = wtool.merge(BLOBS[1:3], optimizer="keep", **options).actions
    assert str(kept["optimizer/iteration"]) == "kept from the first"


def test_moving_averages_take_the_merged_values(tmp_path: Path) -> None:
    paths = noisy(ZOO / "k3.6.0" / "ema_adamw.keras", tmp_path, 3)
    out = tmp_path / "out.keras"
    wtool.merge(paths[1:], method="ties", base=paths[0], density=0.5, output=out)
    with wtool.open_checkpoint(str(out)) as checkpoint:
        averages = [each for each in checkpoint.slots if each.slot is not None and each.slot.name == "average"]
        named = {each.path: each for each in checkpoint.weights}
        assert averages
        for each in averages:
            assert each.slot is not None
            assert np.array_equal(checkpoint.read(each), checkpoint.read(named[str(each.slot.weight)]))


def test_bytes_that_merging_does_not_touch_are_the_firsts(tmp_path: Path) -> None:
    out = tmp_path / "out.keras"
    done = wtool.merge(BLOBS[1:4], method="linear", include=["hidden/kernel"], optimizer="keep", output=out)
    old, new = arrays(BLOBS[1]), arrays(out)
    different = {name for name in old if old[name].tobytes() != new[name].tobytes()}
    assert len(different) == 1
    assert sum(action.kind == "merged" for action in done.actions.values()) == 1


def test_a_copy_of_the_base_is_told_as_such(tmp_path: Path) -> None:
    copy = tmp_path / "copy.keras"
    copy.write_bytes(BLOBS[0].read_bytes())
    notes = wtool.merge([copy], base=BLOBS[0], method="ties", output=tmp_path / "out.keras").notes
    assert [note for note in notes if "nothing distinguishes the model from the base" in note]
    assert not [note for note in notes if "counts twice" in note]


def test_the_doctor_looks_at_models_whose_whole_numbers_are_left_out(tmp_path: Path) -> None:
    model = ZOO / "k3.15.1" / "norm_adapt.keras"
    paths = [counted(model, tmp_path / f"model{number}.keras", number) for number in range(2)]
    done = wtool.merge(paths, method="linear", exclude=["*/count"], doctor=True, output=tmp_path / "out.keras")
    assert done.diagnosis is not None
    with pytest.raises(wtool.Usage, match="nothing is selected"):
        wtool.merge(paths, method="linear", include=["*/count"], doctor=True, dry_run=True)
