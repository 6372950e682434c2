"""Every merging method from files to a file: what all of them have in common, over the registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.models import BLOBS, FIXTURES, ZOO, arrays, noisy
from wtool.transforms.merging.registry import METHODS

RANDOM = [name for name, method in METHODS.items() if method.is_random]
NEEDED: dict[str, dict[str, Any]] = {"slerp": {"t": 0.3}, "nearswap": {"t": 0.01}}
"""The options without which a method does nothing."""

DOES = {"density": 0.5, "gamma": 0.1, "select_topk": 0.5}
"""Values of options whose default leaves everything as it is."""


def given(name: str, base: Path) -> dict[str, Any]:
    method = METHODS[name]
    does = {option: value for option, value in DOES.items() if option in method.takes}
    seed = {"seed": 5} if method.is_random else {}
    return {"method": name, "base": None if method.base == "unused" else base, **does, **NEEDED.get(name, {}), **seed}


def merged(name: str, paths: list[Path], out: Path, **options: Any) -> Any:
    """Merges as many models behind the first one, the base, as the method takes."""
    models = paths[1 : 1 + (METHODS[name].most or len(paths))]
    return wtool.merge(models, output=out, **{**given(name, paths[0]), **options})


@pytest.mark.parametrize("name", METHODS)
def test_all_weights_take_new_finite_values(name: str, tmp_path: Path) -> None:
    paths = noisy(ZOO / "k3.15.1" / "mlp.keras", tmp_path, 4)
    out = tmp_path / "out.keras"
    done = merged(name, paths, out)
    assert done.method == name
    assert done.seed == (5 if METHODS[name].is_random else None)
    with wtool.open_checkpoint(str(out)) as checkpoint:
        for tensor in checkpoint.weights:
            value = checkpoint.read(tensor)
            assert np.isfinite(value).all()
            assert done.actions[tensor.path].kind in ("merged", "averaged")
            assert tensor.role != "moving_variance" or (value >= 0).all()
    old = [arrays(path) for path in paths]
    new = arrays(out)
    different = sum(new[key].tobytes() not in {each[key].tobytes() for each in old} for key in new)
    assert different >= 4


@pytest.mark.parametrize("name", METHODS)
def test_the_same_command_gives_the_same_bytes_and_is_skipped_then(name: str, tmp_path: Path) -> None:
    one, other = tmp_path / "one.keras", tmp_path / "other.keras"
    assert not merged(name, BLOBS[:4], one).skipped
    merged(name, BLOBS[:4], other)
    assert one.read_bytes() == other.read_bytes()
    assert merged(name, BLOBS[:4], one).skipped
    record = wtool.inspect(one)["lineage"][-1]
    assert record["parameters"]["method"] == name
    assert record.get("seed") == (5 if name in RANDOM else None)


@pytest.mark.parametrize("name", RANDOM)
def test_seeds_make_a_difference_and_fresh_ones_are_told(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out.keras"
    first = merged(name, BLOBS[:4], out, seed=None)
    assert first.seed is not None
    again = merged(name, BLOBS[:4], out, seed=None)  # a result of any seed is as good
    assert (again.skipped, again.seed) == (True, first.seed)
    with pytest.raises(wtool.WtoolError, match="exists already"):
        merged(name, BLOBS[:4], out, seed=first.seed + 1)
    merged(name, BLOBS[:4], tmp_path / "repeated.keras", seed=first.seed)
    merged(name, BLOBS[:4], tmp_path / "another.keras", seed=first.seed + 1)
    assert (tmp_path / "repeated.keras").read_bytes() == out.read_bytes()
    another, first_values = arrays(tmp_path / "another.keras"), arrays(out)
    assert any(another[key].tobytes() != first_values[key].tobytes() for key in another)


@pytest.mark.parametrize("name", METHODS)
def test_options_that_a_method_has_no_use_for_are_refused(name: str) -> None:
    own = {option.rstrip("_") for option in METHODS[name].takes}
    options = {"weight": 1, "density": 0.5, "lambda_": 1, "t": 0.5, "gamma": 0.1, "epsilon": 0.1, "select_topk": 0.5,
               "max_iterations": 5, "tolerance": 0.1, "rescale": "l1", "normalize": True, "scope": "tensor",
               "rows": True, "filter_wise": True}  # fmt: skip
    assert own <= {option.rstrip("_") for option in options}
    for option, value in options.items():
        if option.rstrip("_") not in own:
            with pytest.raises(wtool.Usage, match=f"{name} has no use for --{option.rstrip('_').replace('_', '-')}"):
                merged(name, BLOBS[:4], Path("never.keras"), **{option: value})
        else:
            merged(name, BLOBS[:4], Path("never.keras"), dry_run=True, **{option: value})


@pytest.mark.parametrize("kind", [".h5", ".weights.h5"])
@pytest.mark.parametrize("name", METHODS)
def test_statistics_of_batch_normalisation_stay_between_those_of_the_operands(
    name: str, kind: str, tmp_path: Path
) -> None:
    paths = [FIXTURES / "bn" / f"ckpt-{number}{kind}" for number in (9, 10, 11)]
    out = tmp_path / f"out{kind}"
    merged(name, paths, out)
    with wtool.open_checkpoint(str(out)) as checkpoint:
        keys = [each.stored for each in checkpoint.weights if each.role.startswith("moving_")]
    old = [arrays(path) for path in paths]
    assert keys
    for key in keys:
        stack = np.stack([each[key] for each in old])
        value = arrays(out)[key]
        assert ((stack.min(axis=0) <= value) & (value <= stack.max(axis=0))).all()
