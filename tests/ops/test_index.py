"""`wtool index`: its rows against NumPy and against the files, and what is read again when files change."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import blake3
import numpy as np
import pytest

import wtool
from tests import forkserver
from tests.models import BLOBS, FIXTURES, HOSTILE, ZOO, arrays, changed
from tests.real_models import saved_files
from wtool.ops.index_columns import COLUMNS, OF_STATISTICS

pytest.importorskip("pyarrow")
FORMATS = ("zoo.parquet", "zoo.jsonl")


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of an index, read without wtool."""
    if path.suffix == ".jsonl":
        return [json.loads(line, parse_constant=pytest.fail) for line in path.read_text().splitlines()]
    from pyarrow import parquet

    rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    return [{**row, "modified": f"{row['modified']:%Y-%m-%dT%H:%M:%S.%fZ}"} for row in rows]


def counts_of(done: wtool.Indexed) -> tuple[int, ...]:
    return done.new, done.changed, done.kept, done.gone, len(done.failed)


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Models of several formats, one damaged file, and one that Keras 2 saved, in a folder of the current folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "zoo"
    (folder / "deep").mkdir(parents=True)
    for path in BLOBS[:3]:
        shutil.copy(path, folder)
    shutil.copy(FIXTURES / "bn" / "ckpt-9.h5", folder / "deep" / "bn.h5")
    shutil.copy(ZOO / "tf2.13" / "mlp.weights.h5", folder / "mlp.weights.h5")
    shutil.copy(HOSTILE / "zip_empty_archive.keras", folder / "empty.keras")
    wtool.prune(BLOBS[3], sparsity=0.5, output=folder / "pruned.keras")
    return folder


def statistics(values: np.ndarray[Any, Any]) -> dict[str, float]:
    values = values.astype(np.float64)
    return {
        "mean": values.mean(),
        "std": values.std(),
        "min": values.min(),
        "max": values.max(),
    }


@pytest.mark.parametrize("name", FORMATS)
def test_a_row_for_each_tensor_with_what_numpy_says(zoo: Path, name: str) -> None:
    wtool.index("zoo/", output=name, per="tensor")
    found = [row for row in rows_of(Path(name)) if row["path"] == "zoo/pruned.keras"]
    stored = {key: value for key, value in arrays(zoo / "pruned.keras").items() if not key.startswith("optimizer")}
    assert [row["position"] for row in found] == list(range(len(stored)))
    assert [row["tensor"] for row in found] == ["hidden/kernel", "hidden/bias", "output/kernel", "output/bias"]
    for row, values in zip(found, stored.values(), strict=True):
        assert {key: row[key] for key in statistics(values)} == pytest.approx(statistics(values), rel=1e-12)
        assert row["sum"] == pytest.approx(values.sum(dtype=np.float64), rel=1e-12)
        assert (row["shape"], row["dtype"], row["bytes"]) == (list(values.shape), values.dtype.name, values.nbytes)
        assert (row["zeros"], row["nonfinite"], row["parameters"]) == (np.sum(values == 0), 0, values.size)
        assert row["sparsity"] == np.mean(values == 0)
    assert [row["role"] for row in found] == ["kernel", "bias"] * 2
    assert found[0]["sparsity"] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("name", FORMATS)
def test_a_row_for_each_model_with_what_numpy_says(zoo: Path, name: str) -> None:
    wtool.index("zoo/", output=name)
    rows = {row["path"]: row for row in rows_of(Path(name))}
    row, path = rows["zoo/pruned.keras"], zoo / "pruned.keras"
    stored = [value.ravel() for key, value in arrays(path).items() if not key.startswith("optimizer")]
    values, kernels = np.concatenate(stored), np.concatenate(stored[::2])
    assert {key: row[key] for key in statistics(values)} == pytest.approx(statistics(values), rel=1e-12)
    assert (row["parameters"], row["bytes"], row["tensors"]) == (values.size, values.nbytes, 4)
    assert (row["kernel_parameters"], row["kernel_zeros"]) == (kernels.size, np.sum(kernels == 0))
    assert (row["zeros"], row["sparsity"]) == (np.sum(values == 0), np.mean(kernels == 0))
    assert row["hash"] == f"blake3:{blake3.blake3(path.read_bytes()).hexdigest()}"
    assert (row["classes"], row["layers"], row["dtypes"]) == (["Dense", "Dense"], 2, ["float32"])
    assert (row["optimizer"], row["optimizer_step"]) == ("SGD", wtool.inspect(path)["optimizer"]["step"])
    assert row["operations"] == ["prune"]
    assert json.loads(row["lineage"])[0]["parameters"]["sparsity"] == 0.5
    assert (row["file_size"], row["wtool"], row["keras_version"]) == (
        path.stat().st_size,
        wtool.__version__,
        wtool.inspect(path)["keras_version"],
    )
    assert rows["zoo/deep/bn.h5"]["format"] == "h5"
    assert "BatchNormalization" in rows["zoo/deep/bn.h5"]["classes"]


def test_both_formats_have_the_same_rows(zoo: Path) -> None:
    for kind in ("model", "tensor"):
        for name in FORMATS:
            wtool.index("zoo/", output=name, per=kind, force=True)
        one, other = (rows_of(Path(name)) for name in FORMATS)
        assert one == other
        assert [list(row) for row in one] == [[each.name for each in COLUMNS[kind]]] * len(one)


def test_rows_are_in_the_order_of_their_paths_whatever_words_name_them(zoo: Path) -> None:
    wtool.index("zoo/", output="one.parquet")
    words = ["zoo/pruned.keras", "zoo/deep", "zoo/*.h5", "zoo/"]
    wtool.index(words, output="other.parquet", jobs=2)
    assert Path("one.parquet").read_bytes() == Path("other.parquet").read_bytes()
    paths = [row["path"] for row in rows_of(Path("one.parquet"))]
    assert paths[:3] == ["zoo/ckpt-91.keras", "zoo/ckpt-92.keras", "zoo/ckpt-93.keras"]


def test_a_name_of_nothing_takes_no_rows_out_of_a_table(zoo: Path) -> None:
    wtool.index("zoo/", output="zoo.jsonl")
    before = Path("zoo.jsonl").read_bytes()
    for words in ("zo/", ["zoo/", "zoo/nowhere.keras"], "zoo/nowhere.keras"):
        with pytest.raises(wtool.WtoolError, match="No such file or directory"):
            wtool.index(words, output="zoo.jsonl")
        assert Path("zoo.jsonl").read_bytes() == before


@pytest.mark.parametrize("name", FORMATS)
def test_a_model_that_cannot_be_read_has_a_row_with_the_reason(zoo: Path, name: str) -> None:
    for kind in ("model", "tensor"):
        done = wtool.index("zoo/", output=name, per=kind, force=True)
        assert done.failed == {"zoo/empty.keras": "an empty zip archive"}
        (row,) = [row for row in rows_of(Path(name)) if row["error"]]
        told = {key: value for key, value in row.items() if value is not None}
        assert set(told) == {"path", "error", "file_size", "modified", "stamp", "wtool"}
        assert (row["path"], row["error"]) == ("zoo/empty.keras", "an empty zip archive")


def test_no_statistics_leave_their_columns_empty_and_read_no_weights(zoo: Path) -> None:
    for kind in ("model", "tensor"):
        wtool.index("zoo/", output="with.jsonl", per=kind, force=True)
        wtool.index("zoo/", output="without.jsonl", per=kind, statistics=False, force=True)
        rows = [{**row, **{name: None for name in OF_STATISTICS if name in row}} for row in rows_of(Path("with.jsonl"))]
        assert rows_of(Path("without.jsonl")) == rows


def test_columns_of_statistics_are_columns() -> None:
    names = {each.name for columns in COLUMNS.values() for each in columns}
    assert set(OF_STATISTICS) <= names
    assert all(each.meaning and each.name.islower() for columns in COLUMNS.values() for each in columns)


def test_values_that_are_not_finite_are_counted(zoo: Path) -> None:
    def spoil(name: str, value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.where(np.arange(value.size).reshape(value.shape) < 2, np.nan, value) if value.ndim == 2 else value

    changed(BLOBS[0], zoo / "spoilt.keras", spoil)
    wtool.index("zoo/spoilt.keras", output="zoo.jsonl")
    (row,) = rows_of(Path("zoo.jsonl"))
    assert row["nonfinite"] == 4
    assert math.isfinite(row["mean"])
    assert "hidden/kernel holds 2 NaN or infinite values" in row["notes"]


def test_a_model_without_variables_has_a_row_without_tensor(zoo: Path) -> None:
    keras = zoo / "flat.keras"
    config = {
        "class_name": "Sequential", "module": "keras", "registered_name": None,
        "config": {"name": "flat", "layers": [{"class_name": "Flatten", "module": "keras.layers",
                                              "registered_name": None, "config": {"name": "flatten"}}]},
    }  # fmt: skip
    import zipfile

    import h5py

    with zipfile.ZipFile(BLOBS[0]) as old, zipfile.ZipFile(keras, "w") as new:
        new.writestr("metadata.json", old.read("metadata.json"))
        new.writestr("config.json", json.dumps(config))
        with h5py.File(zoo / "w.tmp", "w") as file:
            file.create_group("layers/flatten/vars")
            file.create_group("vars")
        new.writestr("model.weights.h5", (zoo / "w.tmp").read_bytes())
    for name in FORMATS:
        assert wtool.index("zoo/flat.keras", output=name, per="tensor").failed == {}
        (row,) = rows_of(Path(name))
        assert (row["tensor"], row["error"], row["format"]) == (None, None, "keras")
        assert wtool.index("zoo/flat.keras", output=name, per="tensor").skipped


# What changes between two runs.


def touch(folder: Path) -> None:
    os.utime(folder / "ckpt-92.keras", ns=(10**18, 10**18))


def change(folder: Path) -> None:
    wtool.stroke(BLOBS[1], volatility_ratio=0.5, seed=1, output=folder / "ckpt-92.keras", force=True)


def rename(folder: Path) -> None:
    (folder / "ckpt-92.keras").rename(folder / "deep" / "a.keras")


CHANGES: dict[str, tuple[Callable[[Path], object], tuple[int, ...]]] = {
    "nothing": (lambda folder: None, (0, 0, 6, 0, 1)),
    "touch": (touch, (0, 1, 5, 0, 1)),
    "change": (change, (0, 1, 5, 0, 1)),
    "remove": (lambda folder: (folder / "ckpt-91.keras").unlink(), (0, 0, 5, 1, 1)),
    "rename": (rename, (1, 0, 5, 1, 1)),
    "add first": (lambda folder: shutil.copy(BLOBS[4], folder / "a.keras"), (1, 0, 6, 0, 1)),
    "add last": (lambda folder: shutil.copy(BLOBS[4], folder / "z.keras"), (1, 0, 6, 0, 1)),
    "repair": (lambda folder: shutil.copy(BLOBS[4], folder / "empty.keras"), (0, 1, 6, 0, 0)),
    "break": (lambda folder: (folder / "pruned.keras").write_bytes(b"no"), (0, 0, 5, 0, 2)),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("kind", ["model", "tensor"])
@pytest.mark.parametrize("case", CHANGES)
def test_an_index_that_is_brought_up_to_date_is_one_that_is_made_anew(
    zoo: Path, case: str, kind: str, name: str
) -> None:
    first = wtool.index("zoo/", output=name, per=kind)
    assert counts_of(first) == (6, 0, 0, 0, 1)
    do, counts = CHANGES[case]
    do(zoo)
    done = wtool.index("zoo/", output=name, per=kind)
    assert counts_of(done) == counts
    assert (done.models, done.rows) == (len({row["path"] for row in rows_of(Path(name))}), len(rows_of(Path(name))))
    wtool.index("zoo/", output=f"anew-{name}", per=kind)
    assert Path(name).read_bytes() == Path(f"anew-{name}").read_bytes()
    assert done.bytes == Path(name).stat().st_size


@pytest.mark.parametrize("name", FORMATS)
def test_kept_models_are_not_opened(zoo: Path, name: str) -> None:
    """The bytes of a model change, but neither its size nor its time: its row stays what it was."""
    wtool.index("zoo/", output=name)
    path = zoo / "ckpt-91.keras"
    status, data = path.stat(), path.read_bytes()
    path.write_bytes(bytes(len(data)))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    before = rows_of(Path(name))
    assert counts_of(wtool.index("zoo/", output=name)) == (0, 0, 6, 0, 1)
    assert rows_of(Path(name)) == before
    assert counts_of(wtool.index("zoo/", output=name, force=True)) == (5, 0, 0, 0, 2)


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_up_to_date_is_not_written(zoo: Path, name: str) -> None:
    (zoo / "empty.keras").unlink()
    first = wtool.index("zoo/", output=name)
    status = os.stat(name)
    done = wtool.index("zoo/", output=name)
    assert (done.skipped, done.rows, done.bytes) == (True, first.rows, first.bytes)
    assert os.stat(name).st_mtime_ns == status.st_mtime_ns
    assert os.stat(name).st_ino == status.st_ino


@pytest.mark.parametrize("name", FORMATS)
def test_rows_of_another_version_or_with_other_statistics_are_made_anew(
    zoo: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wtool.index("zoo/", output=name, statistics=False)
    done = wtool.index("zoo/", output=name)
    assert done.notes == ("the rows without statistics are made anew",)
    assert counts_of(done) == (0, 6, 0, 0, 1)
    assert wtool.index("zoo/", output=name, statistics=False).notes == ("the rows with statistics are made anew",)
    monkeypatch.setattr("wtool.ops.index_tables.__version__", "99.0")
    told = wtool.index("zoo/", output=name, statistics=False).notes
    assert told == (f"the rows that wtool {wtool.__version__} made are made anew",)


@pytest.mark.parametrize("name", FORMATS)
def test_an_index_with_other_columns_is_made_anew(zoo: Path, name: str) -> None:
    wtool.index("zoo/", output=name, per="tensor")
    done = wtool.index("zoo/", output=name)
    assert done.notes == (f"{name} has the columns of other options, or of another version: made anew",)
    assert counts_of(done) == (6, 0, 0, 0, 1)


# What is no index, and what ends the work.


def of_others(name: str) -> bytes:
    if name.endswith(".jsonl"):
        return b'{"text": "a line of somebody"}\n'
    import io

    import pyarrow
    from pyarrow import parquet

    file = io.BytesIO()
    parquet.write_table(pyarrow.table({"text": ["a row of somebody"]}), file)
    return file.getvalue()


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("what", ["text", "bytes", "cut", "another table"])
def test_what_is_no_index_is_refused_and_stays(zoo: Path, name: str, what: str) -> None:
    wtool.index("zoo/", output=name)
    data = Path(name).read_bytes()
    data = {"text": b"hello\n", "bytes": bytes(range(256)), "cut": data[:-20], "another table": of_others(name)}[what]
    Path(name).write_bytes(data)
    with pytest.raises(wtool.WtoolError, match=f"^{name}: is there already, and is no index .*--force replaces it$"):
        wtool.index("zoo/", output=name)
    assert Path(name).read_bytes() == data
    assert counts_of(wtool.index("zoo/", output=name, force=True)) == (6, 0, 0, 0, 1)


@pytest.mark.parametrize("name", FORMATS)
def test_an_index_in_another_order_is_refused(zoo: Path, name: str) -> None:
    wtool.index("zoo/", output=name)
    if name.endswith(".jsonl"):
        Path(name).write_text("".join(reversed(Path(name).read_text().splitlines(keepends=True))))
    else:
        from pyarrow import parquet

        table = parquet.read_table(name)
        parquet.write_table(table.take(list(reversed(range(len(table))))), name)
    with pytest.raises(wtool.WtoolError, match="not in the order of their paths"):
        wtool.index("zoo/", output=name)


@pytest.mark.parametrize(
    "line",
    [
        "[]", "3", "{", '{"path": NaN}', "[" * 100_000, '{"path": "\\ud800"}', "",
        '{"a": 1, "a": 2}',
    ],
)  # fmt: skip
def test_hostile_lines_are_refused_in_one_line(zoo: Path, line: str) -> None:
    wtool.index("zoo/", output="zoo.jsonl")
    with open("zoo.jsonl", "a") as file:
        file.write(line + "\n")
    with pytest.raises(wtool.WtoolError) as raised:
        wtool.index("zoo/", output="zoo.jsonl")
    assert "\n" not in str(raised.value)
    assert "line 8 is no row of" in str(raised.value)


@pytest.mark.parametrize(("column", "value"), [("path", 3), ("classes", "Dense"), ("mean", "0"), ("tensors", 2**70)])
def test_cells_of_other_types_are_refused(zoo: Path, column: str, value: Any) -> None:
    wtool.index("zoo/", output="zoo.jsonl")
    rows = rows_of(Path("zoo.jsonl"))
    rows[2][column] = value
    Path("zoo.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(wtool.WtoolError, match="line 3 is no row of these columns"):
        wtool.index("zoo/", output="zoo.jsonl")


def test_a_damaged_parquet_file_is_refused_in_one_line(zoo: Path) -> None:
    """Whatever byte is broken, the index is refused, or its cells are others; nothing crashes."""
    wtool.index("zoo/", output="zoo.parquet")
    data = Path("zoo.parquet").read_bytes()
    rng = np.random.default_rng(5)
    for at in rng.integers(4, len(data) - 8, 60):
        broken = bytearray(data)
        broken[at] ^= 1 << int(rng.integers(8))
        Path("zoo.parquet").write_bytes(broken)
        told = ""
        try:
            wtool.index("zoo/", output="zoo.parquet")
        except wtool.WtoolError as error:
            told = str(error)
        assert "\n" not in told
        assert "this is a bug" not in told


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("zoo.csv", "an index is a table: the output's name has to end in .parquet or .jsonl"),
        ("zoo", "an index is a table: the output's name has to end in .parquet or .jsonl"),
    ],
)
def test_names_of_other_tables_are_refused(zoo: Path, output: str, told: str) -> None:
    with pytest.raises(wtool.Usage, match=told):
        wtool.index("zoo/", output=output)


def test_standard_input_is_refused(zoo: Path) -> None:
    with pytest.raises(wtool.Usage, match="standard input has none"):
        wtool.index("-", output="zoo.jsonl")


def test_fail_fast_writes_nothing(zoo: Path) -> None:
    for name in FORMATS:
        with pytest.raises(wtool.WtoolError, match=r"zoo/empty\.keras: an empty zip archive"):
            wtool.index("zoo/", output=name, fail_fast=True)
        assert not Path(name).exists()


def test_a_dry_run_tells_what_would_be_read_and_writes_nothing(zoo: Path) -> None:
    wtool.index("zoo/", output="zoo.parquet")
    data = Path("zoo.parquet").read_bytes()
    touch(zoo)
    told: list[wtool.IndexedModel] = []
    done = wtool.index("zoo/", output="zoo.parquet", dry_run=True, report=told.append)
    assert counts_of(done) == (0, 2, 5, 0, 0)  # the damaged model would be read again
    assert (done.output, done.rows, done.bytes) == (None, 0, 0)
    assert {each.model for each in told if each.state != "kept"} == {"zoo/ckpt-92.keras", "zoo/empty.keras"}
    assert Path("zoo.parquet").read_bytes() == data


def test_parts_of_a_zoo_together_have_all_rows(zoo: Path) -> None:
    wtool.index("zoo/", output="zoo.jsonl")
    for number in (1, 2, 3):
        for _ in range(2):
            wtool.index("zoo/", output=f"part{number}.jsonl", shard=f"{number}/3")
    parts = [row for number in (1, 2, 3) for row in rows_of(Path(f"part{number}.jsonl"))]
    assert sorted(row["path"] for row in parts) == sorted(row["path"] for row in rows_of(Path("zoo.jsonl")))


def test_models_of_several_files(zoo: Path) -> None:
    """A shard that changes makes the model one that changed; so does a file of an unzipped model."""
    wtool.convert(BLOBS[0], output="zoo/big.weights.json")
    wtool.convert(BLOBS[0], output="zoo/open/", unzipped=True)
    shards = sorted(zoo.glob("big_*.weights.h5"))
    models = ["zoo/big.weights.json", *(str(each.relative_to(zoo.parent)) for each in (zoo / "open").iterdir())]
    first = wtool.index(models, output="zoo.jsonl")
    assert counts_of(first) == (len(models), 0, 0, 0, 0)
    row = rows_of(Path("zoo.jsonl"))[0]
    assert row["file_size"] == sum(each.stat().st_size for each in [zoo / "big.weights.json", *shards])
    assert len(row["hash"].split()) == 1 + len(shards)
    assert wtool.index(models, output="zoo.jsonl").skipped
    os.utime(shards[0], ns=(10**18, 10**18))
    assert counts_of(wtool.index(models, output="zoo.jsonl")) == (0, 1, 1, 0, 0)


@pytest.mark.skipif(os.name == "nt", reason="names are no bytes there")
def test_names_that_are_no_text_are_escaped(zoo: Path) -> None:
    for name in (b"\xff.keras", "ä\n.keras".encode()):
        try:
            shutil.copy(os.fsencode(BLOBS[0]), os.path.join(os.fsencode(zoo), name))
        except OSError:
            pytest.skip("this file system takes no such names")
    for name in FORMATS:
        wtool.index("zoo/", output=name)
        paths = [row["path"] for row in rows_of(Path(name))]
        assert {"zoo/\\udcff.keras", "zoo/ä\n.keras"} <= set(paths)
        assert counts_of(wtool.index("zoo/", output=name)) == (0, 0, 8, 0, 1)


# The command.


def run(*words: object, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(forkserver.wtool("index", *map(str, words)), capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return done


def test_the_command_tells_what_became_of_the_models(zoo: Path) -> None:
    done = run("zoo/", "-o", "zoo.parquet", status=1)
    size = os.path.getsize("zoo.parquet")
    assert done.stderr.splitlines() == [
        "wtool: zoo/empty.keras: an empty zip archive",
        f"wtool: 6 new, 0 changed, 0 kept, 0 gone, 1 failed; 7 rows, {size:,} bytes written to zoo.parquet",
    ]
    (zoo / "empty.keras").unlink()
    touch(zoo)
    assert run("zoo/", "-o", "zoo.parquet", "-n").stdout == "changed zoo/ckpt-92.keras\n"
    run("zoo/", "-o", "zoo.parquet", "-q")
    told = run("zoo/", "-o", "zoo.parquet").stderr
    assert "0 new, 0 changed, 6 kept, 0 gone, 0 failed; zoo.parquet is up to date: 6 rows, " in told
    assert json.loads(run("zoo/", "-o", "zoo.parquet", "--json").stdout)["kept"] == 6


def test_standard_output_gets_lines(zoo: Path) -> None:
    done = run("zoo/", "-o", "-", status=1)
    assert json.loads(done.stdout.partition("\n")[0])["path"] == "zoo/ckpt-91.keras"
    assert run("zoo/", "-o", "-", "--json", status=2).stdout == ""


def test_a_missing_pyarrow_is_told_in_one_line(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(wtool.WtoolError, match=r"^needs pyarrow: pip install 'wtool\[index\]'$"):
        wtool.index("zoo/", output="zoo.parquet")
    assert not Path("zoo.parquet").exists()
    wtool.index("zoo/", output="zoo.jsonl")


# Whole zoos.


def test_every_model_of_a_zoo_has_the_numbers_that_its_keras_reported(tmp_path: Path) -> None:
    """`WTOOL_ZOO=FOLDER` has all models of another collection looked at."""
    files = [saved for saved in saved_files() if not saved.path.name.endswith(".weights.json")]
    done = wtool.index([saved.path for saved in files], output=tmp_path / "zoo.parquet")
    assert done.failed == {}
    rows = {row["path"]: row for row in rows_of(tmp_path / "zoo.parquet")}
    assert len(rows) == len({str(saved.path) for saved in files})
    for saved in files:
        if not all(saved.weight_places):
            continue  # Keras reported weights that the file has in another form
        shapes = [weight["shape"] for weight in saved.report["weights"]]
        row = rows[str(saved.path)]
        assert row["parameters"] == sum(math.prod(shape) for shape in shapes), saved
        assert row["tensors"] == len(shapes), saved


def test_hostile_files_are_rows_and_do_no_harm(tmp_path: Path) -> None:
    done = wtool.index(HOSTILE, output=tmp_path / "hostile.jsonl", jobs=2)
    rows = rows_of(tmp_path / "hostile.jsonl")
    assert len(rows) == done.models == done.new + len(done.failed)
    assert {row["path"] for row in rows if row["error"]} == set(done.failed)
    assert len(done.failed) > 30
    assert all("\n" not in row["error"] and "this is a bug" not in row["error"] for row in rows if row["error"])


def test_texts_of_files_are_cells_and_no_more(zoo: Path) -> None:
    """Names that would end a line, a text or a query stay what they are."""
    name = "a'b\";DROP TABLE zoo--\u2028\\"

    def renamed(text: str) -> str:
        return text.replace('"name": "hidden"', '"name": ' + json.dumps(name))

    changed(BLOBS[0], zoo / "named.keras", lambda key, value: value, renamed)
    for output in FORMATS:
        wtool.index("zoo/named.keras", output=output, per="tensor")
        assert name in {row["layer"] for row in rows_of(Path(output))}
        assert wtool.index("zoo/named.keras", output=output, per="tensor").skipped


def test_duckdb_reads_both_formats_alike(zoo: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    found = []
    for name in FORMATS:
        wtool.index("zoo/", output=name)
        columns = "path, error, file_size, parameters, sparsity, mean, hash, classes, notes, lineage"
        found.append(duckdb.sql(f"SELECT {columns}, epoch_us(modified) FROM '{name}'").fetchall())
    assert found[0] == found[1]
    assert len(found[0]) == 7


def test_many_models_take_no_more_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand rows of a table before, in groups, of which all but one are kept."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("wtool.io.parquet_rows.ROWS", 50)
    Path("zoo").mkdir()
    for number in range(220):
        os.link(BLOBS[0], f"zoo/{number}.keras") if os.name != "nt" else shutil.copy(BLOBS[0], f"zoo/{number}.keras")
    wtool.index("zoo/", output="zoo.parquet", statistics=False)
    from pyarrow import parquet

    assert parquet.ParquetFile("zoo.parquet").metadata.num_row_groups == 5
    Path("zoo/100.keras").unlink()
    shutil.copy(BLOBS[1], "zoo/100.keras")
    assert counts_of(wtool.index("zoo/", output="zoo.parquet", statistics=False)) == (0, 1, 219, 0, 0)
    wtool.index("zoo/", output="anew.parquet", statistics=False)
    assert Path("zoo.parquet").read_bytes() == Path("anew.parquet").read_bytes()


KILLED = """
import os, sys, wtool
def report(model):
    if model.model == "zoo/ckpt-93.keras":
        os.kill(os.getpid(), int(sys.argv[2]))
wtool.index("zoo/", output=sys.argv[1], report=report)
"""


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_kill_in_the_middle_leaves_the_old_table(zoo: Path, name: str, number: int) -> None:
    wtool.index("zoo/", output=name)
    data = Path(name).read_bytes()
    change(zoo)
    argv = forkserver.python("-c", KILLED, name, str(int(number)))
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=zoo.parent)
    assert done.returncode != 0
    assert Path(name).read_bytes() == data
    assert sorted(path.name for path in zoo.parent.iterdir()) == sorted(["zoo", name])
    assert counts_of(wtool.index("zoo/", output=name)) == (0, 1, 5, 0, 1)


def test_pandas_reads_both_formats(zoo: Path) -> None:
    pandas = pytest.importorskip("pandas")
    for name in FORMATS:
        wtool.index("zoo/", output=name)
    one, other = pandas.read_parquet("zoo.parquet"), pandas.read_json("zoo.jsonl", lines=True)
    assert list(one) == list(other) == [each.name for each in COLUMNS["model"]]
    for column in ("path", "error", "parameters", "sparsity", "mean", "hash"):
        assert one[column].dropna().tolist() == pytest.approx(other[column].dropna().tolist()), column
