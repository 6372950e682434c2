"""Plots by the numbers that matplotlib was given, against NumPy's; and by their bytes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests import forkserver
from tests.models import BLOBS, HOSTILE, ZOO, arrays, changed
from tests.plotting.experiments import lines, written
from wtool.plotting import kernels, style, weights
from wtool.run import pipeline, threads
from wtool.transforms.mask_images import cell_finder, image_shape, shares

pytestmark = pytest.mark.slow  # a few seconds together: left out of the quick part

matplotlib = pytest.importorskip("matplotlib")

WTOOL = [sys.executable, "-m", "wtool"]
HIDDEN, OUTPUT = "layers/dense/vars/0", "layers/dense_1/vars/0"


def drawn_models(*paths: Path, include: tuple[str, ...] = ()) -> Any:
    with style.styled():
        (figure,) = weights.draw(kernels.models([str(path) for path in paths], include, ()))
        figure.canvas.draw()
    return figure


def pruned(model: Path, tmp_path: Path) -> Path:
    wtool.prune(model, sparsity=0.6, output=tmp_path / "pruned.keras")
    return tmp_path / "pruned.keras"


def test_histograms_zeros_and_masks_of_two_models(tmp_path: Path) -> None:
    models = [BLOBS[0], pruned(BLOBS[9], tmp_path)]
    figure = drawn_models(*models)
    assert [text.get_text() for text in figure.legends[0].texts] == ["ckpt-91.keras", "pruned.keras"]
    grid = np.array(figure.axes).reshape(2, 4)
    titles = [axes.get_title(loc="left") for axes in grid[:, 0]]
    assert titles == ["hidden/kernel  2x25", "output/kernel  25x3"]
    wider: list[bool] = []
    for row, stored in zip(grid, (HIDDEN, OUTPUT), strict=True):
        values = [arrays(model)[stored].astype(np.float64) for model in models]
        low, high = min(each.min() for each in values), max(each.max() for each in values)
        wider.append(low < values[1].min() or high > values[1].max())
        for at, each in enumerate(values):
            counts, edges = np.histogram(each[each != 0], bins=60, range=(low, high))
            steps = row[0].patches[at].get_data()
            assert list(steps.values) == list(counts)
            assert steps.edges == pytest.approx(edges)
            bar = row[1].patches[at]
            assert bar.get_width() == pytest.approx(100 * np.mean(each == 0))
            assert row[1].texts[at].get_text() == f"{100 * np.mean(each == 0):.1f}"
            assert np.array_equal(row[2 + at].images[0].get_array(), each != 0)
    assert any(wider)  # or the edges could be those of the last model
    assert grid[0, 1].patches[1].get_width() == pytest.approx(60)


@pytest.mark.parametrize("shape", [(7, 300), (500, 3), (97, 97), (3, 3, 40, 101), (1, 1)])
def test_images_of_large_kernels_are_shares(shape: tuple[int, ...]) -> None:
    """Each position counts once, in the cell where it lies; no cell is empty; blocks make no difference."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=shape) * (rng.uniform(size=shape) < 0.4)
    flat, matrix = values.ravel(), values.reshape(-1, shape[-1])
    height, width = image_shape(shape, kernels.CELLS)
    assert (height, width) == (min(96, matrix.shape[0]), min(96, matrix.shape[1]))
    sums, sizes = np.zeros((2, height, width))
    for row, column in np.ndindex(matrix.shape):
        cell = row * height // matrix.shape[0], column * width // matrix.shape[1]
        sums[cell] += matrix[row, column] == 0
        sizes[cell] += 1
    edges = kernels.bin_edges(flat.min(), flat.max())
    cells, counts = np.zeros(height * width, int), np.zeros(60, int)
    for start in range(0, flat.size, 1000):
        block = flat[start : start + 1000]
        finder = cell_finder(shape, kernels.CELLS)
        found, (where, zeros) = kernels._counted(edges, finder, None, [block], start, start + len(block))
        np.add.at(cells, where, zeros)
        counts += found
    assert shares(cells, shape, kernels.CELLS) == pytest.approx(sums / sizes)
    assert list(counts) == list(np.histogram(flat[flat != 0], 60, (flat.min(), flat.max()))[0])


@pytest.mark.parametrize("batch", [256, pipeline.LARGEST_BATCH])
def test_batches_and_threads_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    model = pruned(ZOO / "k3.15.1" / "mlp.keras", tmp_path)
    monkeypatch.setattr(pipeline, "LARGEST_BATCH", batch)
    monkeypatch.setattr(pipeline, "SMALLEST_BATCH", 256)
    monkeypatch.setattr(threads, "ALONE", 0)
    monkeypatch.setattr(kernels, "BLOCK", 50)
    stored = [each for name, each in arrays(model).items() if "optimizer" not in name]
    found = kernels.models([str(model)], (), ())[0].kernels.values()
    assert max(kernel.statistics.count for kernel in found) > 2 * 256 / 4
    for kernel in found:
        values = next(each for each in stored if each.shape == kernel.shape)
        assert list(kernel.counts) == list(np.histogram(values[values != 0].astype(np.float64), kernel.edges)[0])
        assert kernel.statistics.min == values.min()
        assert np.array_equal(kernel.pruned, values == 0)


@pytest.mark.parametrize("block", [5, kernels.BLOCK])
def test_masks_of_the_lineage_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """The images tell which weights are pruned, though none of them is zero; bars go on to count zeros."""
    monkeypatch.setattr(kernels, "BLOCK", block)
    mask, ticket = pruned(BLOBS[9], tmp_path), tmp_path / "ticket.keras"
    wtool.rewind(mask, initial=BLOBS[0], pruned="initial", output=ticket)
    assert all(np.all(arrays(ticket)[name] != 0) for name in (HIDDEN, OUTPUT))
    for row, name in zip(np.array(drawn_models(ticket).axes).reshape(2, 3), (HIDDEN, OUTPUT), strict=True):
        assert np.array_equal(row[2].images[0].get_array(), arrays(mask)[name] != 0)
        assert row[1].patches[0].get_width() == 0


def test_nan_is_told_and_not_drawn(tmp_path: Path) -> None:
    def change(name: str, values: np.ndarray) -> np.ndarray:
        if name == HIDDEN:
            values[0, :3] = np.nan, np.inf, 0
        return values

    model = changed(BLOBS[0], tmp_path / "nan.keras", change)
    axes = drawn_models(model).axes[0]
    kept = arrays(model)[HIDDEN].ravel()[3:].astype(np.float64)
    steps = axes.patches[0].get_data()
    assert list(steps.values) == list(np.histogram(kept, 60, (kept.min(), kept.max()))[0])
    assert kept.min() < 0 < kept.max()
    assert [text.get_text() for text in axes.texts] == ["2 NaN or infinite"]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(np.nan, np.nan, (0, 1)), (2.0, 2.0, (1.5, 2.5)), (-1e308, 1e308, (-1e308, 1e308)), (-3.0, 1.0, (-3, 1))],
)
def test_edges(low: float, high: float, expected: tuple[float, float]) -> None:
    edges = kernels.bin_edges(low, high)
    assert len(edges) == 61
    assert (edges[0], edges[-1]) == expected
    assert (np.diff(edges) > 0).all()


def test_models_of_other_architectures_have_rows_of_their_own(tmp_path: Path) -> None:
    figure = drawn_models(BLOBS[0], ZOO / "k3.15.1" / "mlp.keras", include=("*kernel",))
    rows = [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]
    assert rows[:2] == ["hidden/kernel  2x25", "output/kernel  25x3"]
    assert len(rows) > 2
    grid = np.array(figure.axes).reshape(len(rows), 4)
    assert [(len(row[2].images), len(row[3].images)) for row in grid] == [(1, 0)] * 2 + [(0, 1)] * (len(rows) - 2)


def test_biases_are_drawn_where_they_are_named(tmp_path: Path) -> None:
    titles = [axes.get_title(loc="left") for axes in drawn_models(BLOBS[0], include=("*/bias",)).axes]
    assert [title.split()[0] for title in titles if title] == ["hidden/bias", "output/bias"]


def test_legends_are_read_row_by_row() -> None:
    """Matplotlib gives the first columns one more each, where they do not come out even."""
    shown = style.by_rows(list(range(8)), 3)
    columns = np.array_split(np.array(shown), 3)
    assert [[int(column[row]) for column in columns if row < len(column)] for row in range(3)] == [
        [0, 1, 2],
        [3, 4, 5],
        [6, 7],
    ]


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_bytes_again(tmp_path: Path, suffix: str) -> None:
    run = written(tmp_path / "RUN", lines())
    for words in ([BLOBS[0], BLOBS[9]], run):
        files = [tmp_path / f"{number}{suffix}" for number in (1, 2)]
        for file in files:
            assert wtool.plot(words, output=file, force=True).output == str(file)
        first, second = (file.read_bytes() for file in files)
        assert first == second
        assert first[:5] == {".png": b"\x89PNG\r", ".svg": b"<?xml", ".pdf": b"%PDF-"}[suffix]


def test_the_users_style_makes_no_difference(tmp_path: Path) -> None:
    wtool.plot(BLOBS[0], output=tmp_path / "a.svg")
    with matplotlib.rc_context({"axes.grid": True, "font.size": 20}):
        wtool.plot(BLOBS[0], output=tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_names_are_data(tmp_path: Path) -> None:
    """No formulas, no control characters, and no name that a legend leaves out."""
    names = ["$\\nonsense$.keras", "_hidden.keras", "line\nbreak.keras"]
    for name in names:
        shutil.copy(BLOBS[0], tmp_path / name)
    figure = drawn_models(*(tmp_path / name for name in names))
    shown = [text.get_text() for text in figure.legends[0].texts]
    assert not any(text.get_parse_math() for text in figure.legends[0].texts)
    assert shown == ["$\\nonsense$.keras", " _hidden.keras", "line\\nbreak.keras"]


def run(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(forkserver.wtool("plot", *words), capture_output=True, text=True, cwd=cwd, check=False)


def test_the_command(tmp_path: Path) -> None:
    done = run(*BLOBS[:2], "-o", "weights.png", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "wtool: written to weights.png\n")
    again = run(BLOBS[0], "-o", "weights.png", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (1, "wtool: weights.png: exists already; --force replaces it\n")
    before = (tmp_path / "weights.png").read_bytes()
    assert run(BLOBS[0], "-o", "weights.png", "-f", "-q", cwd=tmp_path).stderr == ""
    assert (tmp_path / "weights.png").read_bytes() != before
    assert [each.name for each in tmp_path.iterdir()] == ["weights.png"]


def test_without_matplotlib(tmp_path: Path) -> None:
    code = "import sys; sys.modules['matplotlib'] = None\nfrom wtool.cli import main\nmain(sys.argv[1:])"
    words = [sys.executable, "-c", code, "plot", str(BLOBS[0]), "-o", str(tmp_path / "a.png")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "wtool: plots need matplotlib: pip install 'wtool[plot]'\n")
    assert not list(tmp_path.iterdir())


LINE = lines()[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]\n",
        "{}\n",
        "nonsense\n",
        json.dumps(LINE | {"epoch": "1"}) + "\n",
        json.dumps(LINE | {"epoch": 10**400}) + "\n",
        json.dumps(LINE | {"arm": None}) + "\n",
        json.dumps(LINE | {"remaining": 2}) + "\n",
        json.dumps(LINE | {"metrics": {"loss": "low"}}) + "\n",
        json.dumps(LINE | {"metrics": {}}) + "\n",
        json.dumps(LINE) + "\n" + "[" * 100_000 + "\n",
    ],
)
def test_runs_that_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(text)
    with pytest.raises(wtool.WtoolError, match=r"metrics\.jsonl: [a-z]") as caught:
        wtool.plot(tmp_path, output=tmp_path / "a.png")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "a.png").exists()


def test_refusals(tmp_path: Path) -> None:
    run_folder = written(tmp_path / "RUN", lines())
    plain = tmp_path / "a.png"
    for words, options, what in [
        (BLOBS[0], {"output": tmp_path / "a.jpg"}, r"a\.jpg: plots are \.png, \.svg, \.pdf"),
        (BLOBS[0], {"output": "-"}, "the output's name has to end"),
        ([run_folder, BLOBS[0]], {}, "RUN: an experiment and a model do not go into one plot"),
        (run_folder, {"include": ["x"]}, "an experiment has no tensors to choose"),
        (BLOBS[0], {"metric": "loss"}, "a model has no metrics"),
        (
            run_folder,
            {"metric": "f1"},
            "RUN: has no metric 'f1', but accuracy, early_stop, loss, val_acc",
        ),
        (BLOBS[0], {"include": ["nothing*"]}, "no tensor that could change has a path like"),
        (BLOBS[:9], {}, "9 models in one plot cannot be told apart; take at most 8"),
        ([], {}, "no models"),
    ]:
        with pytest.raises(wtool.Usage, match=what):
            wtool.plot(words, **{"output": plain, **options})
    with pytest.raises(wtool.WtoolError, match="folder without models"):
        wtool.plot(tmp_path / "RUN" / "..", output=plain, exclude=["x"])
    with pytest.raises(wtool.Refused, match=re.escape(str(HOSTILE / "corrupt_trunc_01.weights.h5"))):
        wtool.plot(HOSTILE / "corrupt_trunc_01.weights.h5", output=plain)
    assert not plain.exists()
    plain.touch()
    with pytest.raises(wtool.WtoolError, match=r"a\.png: exists already"):  # before anything is read
        wtool.plot(tmp_path / "missing.keras", output=plain)


def test_many_kernels_stand_in_blocks() -> None:
    """From top to bottom, then on to the right; what is left over is empty."""
    kernel = kernels.models([str(BLOBS[0])], (), ())[0].kernels["hidden/kernel"]
    model = kernels.ModelKernels("large", {f"layer-{number}/kernel": kernel for number in range(41)})
    with style.styled():
        (figure,) = weights.draw([model])
        grid = np.array(figure.axes).reshape(14, 9)
    titles = [axes.get_title(loc="left") for axes in grid[:, [0, 3, 6]].T.flat]
    assert titles == [*(f"layer-{number}/kernel  2x25" for number in range(41)), ""]
    assert [axes.get_visible() for axes in grid[-1]] == [True] * 6 + [False] * 3
    assert [axes.get_xlabel() for axes in grid[-1, :6]] == [
        "weights other than zero",
        "zeros, %",
        "kept; across: last axis",
    ] * 2
    assert grid[-2, 6].get_xlabel() == "weights other than zero"
    assert grid[-2, 0].get_xlabel() == ""


def test_more_than_a_hundred_kernels_have_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are nearly even, and every kernel is on one of them, in model order."""
    assert weights.MOST_ROWS == 100
    monkeypatch.setattr(weights, "MOST_ROWS", 8)
    kernel = kernels.models([str(BLOBS[0])], (), ())[0].kernels["hidden/kernel"]
    model = kernels.ModelKernels("large", {f"layer-{number}/kernel": kernel for number in range(9)})
    with style.styled():
        pages = weights.draw([model])
        titles = [[axes.get_title(loc="left").split()[0] for axes in _first_axes(page)] for page in pages]
    assert [len(each) for each in titles] == [5, 4]
    assert [*titles[0], *titles[1]] == [f"layer-{number}/kernel" for number in range(9)]


def _first_axes(page: Any) -> list[Any]:
    return sorted(
        (axes for axes in page.axes if axes.get_title(loc="left")),
        key=lambda axes: int(axes.get_title(loc="left").split("/")[0].removeprefix("layer-")),
    )


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_pages_are_files_or_pages_of_one_pdf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    monkeypatch.setattr(weights, "MOST_ROWS", 1)
    done = wtool.plot(BLOBS[:2], output=tmp_path / f"w{suffix}")
    names = [f"w{suffix}"] if suffix == ".pdf" else [f"w-1{suffix}", f"w-2{suffix}"]
    assert [Path(each).name for each in done.files] == names == sorted(each.name for each in tmp_path.iterdir())
    if suffix == ".pdf":
        assert b"/Count 2" in Path(done.files[0]).read_bytes()
    before = [Path(each).read_bytes() for each in done.files]
    wtool.plot(BLOBS[:2], output=tmp_path / f"w{suffix}", force=True)
    assert [Path(each).read_bytes() for each in done.files] == before
    with pytest.raises(wtool.WtoolError, match="exists already"):
        wtool.plot(BLOBS[0], output=tmp_path / f"w{suffix}")


def test_too_many_kernels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kernels, "MOST", 1)
    with pytest.raises(wtool.Usage, match="2 kernels are too many to draw; choose at most 1 with --include"):
        wtool.plot(BLOBS[0], output=tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_masks_are_named_after_their_models() -> None:
    grid = np.array(drawn_models(*BLOBS[:2]).axes).reshape(2, 4)
    assert [[axes.get_title() for axes in row[2:]] for row in grid] == [["ckpt-91.keras", "ckpt-92.keras"]] * 2
    assert not any(axes.get_title() for axes in drawn_models(BLOBS[0]).axes)  # the legend names it
