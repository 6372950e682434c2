"""A child process: gives entries to the deserialisers of one Keras, with safe mode off, and says what they did.

`python -m tests.fuzz_entries_child keras|tf_keras FOLDER` reads cases from standard input, JSON lines: `[route, text]`.
It answers each with a line: `{"did": [...], "made": ...}`. Under an audit hook, what imports, opens, fetches, starts or
unmarshals is written down, as is what TensorFlow's file functions are asked for, what Keras's settings were changed to,
and which object came out. With `own` instead of cases it writes entries that this Keras makes of its own classes.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

WHICH, FOLDER = sys.argv[1], os.path.join(sys.argv[2], "made")
MODULES = os.path.join(sys.argv[2], "modules")
"""Where the modules are that nobody should import."""

KERAS = ("keras", "tf_keras", "tensorflow", "numpy", "builtins")
"""Packages whose objects may come out without a word."""

CODE = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "pickle.find_class", "ctypes.dlopen")
REACHING = (
    "socket.connect", "socket.getaddrinfo", "urllib.Request", "webbrowser.open", "os.remove", "os.rename", "os.mkdir",
    "os.rmdir", "os.link", "os.symlink", "shutil.rmtree", "shutil.copyfile", "shutil.unpack_archive", "os.listdir",
)  # fmt: skip

did: list[str] = []
watching = False


def hook(event: str, arguments: tuple[Any, ...]) -> None:
    """Write down what is not Python's or Keras's own import machinery."""
    if not watching:
        return
    if event == "marshal.loads" and not _importing():
        did.append("code marshal.loads")
    elif event in CODE:
        did.append(f"code {event}")
    elif event in REACHING and not _importing():
        did.append(f"reach {event} {arguments[:1]!r:.120}")
    elif event == "open" and isinstance(arguments[0], str) and not _importing() and not _own_file(arguments[0]):
        did.append(f"reach open {arguments[0]:.120}")


def _importing() -> bool:
    frame = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


def _own_file(path: str) -> bool:
    own = (sys.prefix, sys.base_prefix, "/dev/", "/proc/", "/sys/", "/usr/", "/etc/", *sys.path[1:])
    return path.startswith(tuple(each for each in own if each)) and FOLDER not in path


def _watch_imports() -> None:
    """Modules by name: also those that are loaded already, of which the audit hook hears nothing."""
    real = importlib.import_module

    def import_module(name: str, package: str | None = None) -> Any:
        if watching and name.split(".")[0] not in KERAS and not _lazily():
            did.append(f"code import {name!r:.80}")
        return real(name, package)

    importlib.import_module = import_module


def _lazily() -> bool:
    """Whether Keras itself loads what it may need (its `LazyModule`)."""
    frame = sys._getframe(2)
    return "module_utils" in frame.f_code.co_filename or "lazy_loader" in frame.f_code.co_filename


def _watch_files() -> None:
    """TensorFlow opens files below Python: no audit event tells of it."""
    with suppress(ImportError):
        module = importlib.import_module("tensorflow.python.lib.io._pywrap_file_io")
        for name in dir(module):
            if name[0].isupper() or name.startswith("_"):
                real = getattr(module, name)
                if callable(real) and not name.startswith("__") and not inspect.isclass(real):
                    setattr(module, name, _told(name, real))
        for name in ("BufferedInputStream", "WritableFile"):
            setattr(module, name, _told(name, getattr(module, name)))


def _told(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def called(*arguments: Any, **named: Any) -> Any:
        if watching:
            did.append(f"reach {name} {arguments[:1]!r:.120}")
        return real(*arguments, **named)

    return called


def routes() -> dict[str, Callable[[str], Any]]:
    """Name of each way into this Keras -> function of JSON text."""
    base = WHICH
    serialization_lib = importlib.import_module(f"{base}.src.saving.serialization_lib")
    if base == "keras":
        json_utils = importlib.import_module("keras.src.legacy.saving.json_utils")
        saving_utils = importlib.import_module("keras.src.legacy.saving.saving_utils")
        options = importlib.import_module("keras.src.legacy.saving.saving_options")
        build = saving_utils.model_from_config
    else:
        json_utils = importlib.import_module("tf_keras.src.saving.legacy.saved_model.json_utils")
        saving_utils = importlib.import_module("tf_keras.src.saving.legacy.saving_utils")
        build = importlib.import_module("tf_keras.src.saving.legacy.model_config").model_from_config
    keras = importlib.import_module(base)

    def legacy(text: str) -> Any:
        config = json_utils.decode(text)
        if base == "tf_keras":
            return build(config)
        with options.keras_option_scope(use_legacy_config=True):
            return build(config)

    def unsafe(text: str) -> Any:
        return serialization_lib.deserialize_keras_object(json.loads(text), safe_mode=False)

    found: dict[str, Callable[[str], Any]] = {
        "object": unsafe,
        "legacy": legacy,
        "training": lambda text: saving_utils.compile_args_from_training_config(json_utils.decode(text)),
        "json": keras.models.model_from_json,
    }
    rooms = (
        "activations",
        "initializers",
        "losses",
        "metrics",
        "optimizers",
        "regularizers",
        "constraints",
        "quantizers",
    )
    for room in rooms:
        module = getattr(keras, room, None)
        if module is not None:
            found[room] = lambda text, module=module: module.get(json.loads(text))
    policies = (
        keras.dtype_policies if base == "keras" else importlib.import_module("tf_keras.src.mixed_precision.policy")
    )
    found["dtype"] = lambda text: getattr(policies, "get", policies.deserialize)(json.loads(text))
    return found


def settings() -> str:
    """Keras's own settings, as a text: functions that change them are no parts of models."""
    keras = importlib.import_module(WHICH)
    told = [keras.backend.floatx(), keras.backend.epsilon(), keras.backend.image_data_format()]
    told.append(len(keras.utils.get_custom_objects()))
    if WHICH == "keras":
        told += [keras.config.dtype_policy().name, keras.config.is_traceback_filtering_enabled()]
    told.append(importlib.import_module(f"{WHICH}.src.saving.serialization_lib").in_safe_mode())
    return repr(told)


def made_of(value: Any) -> str:
    """The module and name of an object that came out, or of its class."""
    if inspect.ismodule(value):
        return f"module {value.__name__}"
    if callable(value) and hasattr(value, "__name__") and not inspect.isclass(value):
        return f"function {getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"
    cls = value if inspect.isclass(value) else type(value)
    return f"{'class' if inspect.isclass(value) else 'object'} {cls.__module__}.{cls.__qualname__}"


def one(give: Callable[[str], Any], text: str) -> dict[str, Any]:
    """What happened to one case: also when what came out is called, if it is a layer."""
    global watching
    did.clear()
    before = settings()
    watching = True
    made: str = ""
    try:
        value = give(text)
        made = made_of(value)
        if type(value).__name__ in (
            "Lambda",
            "TFOpLambda",
            "TensorFlowOpLayer",
            "Activation",
            "TFSMLayer",
            "InstanceMethod",
        ):
            value(importlib.import_module("numpy").ones((1, 4), "float32"))
    except BaseException as error:
        made = made or f"error {type(error).__name__}"
        if isinstance(error, KeyboardInterrupt):
            raise
    finally:
        watching = False
    told = list(did)
    if settings() != before:
        told.append(f"code settings {before} {settings()}")
    told += [f"code wrote {name}" for name in sorted(os.listdir(FOLDER)) if name.startswith("made")]
    for name in os.listdir(FOLDER):
        if name.startswith("made"):
            os.remove(os.path.join(FOLDER, name))
    return {"did": told, "made": made}


def own() -> Iterator[Any]:
    """Entries of this Keras's own classes, made with plausible arguments."""
    keras = importlib.import_module(WHICH)
    guesses: dict[str, Any] = {
        "units": 3, "filters": 2, "kernel_size": 2, "rate": 0.5, "n": 2, "size": 2, "target_shape": [2, 2], "dims":
        [2, 1], "input_dim": 5, "output_dim": 3, "num_heads": 2, "key_dim": 2, "head_dim": 2, "num_query_heads": 2,
        "num_bins": 4, "num_key_value_heads": 2, "equation": "ab,bc->ac", "output_shape": [3], "height": 4, "width":
        4, "factor": 0.1, "num_tokens": 4, "activation": "relu", "axes": 1, "initial_learning_rate": 0.1,
        "decay_steps": 5, "decay_rate": 0.5, "boundaries": [1], "values": [0.1, 0.2], "first_decay_steps": 3, "k":
        2, "num_classes": 2, "target_class_ids": [0], "recall": 0.5, "precision": 0.5, "sensitivity": 0.5,
        "specificity": 0.5, "stddev": 0.1, "value": 0.5, "gain": 1.0, "scale": 1.0, "brightness_factor": 0.1,
        "shape": [4], "reduction": "sum", "epsilon": 0.001, "output_size": 3, "seed": 1, "max_value": 2.0,
        "pool_size": 2, "min_value": 0.1, "fn": "mse", "intermediate_dim": 4,
    }  # fmt: skip
    rooms = ("layers", "initializers", "losses", "metrics", "optimizers", "regularizers", "constraints", "quantizers")
    serialize = importlib.import_module(f"{WHICH}.src.saving.serialization_lib").serialize_keras_object
    old = importlib.import_module(
        "keras.src.legacy.saving.serialization" if WHICH == "keras" else "tf_keras.src.saving.legacy.serialization"
    )
    inner = {"layer": keras.layers.Dense(2), "cell": keras.layers.LSTMCell(2), "layers": [], "inner_optimizer": "sgd"}
    for room in rooms:
        for name in dir(getattr(keras, room, None)):
            cls = getattr(getattr(keras, room), name)
            if not inspect.isclass(cls):
                continue
            with suppress(Exception):
                wanted = {
                    key: (guesses | inner)[key]
                    for key, argument in inspect.signature(cls).parameters.items()
                    if argument.default is inspect.Parameter.empty and key in guesses | inner
                }
                thing = cls(**wanted)
                for made in (serialize, old.serialize_keras_object):
                    with suppress(Exception):
                        yield json.loads(json.dumps(made(thing)))


def main() -> None:
    """Answer the cases."""
    os.dup2(2, 1)  # whatever prints goes to standard error
    out = os.fdopen(ANSWERS, "w", buffering=1)
    sys.path.append(MODULES)
    importlib.import_module(WHICH)
    if WHICH == "tf_keras":
        importlib.import_module("tensorflow").get_logger().setLevel("ERROR")
    if sys.argv[3:] == ["own"]:
        for entry in own():
            print(json.dumps(entry), file=out)
        return
    ways = routes()
    _watch_imports()
    _watch_files()
    sys.addaudithook(hook)
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    for line in sys.stdin:
        route, text = json.loads(line)
        signal.alarm(30)
        answer = one(ways[route], text) if route in ways else {"did": [], "made": "no such way"}
        signal.alarm(0)
        print(json.dumps(answer), file=out)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 24, 1 << 24))
    ANSWERS = os.dup(1)
    main()
