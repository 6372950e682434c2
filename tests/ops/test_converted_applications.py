"""A small application of tf_keras: what both Kerases compute before and after the conversion."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.converted_applications import tried

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]


def test_an_application_computes_what_it_did(tmp_path: Path) -> None:
    pytest.importorskip("keras")
    pytest.importorskip("tf_keras")
    tried("MobileNetV3Small", tmp_path, minimalistic=True, input_shape=(32, 32, 3))
