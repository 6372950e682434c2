"""The numbers of a merge against its method, its models and its tensors: what does not fit is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from wtool.errors import Usage
from wtool.transforms.change import Site
from wtool.transforms.merging.registry import METHODS
from wtool.transforms.merging.settings import Settings, settings_of

SITES = [
    Site("encoder/kernel", (3, 2), "float32", depth=0.0),
    Site("encoder/bias", (2,), "float32", depth=0.0),
    Site("head/kernel", (2, 2), "float32", depth=1.0),
]


def made(method: str, models: int = 3, has_base: bool | None = None, **given: Any) -> Settings:
    known = METHODS[method]
    base = known.base == "needed" if has_base is None else has_base
    return settings_of(known, models, given, SITES, has_base=base)


def test_defaults_are_those_of_the_method() -> None:
    found = made("ties")
    assert [found.of_models(name, SITES[0]).tolist() for name in ("weight", "density")] == [[1, 1, 1], [1, 1, 1]]
    assert (found.number("lambda", SITES[0]), found.flag("normalize"), found.word("scope")) == (1.0, True, "tensor")
    assert made("dare-ties").word("rescale") == "expected"
    assert not made("dare-ties").flag("normalize")
    assert made("della").number("epsilon", SITES[0]) == 0.15
    assert made("breadcrumbs").number("gamma", SITES[0]) == 0.01
    assert made("wise-ft", 1).number("t", SITES[0]) == 0.5


def test_numbers_by_tensor_and_depth() -> None:
    found = made("ties", weight=["encoder/*=.3,.1,0", "0:1"], density="1:.5")
    assert [found.of_models("weight", site).tolist() for site in SITES] == [[0.3, 0.1, 0]] * 2 + [[1, 1, 1]]
    assert [found.of_models("density", site).tolist() for site in SITES] == [[1] * 3] * 2 + [[0.5] * 3]


def test_a_pattern_alone_leaves_the_default_for_others() -> None:
    found = made("ties", weight="encoder/*=.3")
    assert found.of_models("weight", SITES[2]).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("method", "models", "given", "words"),
    [
        (
            "ties",
            3,
            {"t": 0.5},
            "ties has no use for --t; it takes --weight, --lambda, --normalize, --density",
        ),
        ("model-stock", 3, {"select_topk": 1}, "has no use for --select-topk; it takes --filter-wise"),
        ("slerp", 1, {}, "slerp needs --t, between 0 and 1"),
        ("nearswap", 1, {}, "nearswap needs --t, at least 0"),
        ("slerp", 1, {"t": "encoder/*=.5"}, "no --t is for head/kernel"),
        ("slerp", 1, {"t": 1.5}, "--t 1.5 is not between 0 and 1"),
        ("slerp", 1, {"t": "0:2"}, "--t 2 is not between 0 and 1"),
        ("ties", 3, {"density": -0.1}, "--density -0.1 is not between 0 and 1"),
        ("ties", 3, {"density": "encoder/*=2"}, "--density 2 is not"),
        ("ties", 3, {"weight": [1, 2]}, "--weight 1,2 has 2 numbers for 3 models"),
        ("ties", 1, {"weight": [1, 2]}, "has 2 numbers for 1 model"),
        ("ties", 3, {"weight": "encoder/*=1,2"}, "--weight encoder/*=1,2 has 2 numbers for 3 models"),
        ("ties", 3, {"lambda": [1, 2, 3]}, "--lambda 1,2,3 has 3 numbers, and one is for all models"),
        ("ties", 3, {"weight": "decoder/*=1"}, "no tensor that is merged has a path like 'decoder/*'"),
        ("ties", 3, {"normalize": "yes"}, "--normalize is a switch"),
        ("ties", 3, {"normalize": 1}, "--normalize is a switch"),
        ("ties", 3, {"scope": "layer"}, "'layer' is no scope; choose tensor, global"),
        ("ties", 3, {"scope": 3}, "is no scope"),
        ("dare-ties", 3, {"rescale": "l2"}, "choose expected, l1, none"),
        ("slerp", 2, {"t": 0.5}, "slerp merges 1 model besides the base, not 2"),
        ("nuslerp", 3, {}, "nuslerp merges 2 models, not 3"),
        ("model-stock", 1, {}, "model-stock merges 2 or more models besides the base, not 1"),
        ("linear", 0, {}, "linear merges 1 or more models, not 0"),
        ("karcher", 2, {"max_iterations": -1}, "--max-iterations -1 is not a whole number between"),
        ("karcher", 2, {"max_iterations": 2.5}, "--max-iterations 2.5 is not a whole number between 0 and 10000"),
    ],
)
def test_what_does_not_fit(method: str, models: int, given: dict[str, Any], words: str) -> None:
    with pytest.raises(Usage) as caught:
        made(method, models, **given)
    assert words in str(caught.value)


def test_a_base_that_is_missing_or_of_no_use() -> None:
    with pytest.raises(Usage, match="ties needs a base: --base BASE"):
        made("ties", has_base=False)
    with pytest.raises(Usage, match="karcher makes nothing of a base"):
        made("karcher", has_base=True)
    assert made("nuslerp", 2, has_base=True).has_base
    assert not made("nuslerp", 2, has_base=False).has_base


@pytest.mark.parametrize("method", METHODS)
def test_what_methods_say_of_themselves(method: str) -> None:
    known = METHODS[method]
    assert known.name == method
    assert known.line.endswith(".")
    assert known.most is None or known.least <= known.most
    for parameter in known.takes.values():
        assert parameter.default is None or not parameter.is_number or parameter.admits(float(parameter.default))
        assert isinstance(parameter.default, bool) or not isinstance(parameter.default, str) or parameter.choices
    assert known.is_random == ("rescale" in known.takes)


def test_weights_that_add_up_to_zero() -> None:
    from wtool.transforms.merging.arrays import merged_arrays

    models = [{"kernel": np.ones(3)}, {"kernel": np.zeros(3)}]
    for method in ("linear", "multislerp", "nuslerp"):
        with pytest.raises(Usage, match="the weights of kernel add up to 0"):
            merged_arrays(method, [{"kernel": np.ones(3)}, {"kernel": np.arange(3.0)}], weight=[1, -1])
    found = merged_arrays("linear", models, weight=[1, -1], normalize=False)["kernel"]
    np.testing.assert_array_equal(found, 1)


def test_small_weights_count_as_they_are() -> None:
    from wtool.transforms.merging.arrays import merged_arrays

    models = [{"kernel": np.array([1.0, 0.0])}, {"kernel": np.array([0.0, 1.0])}]
    found = [merged_arrays("nuslerp", models, weight=weight)["kernel"] for weight in ([1, 3], [1e-7, 3e-7])]
    np.testing.assert_allclose(found[1], found[0], rtol=1e-15)
