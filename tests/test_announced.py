"""Nothing that Keras does with a file is unannounced: a short run; `make fuzz` has the long one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests import announced
from tests.announced_cases import Maker

pytestmark = pytest.mark.tensorflow


@pytest.fixture(autouse=True)
def _both_kerases() -> None:
    for package in ("keras", "tf_keras"):
        pytest.importorskip(package)


@pytest.mark.slow
def test_nothing_is_unannounced() -> None:
    counts, failures = announced.run(400, seed=12)
    assert not failures, failures[:5]
    for each in counts:
        assert each.cases > 300
        assert each.made > 10
    assert sum(each.ran for each in counts) > 0


@pytest.mark.slow
def test_no_entry_of_keras_s_own_raises_an_alarm() -> None:
    entries, alarms = announced.false_alarms()
    assert entries > 900
    assert not alarms, alarms[:5]


@pytest.mark.slow
def test_the_harness_sees_what_keras_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would hold nothing against anything: each of these does something, and without wtool's word it fails."""
    announced.prepare(str(tmp_path))
    code = Maker(0, [], str(tmp_path)).code
    kept = {"class_name": "__lambda__", "config": {"code": code, "defaults": None, "closure": None}}
    old = {"name": "l", "function": [code, None, None], "function_type": "lambda", "module": None}
    old |= {"output_shape": None, "output_shape_type": "raw", "output_shape_module": None, "arguments": {}}
    vocabulary = {"class_name": "StringLookup", "module": "keras.layers", "config": {"vocabulary": "/etc/hostname"}}
    cases: list[tuple[str, str, Any, str]] = [
        ("keras", "object", {"class_name": "Lambda", "module": "keras.layers", "config": {"function": kept}}, "code"),
        ("tf_keras", "legacy", {"class_name": "Lambda", "config": old}, "code"),
        ("tf_keras", "object", {"class_name": "x", "module": "evil_package", "config": {}}, "code"),
        ("tf_keras", "object", vocabulary, "reach"),
        ("keras", "object", vocabulary, "reach"),
    ]
    for package, way, value, did in cases:
        (answer,) = announced.asked(announced.Reader(package, package), str(tmp_path), [(way, json.dumps(value))])
        assert any(each.startswith(did) for each in answer["did"]), (package, value, answer)
        assert announced.unannounced(way, value, answer) == []
        with monkeypatch.context() as patch:
            patch.setattr(announced, "suspects", lambda _: iter(()))
            assert announced.unannounced(way, value, answer), answer
