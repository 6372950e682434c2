"""The table of settings against what the layers of the installed Keras take and demand."""

from __future__ import annotations

import pytest

from wtool.schema.keras_settings import SETTINGS, WITHOUT_OFTEN

pytestmark = pytest.mark.tensorflow
made = pytest.importorskip("tests.keras_settings")


@pytest.mark.parametrize("name", sorted(made.layers_of_keras()))
def test_settings_are_those_of_keras(name: str) -> None:
    """An older Keras may have fewer of them."""
    measured, told = made.settings_of(made.layers_of_keras()[name]).split(), SETTINGS[name].split()
    assert set(measured) <= set(told)
    assert {each for each in told if each.endswith("!")} <= set(measured)


def test_layers_without_the_usual_settings_are_told() -> None:
    assert set(made.without_often()) <= set(WITHOUT_OFTEN)
