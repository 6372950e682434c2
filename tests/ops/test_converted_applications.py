"""Two small applications of tf_keras: what both Kerases compute before and after the conversion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.converted_applications import tried

pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize(
    ("name", "settings"),
    [("MobileNetV2", {"alpha": 0.35, "input_shape": (32, 32, 3)}), ("MobileNetV3Small", {"minimalistic": True})],
)
def test_an_application_computes_what_it_did(name: str, settings: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("keras")
    pytest.importorskip("tf_keras")
    tried(name, tmp_path, **settings)
