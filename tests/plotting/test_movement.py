"""Trained weights against initial ones: counts against NumPy's two-dimensional histogram, and what is drawn of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.models import BLOBS, HOSTILE, ZOO, arrays, changed
from tests.plotting.test_style import contrast_with_white
from wtool.plotting import movement, scatter, style
from wtool.run import pipeline, threads

matplotlib = pytest.importorskip("matplotlib")

HIDDEN, OUTPUT = "layers/dense/vars/0", "layers/dense_1/vars/0"
TRAINED, INITIAL = BLOBS[9], BLOBS[0]


@pytest.fixture
def initial(tmp_path: Path) -> Path:
    """An initial model whose values are far from the trained ones."""
    rng = np.random.default_rng(0)
    return changed(INITIAL, tmp_path / "init.keras", lambda _, each: rng.normal(size=each.shape))


@pytest.fixture
def pruned(tmp_path: Path) -> Path:
    wtool.prune(TRAINED, sparsity=0.6, output=tmp_path / "pruned.keras")
    return tmp_path / "pruned.keras"


def moved(*paths: Path, against: Path, mask: Path | None = None) -> list[movement.ModelMovements]:
    marked = None if mask is None else str(mask)
    return movement.movements([str(path) for path in paths], str(against), marked, (), ())


def expected(x: Any, y: Any, is_pruned: Any, ends: Any) -> list[Any]:
    """NumPy's counts of kept and of pruned pairs, over the ranges of x and of `ends`."""
    area = [(x.min(), x.max()), (ends.min(), ends.max())]
    return [np.histogram2d(x[some], y[some], 64, area)[0] for some in (~is_pruned, is_pruned)]


@pytest.mark.parametrize("has_mask", [False, True])
def test_counts_are_those_of_numpy(initial: Path, pruned: Path, has_mask: bool) -> None:
    """Zeros of the model itself are pruned, or those of the mask, at their trained values."""
    model = TRAINED if has_mask else pruned
    (found,) = moved(model, against=initial, mask=pruned if has_mask else None)
    assert list(found.kernels) == ["hidden/kernel", "output/kernel"]
    for each, stored in zip(found.kernels.values(), (HIDDEN, OUTPUT), strict=True):
        x, y, marks = (arrays(path)[stored].ravel().astype(np.float64) for path in (initial, model, pruned))
        kept, gone = expected(x, y, marks == 0, y)
        assert np.array_equal(each.kept, kept)
        assert np.array_equal(each.pruned, gone)
        assert each.pruned.sum() == round(0.6 * x.size)
        assert each.nonfinite == 0


@pytest.mark.parametrize("is_own", [False, True])
def test_masks_of_the_lineage_count(
    initial: Path, pruned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_own: bool
) -> None:
    """A ticket whose pruned weights keep their initial values marks them, in itself and in another model."""
    ticket = tmp_path / "ticket.keras"
    wtool.rewind(pruned, initial=BLOBS[5], pruned="initial", output=ticket)
    assert all(np.all(arrays(ticket)[stored] != 0) for stored in (HIDDEN, OUTPUT))
    monkeypatch.setattr(movement, "BLOCK", 13)
    model = ticket if is_own else TRAINED
    (found,) = moved(model, against=initial, mask=None if is_own else ticket)
    for each, stored in zip(found.kernels.values(), (HIDDEN, OUTPUT), strict=True):
        x, y, marks = (arrays(path)[stored].ravel().astype(np.float64) for path in (initial, model, pruned))
        kept, gone = expected(x, y, marks == 0, y)
        assert np.array_equal(each.kept, kept)
        assert np.array_equal(each.pruned, gone)


def test_batches_and_blocks_make_no_difference(
    tmp_path: Path, initial: Path, pruned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole,) = moved(TRAINED, against=initial, mask=pruned)
    monkeypatch.setattr(pipeline, "LARGEST_BATCH", 256)
    monkeypatch.setattr(pipeline, "SMALLEST_BATCH", 256)
    monkeypatch.setattr(threads, "ALONE", 0)
    monkeypatch.setattr(movement, "BLOCK", 7)
    (parts,) = moved(TRAINED, against=initial, mask=pruned)
    for one, two in zip(whole.kernels.values(), parts.kernels.values(), strict=True):
        assert np.array_equal(one.kept, two.kept)
        assert np.array_equal(one.pruned, two.pruned)


def test_several_models_share_edges_and_nan_is_told(initial: Path, tmp_path: Path) -> None:
    def change(name: str, values: Any) -> Any:
        if name == HIDDEN:
            values[0, :2] = np.nan, 9
        return values

    wide = changed(TRAINED, tmp_path / "wide.keras", change)
    models = moved(TRAINED, wide, against=initial)
    one, two = (model.kernels["hidden/kernel"] for model in models)
    assert np.array_equal(one.trained, two.trained)
    assert one.trained[-1] == 9
    assert (one.nonfinite, two.nonfinite) == (0, 1)
    assert two.kept.sum() == two.kept.size - 64 * 64 + 49
    with style.styled():
        (figure,) = scatter.draw(models)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[:2] == ["hidden/kernel\nckpt-100.keras", "hidden/kernel\nwide.keras"]
    assert [text.get_text() for text in figure.axes[1].texts] == ["1 NaN or infinite"]


def test_what_is_drawn(initial: Path, pruned: Path) -> None:
    """Counts lie where the values are: initial ones across, trained ones up; cells without weights are empty."""
    models = moved(pruned, against=initial)
    with style.styled():
        (figure,) = scatter.draw(models)
        figure.canvas.draw()
    assert [text.get_text() for text in figure.legends[0].texts] == ["kept", "pruned", "as before"]
    for axes, each in zip(figure.axes, models[0].kernels.values(), strict=True):
        for image, counts in zip(axes.images, (each.kept, each.pruned), strict=True):
            shown = image.get_array()
            assert np.array_equal(shown.filled(0), counts.T)
            assert np.array_equal(shown.mask, counts.T == 0)
            assert image.get_extent() == [each.initial[0], each.initial[-1], each.trained[0], each.trained[-1]]
            assert image.origin == "lower"
        line = axes.lines[0]
        assert list(line.get_xdata()) == list(line.get_ydata())
        assert [text.get_text() for text in axes.texts] == ["60.0 % pruned"]


def test_pages(monkeypatch: pytest.MonkeyPatch, initial: Path) -> None:
    """Rows of panels stay whole; every kernel of every model has a panel."""
    (model,) = moved(TRAINED, against=initial)
    some = model.kernels["hidden/kernel"]
    large = movement.ModelMovements("large", {f"layer-{number}/kernel": some for number in range(8)})
    monkeypatch.setattr(scatter, "MOST_PANELS", 6)
    with style.styled():
        pages = scatter.draw([large])
    titles = [[axes.get_title(loc="left") for axes in page.axes if axes.get_visible()] for page in pages]
    assert [len(each) for each in titles] == [6, 2]
    assert [*titles[0], *titles[1]] == list(large.kernels)


@pytest.mark.parametrize("colour", [*scatter.KEPT, *scatter.PRUNED])
def test_cells_stand_out_from_white(colour: str) -> None:
    assert contrast_with_white(colour) >= 3


def test_refusals(tmp_path: Path, initial: Path) -> None:
    output = tmp_path / "a.png"
    for options, what in [
        ({"against": ZOO / "k3.15.1" / "mlp.keras"}, r"mlp\.keras: does not match"),
        ({"against": initial, "mask": ZOO / "k3.15.1" / "mlp.keras"}, r"mlp\.keras: does not match"),
        ({"mask": initial}, "add --against"),
        ({"against": "-", "mask": "-"}, "standard input"),
        ({"against": HOSTILE / "corrupt_trunc_01.weights.h5"}, r"corrupt_trunc_01\.weights\.h5: "),
        ({"against": initial, "include": ["nothing*"]}, "no tensor that could change has a path like"),
    ]:
        with pytest.raises(wtool.WtoolError, match=what) as caught:
            wtool.plot(TRAINED, output=output, **options)
        assert "\n" not in str(caught.value)
    with pytest.raises(wtool.Usage, match="4 models do not fit beside each other; take at most 3"):
        wtool.plot(BLOBS[:4], against=initial, output=output)
    assert not output.exists()


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_same_bytes_again(tmp_path: Path, initial: Path, suffix: str) -> None:
    files = [tmp_path / f"{number}{suffix}" for number in (1, 2)]
    for file in files:
        wtool.plot([TRAINED, INITIAL], against=initial, output=file)
    assert files[0].read_bytes() == files[1].read_bytes()
