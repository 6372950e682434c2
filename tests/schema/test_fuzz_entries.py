"""Nothing that Keras does with a file is unannounced: a short run; `make fuzz` has the long one."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests import fuzz_entries
from tests.fuzz_entries_cases import Maker
from wtool.schema.node_def import Unreadable, read_node

pytestmark = pytest.mark.tensorflow


@pytest.fixture(autouse=True)
def _both_kerases() -> None:
    for package in ("keras", "tf_keras"):
        pytest.importorskip(package)


@pytest.mark.slow
@pytest.mark.parametrize("reader", fuzz_entries.readers(), ids=lambda reader: reader.name)
def test_no_entry_of_keras_s_own_raises_an_alarm(reader: fuzz_entries.Reader) -> None:
    entries, alarms = fuzz_entries.false_alarms([reader])
    assert entries > 450
    assert not alarms, alarms[:5]


@pytest.mark.slow
@pytest.mark.parametrize("reader", fuzz_entries.readers(), ids=lambda reader: reader.name)
def test_nothing_is_unannounced(reader: fuzz_entries.Reader) -> None:
    (counted,), failures = fuzz_entries.run(400, 12, [reader])
    assert not failures, failures[:5]
    assert counted.cases > 300
    assert counted.made > 10
    assert counted.ran > 0


@pytest.mark.slow
@pytest.mark.parametrize("package", ["keras", "tf_keras"])
def test_the_harness_sees_what_keras_does(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would hold nothing against anything: each of these does something, and without wtool's word it fails."""
    fuzz_entries.prepare(str(tmp_path))
    code = Maker(0, [], str(tmp_path)).code
    kept = {"class_name": "__lambda__", "config": {"code": code, "defaults": None, "closure": None}}
    old = {"name": "l", "function": [code, None, None], "function_type": "lambda", "module": None}
    old |= {"output_shape": None, "output_shape_type": "raw", "output_shape_module": None, "arguments": {}}
    vocabulary = {"class_name": "StringLookup", "module": "keras.layers", "config": {"vocabulary": "/etc/hostname"}}
    cases: dict[str, list[tuple[str, Any, str]]] = {
        "keras": [
            ("object", {"class_name": "Lambda", "module": "keras.layers", "config": {"function": kept}}, "code"),
            ("object", vocabulary, "reach"),
        ],
        "tf_keras": [
            ("legacy", {"class_name": "Lambda", "config": old}, "code"),
            ("object", {"class_name": "x", "module": "evil_package", "config": {}}, "code"),
            ("object", vocabulary, "reach"),
        ],
    }
    texts = [(way, json.dumps(value)) for way, value, _ in cases[package]]
    answers = fuzz_entries.asked(fuzz_entries.Reader(package, package), str(tmp_path), texts)
    for (way, value, did), answer in zip(cases[package], answers, strict=True):
        assert any(each.startswith(did) for each in answer["did"]), (value, answer)
        assert fuzz_entries.unannounced(way, value, answer) == []
        with monkeypatch.context() as patch:
            patch.setattr(fuzz_entries, "unsafe_parts", lambda _: iter(()))
            assert fuzz_entries.unannounced(way, value, answer), answer


def test_nodes_are_read_as_protobuf_reads_them() -> None:
    """Nodes of a real graph with changed bytes: what is read at all is the operation that TensorFlow sees."""
    tf = pytest.importorskip("tensorflow")
    from google.protobuf import json_format
    from google.protobuf.message import DecodeError

    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [None, 4])
        tf.strings.as_string(tf.concat([x + 1.0, x], 1), fill="q")
        tf.function(lambda a: a * 2)(x)
    nodes = [operation.node_def for operation in graph.get_operations()]
    chance = random.Random(5)
    accepted = 0
    for number in range(6000):
        message = bytearray(chance.choice(nodes).SerializeToString())
        for _ in range(number % 4):
            at = chance.randrange(len(message))
            message[at : at + chance.choice((0, 1, 1))] = bytes(
                [chance.choice((chance.randrange(128), message[at] ^ 1))]
            )
        with suppress(UnicodeDecodeError, Unreadable, DecodeError):  # who refuses sees nothing else
            text = message.decode()
            read = read_node(text)
            real = tf.compat.v1.NodeDef.FromString(text.encode())
            assert read.op == real.op
            assert read.calls == any(_calls(value) for value in real.attr.values())
            assert (
                read_node(json_format.MessageToDict(real)).op
                == read_node(json_format.MessageToJson(real)).op
                == real.op
            )
            accepted += 1
    assert accepted > 1000


def _calls(value: Any) -> bool:
    return value.HasField("func") or bool(value.list.func)
