"""`wtool.merge` by every method, from files to a file, against the definitions in NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import wtool
from tests.models import ZOO, noisy
from tests.transforms.merging import formulas
from tests.transforms.merging.test_methods import IDS, VARIANTS
from wtool.dtypes import Array
from wtool.run.statistics import is_followed
from wtool.schema.layers import output_unit_axes
from wtool.transforms.merging.registry import METHODS

MODELS = ("mha.keras", "mixed_dtypes.keras")


def read(path: Path) -> tuple[dict[str, Array], dict[str, tuple[int, ...]]]:
    """The learned weights of a model, by path, and the axes of their output units."""
    with wtool.open_checkpoint(str(path)) as checkpoint:
        learned = [each for each in checkpoint.weights if not is_followed(each) and each.dtype[0] in "fb"]
        values = {each.path: checkpoint.read(each).reshape(each.shape) for each in learned}
        axes = {
            each.path: output_unit_axes(each.layer_class, each.role, each.shape, {}, each.layer.rpartition("/")[2])
            for each in learned
        }
        return values, axes


def python_name(option: str) -> str:
    return "lambda_" if option == "lambda" else option


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("method", "options"), VARIANTS, ids=IDS)
def test_files_are_merged_by_the_definition(model: str, method: str, options: dict[str, Any], tmp_path: Path) -> None:
    known = METHODS[method]
    paths = noisy(ZOO / "k3.15.1" / model, tmp_path, 4)
    models, base = paths[1 : 1 + (known.most or 3)], None if known.base == "unused" else paths[0]
    given = {python_name(name): value for name, value in options.items()}
    out = tmp_path / f"out{Path(model).suffix}"
    wtool.merge(models, method=method, base=base, output=out, **given)
    operands = [read(path)[0] for path in models]
    before = None if base is None else read(base)[0]
    found, axes = read(out)
    assert found
    for path, array in found.items():
        own = None if before is None else before[path]
        expected = formulas.merged(method, own, [each[path] for each in operands], axes[path], **options)
        epsilon = float(ml_dtypes.finfo(array.dtype).eps)  # type: ignore[no-untyped-call]
        room = 0.51 * epsilon * np.abs(expected) + 1e-12 + (2.0**-25 if array.dtype == np.float16 else 0)
        assert np.all(np.abs(array.astype(np.float64) - expected) <= room), path
