"""Entries for the deserialisers of Keras, made at random: its own with something hostile in them, and hostile ones."""

from __future__ import annotations

import base64
import json
import marshal
import os
import random
from collections.abc import Iterator, Sequence
from typing import Any

from wtool.schema import keras_names, tensorflow_names

NAMING = ("class_name", "config", "module", "registered_name")

SLOTS = {
    "activations": "activation",
    "initializers": "kernel_initializer",
    "losses": "loss",
    "metrics": "metrics",
    "optimizers": "optimizer",
    "regularizers": "kernel_regularizer",
    "constraints": "kernel_constraint",
    "quantizers": "kernel_quantizer",
    "dtype": "dtype",
}
"""Way into Keras that takes a value -> the setting in which a file has such a value."""

MODULES: tuple[Any, ...] = (
    None,
    5,
    ["keras"],
    "",
    *"""
    builtins keras keras.layers keras.models keras.utils keras.saving keras.config keras.ops keras.activations
    keras.losses keras.metrics keras.initializers keras.optimizers keras.backend keras.datasets.mnist
    keras.applications keras.preprocessing.image keras.callbacks keras.random keras.src.layers
    keras.src.layers.core.dense keras.src.layers.core.lambda_layer keras.src.layers.layer
    keras.src.utils.file_utils keras.src.utils.python_utils keras.src.saving.serialization_lib
    keras.src.models.model keras.src.saving.saving_lib keras.src.saving.saving_api keras.src.ops.numpy
    keras.src.ops.core keras.src.losses.losses keras.src.backend.config keras.src.backend keras.src.metrics
    keras.src.optimizers keras.legacy.saving keras.src.legacy.saving.legacy_h5_format keras.__internal__
    keras.__internal__.legacy.layers tf_keras.layers tf_keras.src.layers.core.lambda_layer tf_keras.src.losses
    tf_keras.src.utils.generic_utils tf_keras.src.activations tf_keras.src.layers.core.tf_op_layer tensorflow
    tensorflow.io tensorflow.keras.layers tensorflow.python.lib.io.file_io tensorflow.python.keras.layers.core
    tensorflow.evil.keras.layers os os.path posix subprocess builtins.os numpy numpy.ctypeslib pickle this
    antigravity evil_package evil_package.inner keras_evil tf_keras_evil keras_hub.layers keras_cv
    wtool.layers.linked wtool.run.batch keras. .keras keras..layers
    """.split(),  # noqa: SIM905
)
NAMES: tuple[Any, ...] = (
    None,
    7,
    ["Dense"],
    *"""
    get_file load_model model_from_json enable_unsafe_deserialization set_floatx set_image_data_format func_load
    deserialize deserialize_keras_object get serialize clear_session load_img load_data system popen Popen eval
    exec open print Evil evil evil>Evil Custom>Evil keras>Dense keras>evil Dense.from_config Lambda.from_config
    utils.get_file config.set_floatx saving.load_model io.write_file os sys python_utils serialization_lib
    importlib __builtins__ __import__ __loader__ __dict__ set_global_attribute from_config ResNet50 MobileNetV2
    image_dataset_from_directory register_keras_serializable CustomObjectScope keras_export Progbar
    ModelCheckpoint SavedModel TFSMLayer JaxLayer FlaxLayer TorchModuleWrapper Lambda TFOpLambda SlicingOpLambda
    TensorFlowOpLayer ClassMethod InstanceMethod InstanceProperty ResidualWrapper DropoutWrapper DeviceWrapper
    function __lambda__ __typespec__ __tensor__ __numpy__ __tuple__ __bytes__ __slice__ TypeSpec CompositeTensor
    TensorShape list_to_tuple plot_model Variable name_scope
    """.split(),  # noqa: SIM905
)
FUNCTIONS: tuple[Any, ...] = (
    *"""
    io.write_file io.read_file py_function numpy_function load_library load_op_library saved_model.load
    io.gfile.remove io.gfile.makedirs compat.v1.gfile.Remove experimental.register_filesystem_plugin
    raw_ops.WriteFile raw_ops.ReadFile raw_ops.DebugIdentity print debugging.enable_dump_debug_info
    io.matching_files nn.fixed_unigram_candidate_sampler summary.create_file_writer train.load_checkpoint
    keras.utils.get_file Module keras.models.load_model keras.backend.set_floatx lookup.TextFileInitializer
    data.TextLineDataset evil io.serialize_tensor config.run_functions_eagerly quantization.quantize
    keras.activations.relu keras.backend.mean
    """.split(),  # noqa: SIM905
)


class Maker:
    """Makes cases: entries of Keras's own, with something hostile somewhere, and hostile ones from nothing."""

    def __init__(self, seed: int, entries: Sequence[Any], folder: str) -> None:
        self.random = random.Random(seed)
        self.old = [entry for entry in entries if "module" not in entry] or [{"class_name": "Dense", "config": {}}]
        self.new = [entry for entry in entries if "module" in entry] or self.old
        self.path = os.path.join(folder, "made", "made_it")
        marker = f"import os\nos.close(os.open({self.path!r}, os.O_CREAT | os.O_WRONLY))"
        code = compile(f"def f(x):\n    {marker.replace(chr(10), '; ')}\n    return x\n", "m", "exec").co_consts[0]
        self.code = base64.b64encode(marshal.dumps(code)).decode()
        names = (*keras_names.CLASSES, *keras_names.FUNCTIONS, *keras_names.OPERATIONS, *keras_names.SHORT)
        self.names = sorted({*names, *keras_names.CALLS, *keras_names.BACKEND})
        self.calls = sorted(tensorflow_names.CALLS)
        self.nodes = sorted(tensorflow_names.NODES)

    def cases(self, count: int) -> Iterator[tuple[str, Any]]:
        """(way into Keras, value)."""
        for _ in range(count):
            way = self.random.choice(("object", "object", "legacy", "legacy", "json", "training", "value"))
            if way == "value":
                way = self.random.choice(tuple(SLOTS))
                yield way, self.value(2)
            elif way == "training":
                yield way, self.training()
            else:
                yield way, self.entry(self.random.random() < (0.8 if way == "legacy" else 0.1))

    def entry(self, old: bool) -> Any:
        """An entry of a layer or of a model, as Keras 2 or 3 writes it."""
        made = self.mutated(old) if self.random.random() < 0.6 else self.hostile(3)
        if self.random.random() < 0.25:
            made = {"class_name": "Sequential", "config": {"name": "m", "layers": [made]}}
            made |= {} if old else {"module": "keras", "registered_name": None}
        elif self.random.random() < 0.1:
            made = {"class_name": "Wrapper", "module": "keras.layers", "config": {"name": "w", "layer": made}}
        return made

    def training(self) -> dict[str, Any]:
        """How a model was compiled."""
        optimizer = self.random.choice(({"class_name": "Adam", "config": {}}, self.value(2)))
        metrics = self.random.choice((None, ["accuracy"], [self.value(1)]))
        loss = self.random.choice(("mse", self.value(2)))
        return {"optimizer_config": optimizer, "loss": loss, "metrics": metrics, "loss_weights": None}

    def mutated(self, old: bool) -> Any:
        """An entry of Keras's own, some values of which are others now."""
        made = json.loads(json.dumps(self.random.choice(self.old if old else self.new)))
        for _ in range(self.random.choice((1, 1, 1, 3))):
            places = list(_places(made))
            if not places:
                break
            if self.random.random() < 0.5:
                places = [(holder, key) for holder, key in places if key in NAMING or isinstance(holder[key], str)]
            holder, key = self.random.choice(places)
            old = holder[key]
            if key in ("class_name", "registered_name") or (key == "config" and isinstance(old, str)):
                holder[key] = self.name()
            elif key == "module":
                holder[key] = self.random.choice(MODULES)
            elif self.random.random() < 0.2:
                holder[key] = self.marked(old)
            elif isinstance(old, str) and self.random.random() < 0.6:
                holder[key] = self.name()
            elif self.random.random() < 0.1 and isinstance(holder, dict):
                del holder[key]
            else:
                holder[key] = self.value(2)
        return made

    def value(self, depth: int) -> Any:
        """Something hostile, or something that is not."""
        choice = self.random.random()
        if choice < 0.35:
            return self.name()
        if choice < 0.7 and depth:
            return self.hostile(depth - 1)
        if choice < 0.8 and depth:
            return [self.value(depth - 1) for _ in range(self.random.choice((1, 2, 3)))]
        if choice < 0.9:
            return self.random.choice((0, 1, 2.5, True, None, "", "a/b", "/etc/hostname", "file:///etc/hostname"))
        return self.marked(self.lambda_of_keras_2())

    def name(self) -> Any:
        """The name of a class or function."""
        pool = self.random.choice((NAMES, self.names))
        made = self.random.choice(pool)
        if isinstance(made, str) and self.random.random() < 0.1:
            made = self.random.choice(("evil>", "keras>", "Custom>", "wtool>", "")) + made
        return made

    def hostile(self, depth: int) -> Any:
        """An entry that may do anything."""
        makers = (self.named, self.function, self.lambda_layer, self.graph, self.lookup, self.typed, self.marked_entry)
        return self.random.choice((*makers, self.named, self.lambda_layer))(depth)

    def named(self, depth: int) -> Any:
        """A class by name."""
        config: Any = {self.random.choice(("name", "units", "fn", "layer", "x", "activation")): self.value(depth)}
        config = self.random.choice((config, config, {}, None, self.value(0)))
        made: dict[str, Any] = {"class_name": self.name(), "config": config}
        if self.random.random() < 0.7:
            made["module"] = self.random.choice(MODULES)
        if self.random.random() < 0.5:
            made["registered_name"] = self.random.choice((None, made["class_name"], self.name()))
        if self.random.random() < 0.1:
            made["__passive_serialization__"] = True
        return made

    def function(self, _: int) -> Any:
        """A function by name."""
        name = self.name()
        module = self.random.choice((*MODULES, "builtins", "builtins"))
        registered = self.random.choice((name, None, "function", self.name()))
        return {"class_name": "function", "config": name, "module": module, "registered_name": registered}

    def lambda_of_keras_2(self) -> list[Any]:
        """A function's bytecode, its defaults and its closure."""
        return [self.code, None, None]

    def lambda_layer(self, depth: int) -> Any:
        """A layer with a function in it, as Keras 2 and 3 write it."""
        kept = {"class_name": "__lambda__", "config": {"code": self.code, "defaults": None, "closure": None}}
        of_old = {"class_name": "__lambda__", "config": {"value": self.code}}
        code = self.random.choice(
            (self.lambda_of_keras_2(), kept, of_old, self.code, self.name(), self.function(depth))
        )
        kind = "lambda" if isinstance(code, list) else self.random.choice(("lambda", "function", "raw"))
        code = self.marked(code) if self.random.random() < 0.4 else code
        kind = self.marked(kind) if self.random.random() < 0.1 else kind
        keys = self.random.choice(
            (
                ("Lambda", "function", "function_type", "module"),
                ("Lambda", "output_shape", "output_shape_type", "output_shape_module"),
                ("Lambda", "mask", "mask_type", "mask_module"),
                ("ResidualWrapper", "residual_function", "residual_fn_type", "residual_module"),
                ("DropoutWrapper", "dropout_state_filter_visitor", "dropout_fn_type", "dropout_module"),
            )
        )
        relu = {"function": "relu", "function_type": "function", "module": None}
        more = {"output_shape": None, "output_shape_type": "raw", "output_shape_module": None, "arguments": {}}
        config = (
            {**relu, **more} if keys[0] == "Lambda" else {"cell": {"class_name": "LSTMCell", "config": {"units": 2}}}
        )
        config |= {keys[1]: code, keys[2]: kind, keys[3]: self.random.choice((None, "os", "evil_package", "keras"))}
        made: dict[str, Any] = {"class_name": keys[0], "config": config}
        if self.random.random() < 0.5:
            made |= {"module": "keras.layers", "registered_name": None}
        return made

    def graph(self, _: int) -> Any:
        """A function, method or operation of TensorFlow."""
        kind = self.random.choice(
            ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "ClassMethod", "InstanceMethod")
        )
        config: dict[str, Any] = {"name": "n", "trainable": True, "dtype": "float32"}
        name = self.random.choice((self.random.choice(FUNCTIONS), self.random.choice(self.calls), self.name()))
        if kind == "TensorFlowOpLayer":
            op = self.random.choice(
                ("WriteFile", "ReadFile", "DebugIdentity", "PyFunc", self.random.choice(self.nodes))
            )
            node: Any = {"name": "n", "op": op, "input": ["x"]}
            config |= {"node_def": self.random.choice((node, json.dumps(node), f"\n\x01n\x12{chr(len(op))}{op}"))}
            config |= {"constants": {"1": self.random.choice((1.0, self.path, f"file://{self.path}"))}}
        elif kind == "ClassMethod":
            config |= {"cls_symbol": name, "method_name": self.random.choice(("from_row_splits", "__init__", "mro"))}
        elif kind == "InstanceMethod":
            config |= {"attr_name": self.random.choice(("to_tensor", "numpy", "__reduce__", "eval"))}
        else:
            config |= {"function": name}
        return {"class_name": kind, "config": config}

    def lookup(self, _: int) -> Any:
        """A layer with a vocabulary, or another file."""
        kind = self.random.choice(("StringLookup", "IntegerLookup", "TextVectorization", "TFSMLayer", "IndexLookup"))
        key = self.random.choice(("vocabulary", "filepath", "idf_weights", "vocabulary"))
        value = self.random.choice(("/etc/hostname", "http://127.0.0.1:9/x", ["a", "b"], "gs://b/x", self.path))
        config = {key: self.random.choice((value, self.marked(value)))}
        return {"class_name": kind, "module": self.random.choice(("keras.layers", None)), "config": config}

    def typed(self, _: int) -> Any:
        """A type, or a tensor."""
        module = self.random.choice(MODULES)
        spec = {"class_name": "__typespec__", "spec_name": self.name(), "module": module, "config": [[2], "float32"]}
        legacy = {
            "class_name": "TypeSpec",
            "type_spec": self.random.choice(("tf.TensorSpec", "evil.Spec", 5)),
            "serialized": [],
        }
        tensor = {"class_name": "__tensor__", "config": {"value": [1.0], "dtype": self.name()}}
        return self.random.choice(
            ({**spec, "registered_name": self.random.choice((None, self.name()))}, legacy, tensor)
        )

    def marked_entry(self, depth: int) -> Any:
        """Something that Keras 2's JSON reader turns into something else."""
        return self.marked(self.value(depth))

    def marked(self, value: Any) -> Any:
        """A value in the clothes of another."""
        if isinstance(value, str):
            return {"class_name": "__bytes__", "value": value}
        if isinstance(value, list):
            return {"class_name": self.random.choice(("__tuple__", "__tuple__", "TensorShape")), "items": value}
        return {"class_name": "__tuple__", "items": {str(self.random.choice((value, self.code))): 1, "b": 2, "c": 3}}


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    waiting = [value]
    while waiting:
        each = waiting.pop()
        keys = list(each) if isinstance(each, dict) else range(len(each)) if isinstance(each, list) else ()
        for key in keys:
            yield each, key
            waiting.append(each[key])
