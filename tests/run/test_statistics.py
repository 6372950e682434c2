"""Statistics of batch normalisation in merged models, against NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.models import FIXTURES, arrays, changed

NAMES = ("ckpt-9", "ckpt-10", "ckpt-11")
KINDS = (".keras", ".h5", ".weights.h5")


def normalised(kind: str) -> list[Path]:
    return [FIXTURES / "bn" / f"{name}{kind}" for name in NAMES]


def values(path: Path, role: str) -> dict[str, np.ndarray[Any, Any]]:
    """Path of each tensor with this role -> values."""
    with wtool.open_checkpoint(str(path)) as checkpoint:
        return {each.path: checkpoint.read(each).astype(np.float64) for each in checkpoint.weights if each.role == role}


@pytest.mark.parametrize("kind", KINDS)
def test_pooled_statistics_are_those_of_all_examples_together(kind: str, tmp_path: Path) -> None:
    """Mean of the means; mean of the variances plus variance of the means, each weighted by the coefficients."""
    paths, coefficients = normalised(kind), np.array([1.0, 3.0, 0.5])
    out = tmp_path / f"pooled{kind}"
    done = wtool.average(paths, coefficients=[*coefficients], bn="pool", output=out)
    shares = coefficients / coefficients.sum()
    means = [values(path, "moving_mean") for path in paths]
    variances = [values(path, "moving_variance") for path in paths]
    assert len(means[0]) >= 1
    for path, pooled in values(out, "moving_variance").items():
        centres = np.stack([each[path.replace("variance", "mean")] for each in means])
        centre = np.average(centres, axis=0, weights=shares)
        spread = np.average((centres - centre) ** 2, axis=0, weights=shares)
        expected = np.average(np.stack([each[path] for each in variances]), axis=0, weights=shares) + spread
        assert (spread > 0).any()
        np.testing.assert_allclose(pooled, expected.astype(np.float32), rtol=2e-7)
        assert done.actions[path].kind == "pooled"
        np.testing.assert_allclose(values(out, "moving_mean")[path.replace("variance", "mean")], centre, rtol=2e-7)


def test_pooled_statistics_are_those_of_samples(tmp_path: Path) -> None:
    """Two halves of a sample, each with its mean and variance, give those of the whole sample."""
    sample = np.random.default_rng(0).normal(3, 2, size=(2, 1000))
    paths = []
    for number, half in enumerate(sample):
        told = {"moving_mean": half.mean(), "moving_variance": half.var()}

        def put(name: str, value: Any, told: dict[str, Any] = told) -> Any:
            role = next((each for each in told if each in name), None)
            return value if role is None else np.full(value.shape, told[role])

        paths.append(changed(FIXTURES / "bn" / "ckpt-9.h5", tmp_path / f"m{number}.h5", put))
    wtool.average(paths, bn="pool", output=tmp_path / "out.h5")
    for role, expected in (("moving_mean", sample.mean()), ("moving_variance", sample.var())):
        for value in values(tmp_path / "out.h5", role).values():
            np.testing.assert_allclose(value, expected, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_newest_statistics_can_be_kept(kind: str, tmp_path: Path) -> None:
    paths, out = normalised(kind), tmp_path / f"newest{kind}"
    plain = tmp_path / f"plain{kind}"
    done = wtool.average(paths, bn="newest", output=out)
    wtool.average(paths, bn="average", output=plain)
    kept, averaged, newest = arrays(out), arrays(plain), arrays(paths[-1])
    different = {name for name in kept if kept[name].tobytes() != averaged[name].tobytes()}
    with wtool.open_checkpoint(str(out)) as checkpoint:
        statistics = [each for each in checkpoint.weights if each.role.startswith("moving_")]
        records = checkpoint.lineage
    assert different == {each.stored for each in statistics}
    assert all(kept[name].tobytes() == newest[name].tobytes() for name in different)
    assert {str(done.actions[each.path]) for each in statistics} == {"kept from the newest"}
    assert records[-1].parameters["bn"] == "newest"


def test_the_record_of_a_plain_average_says_nothing_of_statistics(tmp_path: Path) -> None:
    paths, out = normalised(".keras"), tmp_path / "out.keras"
    wtool.average(paths, output=out)
    assert "bn" not in wtool.inspect(out)["lineage"][-1]["parameters"]
    assert wtool.average(paths, bn="average", output=out).skipped
    with pytest.raises(wtool.WtoolError, match="exists already"):
        wtool.average(paths, bn="pool", output=out)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"coefficients": [1, -1, 2]}, "from 0 up, not -"),
        ({"exclude": ["*/moving_mean"]}, "together with the layer's moving_mean"),
        ({"include": ["*/moving_mean"]}, "together with the layer's moving_variance"),
    ],
)
def test_pools_that_cannot_be(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(wtool.Usage, match=message):
        wtool.average(normalised(".keras"), bn="pool", output=tmp_path / "out.keras", **options)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("bn", "words"), [("average", "are averaged too"), ("pool", "are pooled"), ("newest", "are those of the newest")]
)
def test_the_note_names_the_command_that_sets_statistics_right(bn: str, words: str) -> None:
    (note,) = [each for each in wtool.average(normalised(".keras"), bn=bn, dry_run=True).notes if "moving" in each]
    assert words in note
    assert "wtool recalibrate" in note
