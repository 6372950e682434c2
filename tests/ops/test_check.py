"""`wtool check`: what loading a file would do besides, and whether it is whole."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests import forkserver, resolved_names
from tests.models import BLOBS, HOSTILE, arrays, changed
from tests.real_models import AUTHORS_OWN, Saved, saved_files
from wtool.errors import SEVERITIES, Differs, Note, Reaches, Refused
from wtool.ops.check import Finding, _worst
from wtool.schema import keras_names, tensorflow_names
from wtool.schema.unsafe import unsafe_parts

CASES = json.loads((HOSTILE / "manifest.json").read_text())["cases"]
EXPECTED = {
    "exec_gadget_enable_unsafe.keras": {"runs"},
    "exec_gadget_get_file.keras": {"runs", "refers"},
    "exec_keras_internal_fn.keras": {"runs", "refers"},
    "exec_lambda_in_activation.keras": {"runs"},
    "exec_lambda_marshal.keras": {"runs"},
    "exec_legacy_lambda.h5": {"runs"},
    "exec_legacy_yaml_config.h5": {"damaged"},
    "exec_pickle_named_keras.keras": {"damaged"},
    "exec_registered_name_masquerade.keras": {"imports", "odd"},
    "exec_tfsm_layer.keras": {"runs", "refers"},
    "exec_torch_module.keras": {"runs"},
    "exec_typespec.keras": {"imports"},
    "h5_orphan_layer.keras": {"odd"},
    "h5_swapped_groups.keras": {"odd"},
    "legacy_training_config_lambda.h5": {"runs"},
    "path_vocab_url.keras": {"refers"},
    "path_zip_symlink.keras": {"refers"},
}


REFUSALS = {"damaged", "differs", "reaches"}


def kinds(path: Path) -> set[str]:
    return {finding.kind for finding in wtool.check(path).findings}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_hostile_files(case: dict[str, Any]) -> None:
    path = HOSTILE / case["name"]
    found = kinds(path)
    if case["name"] in EXPECTED:
        assert found == EXPECTED[case["name"]]
    elif case["expected"] == "reject" and case["scope"] not in ("average", "rewrite"):
        assert found & REFUSALS
    elif case["expected"] == "ok":
        assert found <= {"odd", "note"}
    else:
        assert found <= {"odd", "note", *REFUSALS}


def test_every_code_carrying_file_is_found() -> None:
    names = {path.name for path in HOSTILE.glob("exec_*")}
    assert names <= EXPECTED.keys()
    assert names


@pytest.mark.parametrize("saved", saved_files(), ids=str)
def test_real_files_have_no_findings_but_their_authors_own(saved: Saved) -> None:
    found = kinds(saved.path)
    if any(name in saved.path.name for name in AUTHORS_OWN):
        assert found <= {"imports"}
    elif "lambda" in saved.path.name:
        assert found <= {"runs"}
    elif "trap_hdf5_inside" in saved.path.name:
        assert found == {"note"}  # HDF5 called .keras, as TensorFlow 2.12 and older wrote it
    else:
        assert not found, wtool.check(saved.path).findings


def layer(**entry: Any) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": "m", "layers": [entry]}}


def function(name: Any, module: Any = "builtins", **more: Any) -> dict[str, Any]:
    return {
        "class_name": "Dense",
        "config": {"activation": {"class_name": "function", "config": name, "module": module, **more}},
    }


@pytest.mark.parametrize(
    ("config", "kind", "words"),
    [
        (layer(class_name="Evil", config={}), "imports", "'Evil', which is not Keras's"),
        (layer(class_name="p>Evil", config={}), "imports", "registered as 'p>Evil'"),
        (layer(class_name="system", module="os", config={}), "imports", "system of module 'os'"),
        (layer(class_name="Own", module=None, registered_name="p>Own", config={}), "imports", "registered as 'p>Own'"),
        (layer(class_name="Dense", module="keras.layers", registered_name="p>Dense", config={}), "imports", "p>Dense"),
        (layer(class_name="get_file", module="keras.utils", config={}), "runs", "keras.utils.get_file"),
        (layer(class_name="utils.get_file", module="keras", config={}), "runs", "no part of a model"),
        (layer(class_name="x.y", module="keras.layers", config={}), "runs", "no part of a model"),
        (layer(class_name="X", module="keras_hub.layers", config={}), "imports", "keras_hub"),
        (function("my_loss"), "imports", "my_loss"),
        (function({"name": "my_loss"}), "imports", "my_loss"),
        (function("system", "os"), "imports", "'system' of module 'os'"),
        (function("load_model", "keras.models"), "runs", "keras.models.load_model"),
        (function("load_model", "keras.src.saving"), "runs", "no part of a model"),
        (function("get_file", "tensorflow.keras.utils"), "runs", "get_file"),
        (function("deserialize", "keras.activations"), "runs", "deserialize"),
        (layer(class_name="Lambda", config={"function": "f", "module": "m"}), "imports", "calls 'f' of module 'm'"),
        (layer(class_name="Lambda", config={"function": ["code", None, None]}), "runs", "bytecode"),
        (layer(class_name="TFOpLambda", config={"function": "io.write_file"}), "runs", "io.write_file"),
        (layer(class_name="TFOpLambda", config={"function": "raw_ops.WriteFile"}), "runs", "no calculation"),
        (layer(class_name="TFOpLambda", config={"function": "compat.v1.write_file"}), "runs", "no calculation"),
        (layer(class_name="TFOpLambda", config={"function": "compat.v1.gfile.Remove"}), "runs", "no calculation"),
        (layer(class_name="TFOpLambda", config={"function": "compat.py_compat.f"}), "runs", "no calculation"),
        (layer(class_name="JaxLayer", config={}), "runs", "JaxLayer"),
        (layer(class_name="keras>TorchModuleWrapper", config={}), "runs", "pickle"),
        (layer(class_name="Lambda", module="evil", config={"function": "relu"}), "imports", "Lambda of module 'evil'"),
        (layer(class_name="Lambda", registered_name="e>X", config={"function": "relu"}), "imports", "'e>X'"),
        (layer(class_name="Lambda", config={"function": "relu", "module": "evil"}), "imports", "module 'evil'"),
        (layer(class_name="Lambda", config={"function": "4wEA", "function_type": "lambda"}), "runs", "bytecode"),
        (layer(class_name="TFOpLambda", module="evil", config={"function": "math.add"}), "imports", "of module 'evil'"),
        (layer(class_name=None, module="evil", config={}), "imports", "class is called None"),
        (layer(class_name=["x"], module="evil", config={}), "imports", "class is called 'list'"),
        (layer(class_name="load_model", module="keras.models", config={}), "runs", "keras.models.load_model"),
        (layer(class_name="deserialize", module="keras.layers", config={}), "runs", "keras.layers.deserialize"),
        (layer(class_name="model_from_json", module="keras.src.models.model", config={}), "runs", "model_from_json"),
        (function(["eval"]), "imports", "'list'"),
        (function("relu", "keras.ops", registered_name="os>system"), "imports", "os>system"),
        (layer(class_name="TFOpLambda", config={"function": "keras.utils.get_file"}), "runs", "keras.utils.get_file"),
        (layer(class_name="TFOpLambda", config={"function": "train.load_checkpoint"}), "runs", "load_checkpoint"),
        (layer(class_name="TFOpLambda", config={"function": "lookup.TextFileInitializer"}), "runs", "no calculation"),
        (layer(class_name="TensorFlowOpLayer", config={"node_def": {"op": "WriteFile"}}), "runs", "WriteFile"),
        (layer(class_name="TensorFlowOpLayer", config={"node_def": 'name: "a" op: "ReadFile"'}), "runs", "ReadFile"),
        (
            layer(class_name="Dense", config={"kernel_initializer": {"class_name": "Evil", "config": {}}}),
            "imports",
            "Evil",
        ),
        (layer(class_name="Dense", config={"kernel_initializer": "evil"}), "imports", "'evil'"),
        (layer(class_name="Dense", config={"activation": "evil>fn"}), "imports", "'evil>fn'"),
        (layer(class_name="Dense", config={"dtype": "evil>policy"}), "imports", "'evil>policy'"),
        (layer(class_name="Dense", config={"kernel_quantizer": "evil"}), "imports", "'evil'"),
        ({"compile_config": {"optimizer": "evil>Opt"}}, "imports", "'evil>Opt'"),
        ({"inner_optimizer": "evil"}, "imports", "'evil'"),
        (function("random_normal_variable", "keras.backend"), "runs", "no part of a model"),
        (layer(class_name="Dense", registered_name="Custom>Dense", config={}), "imports", "Custom>Dense"),
        (layer(class_name="Custom>Dense", config={}), "imports", "Custom>Dense"),
        (layer(class_name="TFOpLambda", config={"function": "keras.backend.eval"}), "runs", "keras.backend.eval"),
        (layer(class_name="TFOpLambda", config={"function": "import_graph_def"}), "runs", "import_graph_def"),
        (
            layer(class_name="TFOpLambda", config={"function": "experimental.register_filesystem_plugin"}),
            "runs",
            "register_filesystem_plugin",
        ),
        (
            layer(class_name="TFOpLambda", config={"function": "nn.fixed_unigram_candidate_sampler"}),
            "runs",
            "no calculation",
        ),
        (layer(class_name="InstanceMethod", config={"attr_name": "eval"}), "runs", "no calculation"),
        (
            layer(class_name="ClassMethod", config={"cls_symbol": "io.TFRecordWriter", "method_name": "x"}),
            "runs",
            "io.",
        ),
        ({"class_name": "TypeSpec", "type_spec": "evil.Spec"}, "imports", "'evil.Spec'"),
        ({"a": "x" * 5000 + " http://evil"}, "refers", "address"),
        ({"class_name": "EvilModel", "config": {}}, "imports", "'EvilModel'"),
        ({"loss": "evil_loss"}, "imports", "evil_loss"),
        ({"loss": {"a": "mse", "b": ["evil_loss"]}}, "imports", "evil_loss"),
        ({"metrics": [["accuracy"], ["evil>m"]]}, "imports", "evil>m"),
        ({"optimizer_config": {"class_name": "EvilOpt", "config": {}}}, "imports", "EvilOpt"),
        (
            layer(class_name="Zeros", module="keras.initializers", registered_name="evil", config={}),
            "imports",
            "'evil'",
        ),
        ({"http://evil": 1}, "refers", "http://evil"),
        ({"a": " http://evil"}, "refers", "http://evil"),
        ({"a": [{"b": {"c": [{"class_name": "__lambda__", "config": {}}]}}]}, "runs", "bytecode"),
        (layer(class_name="StringLookup", config={"vocabulary": "/etc/passwd"}), "refers", "/etc/passwd"),
        (layer(class_name="Dense", config={"x": "s3://bucket/y"}), "refers", "s3://bucket/y"),
        (layer(class_name="StringLookup", config={"name": "../../x"}), "names", "leads out"),
        (layer(class_name="StringLookup", config={"name": "C:\\x"}), "names", "leads out"),
    ],
)
def test_what_a_configuration_can_do(config: Any, kind: str, words: str) -> None:
    found = list(unsafe_parts(config))
    assert [each.kind for each in found] == [kind], found
    assert words in found[0].what


@pytest.mark.parametrize(
    "config",
    [
        layer(class_name="Dense", module="keras.layers", registered_name=None, config={"name": "block1/dense"}),
        layer(class_name="Functional", module="keras.src.models.functional", config={}),
        layer(class_name="Cast", module="keras.src.ops.core", registered_name="Cast", config={}),
        layer(class_name="Cast", config={}),
        layer(class_name="TFOpLambda", config={"function": "math.add"}),
        layer(class_name="TFOpLambda", config={"function": "compat.v1.nn.dropout"}),
        layer(class_name="TFOpLambda", config={"function": "compat.v1.transpose"}),
        layer(class_name="TFOpLambda", config={"function": "keras.backend.l2_normalize"}),
        layer(class_name="InstanceMethod", config={"attr_name": "to_tensor"}),
        layer(class_name="ClassMethod", config={"cls_symbol": "RaggedTensor", "method_name": "from_row_splits"}),
        layer(class_name="Dense", config={"dtype": "gptq/4/128_from_float32"}),
        function("l2_normalize", "keras._legacy.backend"),
        {"class_name": "TypeSpec", "type_spec": "tf.TensorSpec", "serialized": []},
        {"a": "see: //x and ://"},
        layer(class_name="StringLookup", config={"vocabulary": ["a", "b"]}),
        layer(class_name="StringLookup", config={"vocabulary": ["http://a", "/b"]}),
        layer(class_name="FeatureSpace", module="keras.utils", registered_name="FeatureSpace", config={}),
        layer(class_name="TensorFlowOpLayer", config={"node_def": {"op": "AddV2"}}),
        layer(class_name="Dense", config={"kernel_initializer": "glorot_uniform", "kernel_regularizer": "l2"}),
        {"loss": {"a": "mse", "b": "CategoricalCrossentropy"}, "metrics": ["acc", "AUC", ["mae"]]},
        function("relu", registered_name="function"),
        function("relu", "keras.activations"),
        {"optimizer": {"class_name": "Custom>Adam", "config": {}}},
        {"loss": {"class_name": "function", "config": "mse", "module": "builtins", "registered_name": "mse"}},
        {"rate": {"class_name": "ExponentialDecay", "module": "keras.optimizers.schedules", "config": {}}},
        None,
        [],
        "text",
    ],
)
def test_what_is_usual(config: Any) -> None:
    assert list(unsafe_parts(config)) == []


def lambda_layer(function: Any, **more: Any) -> dict[str, Any]:
    return layer(class_name="Lambda", config={"function": function, **more})


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize(
    "items",
    [
        ["4wEA", None, None],
        [{"class_name": "__bytes__", "value": "4wEA"}, None, None],
        {"4wEA": 1, "b": 2, "c": 3},
        "abc",
    ],
)
def test_keras_2_decodes_before_anybody_looks(items: Any, depth: int) -> None:
    """Whatever its JSON reader makes a tuple of text is code where a Lambda's function is expected."""
    value: Any = {"class_name": "__tuple__", "items": items}
    for _ in range(depth):
        value = {"class_name": "__tuple__", "items": value["items"], "config": {"x": value}}
    for key in ("function", "mask", "output_shape"):
        found = list(unsafe_parts(layer(class_name="Lambda", config={key: value, f"{key}_type": "function"})))
        assert ("runs", f"config.layers[0].config.{key}") in [(each.kind, each.where) for each in found]


def test_decoding_hides_and_doubles_nothing() -> None:
    tuples = {"class_name": "__tuple__", "items": [1, {"class_name": "__lambda__"}, "http://a"]}
    assert [each.kind for each in unsafe_parts({"a": tuples})] == ["runs", "refers", "runs", "refers"]  # at both places
    assert list(unsafe_parts({"class_name": "TensorShape", "items": [None, 3]})) == []
    assert list(unsafe_parts(lambda_layer("relu", output_shape={"class_name": "__tuple__", "items": [None, 3]}))) == []
    assert list(unsafe_parts({"class_name": "__ellipsis__"})) == []
    assert list(unsafe_parts({"class_name": "__tuple__"})) == []


def test_functions_in_wrappers_of_cells_are_code() -> None:
    kept = {"residual_function": ["4wEA", None, None], "residual_fn_type": "lambda", "residual_module": "m"}
    found = list(
        unsafe_parts(layer(class_name="RNN", config={"cell": {"class_name": "ResidualWrapper", "config": kept}}))
    )
    assert [each.kind for each in found] == ["runs"]


def wire(number: int, value: bytes) -> bytes:
    assert len(value) < 128
    return bytes([number << 3 | 2, len(value)]) + value


def node(op: bytes, *more: bytes) -> str:
    return (wire(1, b"n") + wire(2, op) + wire(3, b"x") + b"".join(more)).decode()


def attribute(value: bytes) -> bytes:
    return wire(5, wire(1, b"a") + wire(2, value))


@pytest.mark.parametrize(
    ("value", "kinds"),
    [
        (node(b"AddV2", attribute(b"\x30\x01")), []),
        (node(b"DebugIdentity"), ["runs"]),
        (node(b"AddV2", wire(2, b"ReadFile")), ["runs"]),
        (node(b"AddV2", wire(9, b"x")), ["runs"]),
        (node(b"AddV2", attribute(wire(10, wire(1, b"f")))), ["runs"]),
        (node(b"AddV2", attribute(wire(1, wire(9, b"f")))), ["runs"]),
        (node(b"AddV2", attribute(wire(2, b"file://x"))), ["refers", "refers"]),
        (node(b"AddV2", attribute(wire(1, wire(2, b"file://x")))), ["refers", "refers"]),
        (node(b"AddV2") + "\x7b", ["runs"]),
        ('name: "n" op: "AddV2"', ["runs"]),
        ('{"name": "n", "op": "AddV2"}', []),
        ('{"name": "n", "op": "AddV2", "op": "ReadFile"}', ["runs"]),
        ('{"name": "n", "op": "WriteFile"}', ["runs"]),
        ({"op": "AddV2", "attr": {"T": {"type": "DT_FLOAT"}}}, []),
        ({"op": "AddV2", "attr": {"f": {"func": {"name": "f"}}}}, ["runs"]),
        ({"op": "AddV2", "attr": {"f": {"list": {"func": [{"name": "f"}]}}}}, ["runs"]),
        ({"op": "AddV2", "attr": {"s": {"s": "ZmlsZTovL3g="}}}, ["refers"]),
        ({"op": "AddV2", "attr": {"s": {"list": {"s": ["ZmlsZTovL3g="]}}}}, ["refers"]),
        ({"op": "AddV2", "Op": "ReadFile"}, ["runs"]),
        ({"op": ["AddV2"]}, ["runs"]),
        ({"op": "AddV2", "attr": []}, ["runs"]),
        (None, ["runs"]),
        ("", ["runs"]),
    ],
)
def test_nodes_of_graphs(value: Any, kinds: list[str]) -> None:
    found = list(unsafe_parts(layer(class_name="TensorFlowOpLayer", config={"node_def": value})))
    assert [each.kind for each in found] == kinds, found


def test_constants_of_nodes_are_addresses_too() -> None:
    for constant in ("/etc/passwd", "gs://a", "../x", ["C:\\x"]):
        settings = {"node_def": node(b"AddV2"), "constants": {"1": constant}}
        (found,) = unsafe_parts(layer(class_name="TensorFlowOpLayer", config=settings))
        assert (found.kind, found.where.split("[")[0]) == ("refers", "config.layers")


def call(name: str, *arguments: Any, **named: Any) -> dict[str, Any]:
    """An operation in a graph of Keras 3."""
    tensor = {"class_name": "__keras_tensor__", "config": {"shape": [None, 4], "keras_history": ["x", 0, 0]}}
    nodes = [{"args": [tensor, *arguments], "kwargs": named}]
    return {"module": "keras.src.ops.numpy", "class_name": name, "config": {}, "inbound_nodes": nodes}


@pytest.mark.parametrize(
    "entry",
    [
        {"class_name": "Dense", "config": {"units": 10**12}},
        {"class_name": "Dense", "config": {"units": 10**400}},
        {"class_name": "RepeatVector", "config": {"n": 10**10}},
        {"class_name": "UpSampling2D", "config": {"size": [10**6, 10**6]}},
        {"class_name": "ZeroPadding2D", "config": {"padding": [[10**9, 10**9], [0, 0]]}},
        {"class_name": "Reshape", "config": {"target_shape": [10**5, 10**5, 1]}},
        {"class_name": "Tile", "module": "keras.src.ops.numpy", "config": {"repeats": [10**12]}},
        call("Repeat", 10**12),
        call("BroadcastTo", shape=[10**6, 10**6]),
        call("Arange", 1e12),
        {"class_name": "TFOpLambda", "config": {"function": "tile"}, "inbound_nodes": [[["x", 0, 0, {"n": [10**11]}]]]},
        {
            "class_name": "TFOpLambda",
            "config": {"function": "fill"},
            "inbound_nodes": [["_CONSTANT_VALUE", -1, [10**11]]],
        },
        {"class_name": "TensorFlowOpLayer", "config": {"node_def": {"op": "Fill"}, "constants": {"0": [10**5, 10**5]}}},
    ],
)
def test_what_asks_for_too_much(entry: dict[str, Any]) -> None:
    (found,) = unsafe_parts(layer(**entry))
    assert found.kind == "allocates"
    assert Finding(found.kind, found.where, found.what).severity == "odd"


@pytest.mark.parametrize(
    "entry",
    [
        {"class_name": "Embedding", "config": {"input_dim": 10**7, "output_dim": 4096}},
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 512, 512, 512, 3]}},
        {"class_name": "Dropout", "config": {"seed": 2**62}, "shared_object_id": 2**47},
        call("Pad", [[0, 0], [1, 1]], constant_values=-1e9),
        call("Full", [3, 4], fill_value=-1e30),
        call("Multiply", -1e12),
        {
            "class_name": "TFOpLambda",
            "config": {"function": "math.multiply"},
            "inbound_nodes": [["x", 0, 0, {"y": -1e9}]],
        },
        {"class_name": "Reshape", "config": {"target_shape": [-1, 10**6]}},
    ],
)
def test_what_real_models_ask_for(entry: dict[str, Any]) -> None:
    assert list(unsafe_parts(layer(**entry))) == []


@pytest.mark.tensorflow
def test_the_names_are_those_that_keras_resolves() -> None:
    """Every part of a model that the Kerases here resolve is known, and nothing else but for older versions' names."""
    for which in ("keras", "tf_keras"):
        pytest.importorskip(which)
    found = frozenset().union(resolved_names.resolved("keras"), resolved_names.resolved("tf_keras"))
    for module, tables in ((keras_names, resolved_names.KERAS), (tensorflow_names, resolved_names.TENSORFLOW)):
        for name, (choose, _) in tables.items():
            assert choose(found) <= getattr(module, name), name
    others = [path for path in os.environ.get("WTOOL_READERS", "").split(os.pathsep) if path]
    if others:
        found |= frozenset().union(*(resolved_names.resolved("keras", path) for path in others))
        for name, (choose, _) in resolved_names.KERAS.items():
            assert choose(found) == getattr(keras_names, name), name


def test_values(tmp_path: Path) -> None:
    name = next(name for name in arrays(BLOBS[0]) if name.endswith("vars/0") and "layers" in name)
    bad = changed(
        BLOBS[0],
        tmp_path / "bad.keras",
        lambda key, a: np.where(np.arange(a.size).reshape(a.shape) < 3, np.nan, a) if key == name else a,
    )
    (finding,) = wtool.check(bad).findings
    assert (finding.kind, finding.what) == ("values", "3 NaN or infinite values")
    assert finding.where.endswith("/kernel")


def test_damage_inside_the_weights_is_found(tmp_path: Path) -> None:
    content = bytearray(BLOBS[0].read_bytes())
    with wtool.open_checkpoint(str(BLOBS[0])) as checkpoint:
        at = checkpoint.regions[0].start + checkpoint.weights[0].offset
    content[at] ^= 1
    (tmp_path / "bad.keras").write_bytes(content)
    (finding,) = wtool.check(tmp_path / "bad.keras").findings
    assert finding.kind == "damaged"
    assert "checksum of model.weights.h5" in finding.what


def test_members_that_lead_out(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(BLOBS[0].read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("assets/../../evil", "x")
    assert kinds(path) == {"names"}


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(forkserver.wtool("check", *words), capture_output=True, text=True)


def test_the_command(tmp_path: Path) -> None:
    good = run(str(BLOBS[0]))
    assert (good.returncode, good.stdout) == (0, "")
    assert "nothing found" in good.stderr
    bad = run(str(HOSTILE / "exec_lambda_marshal.keras"), str(BLOBS[0]), "-q")
    assert bad.returncode == 1
    assert bad.stdout.endswith(
        "exec_lambda_marshal.keras: runs: config.layers[1].config.function: a lambda of marshalled Python bytecode\n"
    )
    told = run(str(HOSTILE / "exec_lambda_marshal.keras"), str(BLOBS[0]), "--json")
    first, second = (json.loads(line) for line in told.stdout.splitlines())
    assert [(finding["kind"], finding["severity"]) for finding in first["findings"]] == [("runs", "runs")]
    assert second == {"model": str(BLOBS[0]), "findings": []}
    missing = run(str(tmp_path / "missing.keras"))
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "No such file" in missing.stderr


@pytest.mark.parametrize("severity", SEVERITIES)
def test_fail_on_says_which_findings_fail(severity: str, tmp_path: Path) -> None:
    """Files whose worst finding is of each severity, against each choice."""
    found = {
        "runs": HOSTILE / "exec_lambda_marshal.keras",
        "reaches": HOSTILE / "path_vocab_url.keras",
        "damaged": HOSTILE / "exec_pickle_named_keras.keras",
        "odd": HOSTILE / "ok_extra_members.keras",
        "note": HOSTILE / "avg_units.keras",
    }
    for worst, path in found.items():
        findings = wtool.check(path).findings
        assert findings[0].severity == worst
        done = run(str(path), "--fail-on", severity)
        assert done.returncode == (SEVERITIES.index(worst) >= SEVERITIES.index(severity)), (worst, severity)
        assert done.stdout.startswith(f"{path}: {worst}")


def test_the_most_severe_come_first_and_are_never_cut() -> None:
    """A thousand oddities in front hide nothing."""
    told = [Finding("odd", str(number), "x") for number in range(5000)]
    kept = _worst([*told, Finding("imports", "", "y"), Finding("refers", "", "z")])
    assert [each.severity for each in kept[:3]] == ["runs", "reaches", "odd"]
    assert [each.where for each in kept[2:5]] == ["0", "1", "2"]
    assert len(kept) == 1001
    assert kept[-1] == Finding("odd", "", "4,002 more findings")


@pytest.mark.parametrize("error", [Refused("a"), Differs("b"), Reaches("c")])
def test_refusals_and_notes_keep_their_severity(error: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(_: str) -> Any:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("wtool.ops.check.open_checkpoint", refuses)
        (found,) = wtool.check(BLOBS[0]).findings
    assert (found.kind, found.severity, found.what) == (error.severity, error.severity, error.message)
    with wtool.open_checkpoint(str(BLOBS[0])) as checkpoint:
        noted = replace(checkpoint, notes=("plain", Note("n", "note"), Note("d", "differs")))
        monkeypatch.setattr("wtool.ops.check.open_checkpoint", lambda _: noted)
        assert [each.severity for each in wtool.check(BLOBS[0]).findings] == ["differs", "odd", "note"]


def test_nothing_is_imported(tmp_path: Path) -> None:
    """A module that the file names lies in the current folder, and stays unread."""
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(BLOBS[0]) as old, zipfile.ZipFile(path, "w") as new:
        for member in old.infolist():
            text = old.read(member)
            new.writestr(member, text.replace(b"keras.layers", b"evil") if member.filename == "config.json" else text)
    for words in (["check"], ["inspect"], ["prune", "--sparsity", ".5"]):
        argv = forkserver.wtool(*words, "model.keras")
        done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True)
        assert "imported" not in done.stderr
        assert done.returncode == (1 if words == ["check"] else 0), done.stderr


def test_long_keys_take_no_memory() -> None:
    import tracemalloc

    wide = {"k" * 1_000_000: {str(number): number for number in range(20_000)}}
    tracemalloc.start()
    assert list(unsafe_parts(wide)) == []
    found = list(
        unsafe_parts({"name" * 1_000_000: [{"class_name": "__lambda__"}], "x": {"config": {"name": "../" * 10**6}}})
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30_000_000
    assert [each.kind for each in found] == ["runs"]
    assert len(found[0].where) < 200


def test_a_damaged_file_does_not_hide_what_it_runs(tmp_path: Path) -> None:
    for name in ("exec_lambda_marshal.keras", "exec_legacy_lambda.h5"):
        source = HOSTILE / name
        if not source.exists():
            continue
        path = tmp_path / name
        content = source.read_bytes()
        path.write_bytes(content)
        if name.endswith(".keras"):
            with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
                for member in old.infolist():
                    text = old.read(member)
                    new.writestr(member, b"no HDF5" if member.filename == "model.weights.h5" else text)
        else:
            path.write_bytes(content.replace(b"layer_names", b"layer_nomes"))
        assert kinds(path) == {"runs", "damaged"}


def test_compressed_members_are_verified(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(BLOBS[0].read_bytes())
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("assets/words.txt", "word " * 500)
    assert kinds(path) == set()
    content = bytearray(path.read_bytes())
    content[content.index(b"assets/words.txt") + 20] ^= 4
    path.write_bytes(content)
    assert kinds(path) == {"damaged"}


def test_many_findings_are_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(BLOBS[0]) as old, zipfile.ZipFile(path, "w") as new:
        for member in old.infolist():
            text = old.read(member)
            if member.filename == "config.json":
                config = json.loads(text)
                config["compile_config"] = {"loss": ["evil"] * 5000}
                text = json.dumps(config).encode()
            new.writestr(member, text)
    findings = wtool.check(path).findings
    assert len(findings) == 1001
    assert "more findings" in findings[-1].what


def test_a_bug_with_one_file_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from wtool.cli import cli
    from wtool.ops import check as checking

    real = checking.check

    def buggy(path: str, progress: Any = None) -> Any:
        if path.endswith("91.keras"):
            raise ZeroDivisionError("oh")
        return real(path, progress)

    monkeypatch.setattr(checking, "check", buggy)
    done = CliRunner().invoke(cli, ["check", str(BLOBS[0]), str(BLOBS[1]), "--json"], standalone_mode=False)
    first, second = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    assert "this is a bug" in first["error"]
    assert second["findings"] == []
    assert done.return_value == 1


def test_deep_and_wide_configurations_take_no_time() -> None:
    deep: Any = {"class_name": "__lambda__"}
    for _ in range(100):
        deep = {"class_name": "Sequential", "config": {"layers": [deep] * 1}}
    assert [each.kind for each in unsafe_parts(deep)] == ["runs"]
    wide = {"config": {"layers": [{"class_name": "Dense", "config": {"name": str(n)}} for n in range(20_000)]}}
    assert list(unsafe_parts(wide)) == []


@pytest.mark.parametrize(
    ("entry", "known"),
    [
        ({"module": "wtool.layers.linked", "class_name": "LKReLU", "registered_name": "wtool>LKReLU"}, True),
        ({"module": "wtool.layers.autorot", "class_name": "AutoRotGRU", "registered_name": "wtool>AutoRotGRU"}, True),
        ({"class_name": "wtool>LKReLU"}, True),
        ({"module": "evil.layers.linked", "class_name": "LKReLU", "registered_name": "wtool>LKReLU"}, False),
        ({"module": "wtool.layers.linked", "class_name": "LKReLU", "registered_name": "evil>LKReLU"}, False),
        ({"module": "wtool.layers.linked", "class_name": "Popen", "registered_name": "wtool>Popen"}, False),
        ({"module": "wtool.run.batch", "class_name": "LKReLU", "registered_name": "wtool>LKReLU"}, False),
        ({"class_name": "wtool>Popen"}, False),
        ({"class_name": "wtool>Dense"}, False),
    ],
)
def test_own_layers_are_known_by_all_of_their_names(entry: dict[str, Any], known: bool) -> None:
    assert (list(unsafe_parts({**entry, "config": {"name": "x"}})) == []) is known
