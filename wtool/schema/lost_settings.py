"""Settings that Keras did not save: the shapes that a model was built for tell that it had other settings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from wtool.errors import Note
from wtool.schema.calls import takers

_TRANSPOSED = r"(?:keras>)?Conv([123])DTranspose"


def lost_settings(config: Mapping[str, Any]) -> Iterator[Note]:
    """Yields a note for each transposed convolution that lost its `output_padding`, which Keras 3 saves since 3.15.

    The next layer was built for another size than the one that the convolution as saved will give. Where the file does
    not tell the size that the next layer was built for, there is no note: few layers have an `output_padding`.
    """
    waiting: list[Any] = [config]
    while waiting:
        entry = waiting.pop()
        settings = entry.get("config") if isinstance(entry, Mapping) else None
        if not isinstance(settings, Mapping) or not isinstance(settings.get("layers"), list):
            continue
        waiting += settings["layers"]
        if not any(map(_gives, settings["layers"])):
            continue  # as in most models; to follow the calls takes a tenth of the time that opening a model takes
        for first, second in takers(settings):
            given, wanted = _gives(first), _built_for(second)
            if given and wanted and any(None not in pair and pair[0] != pair[1] for pair in zip(given, wanted)):  # noqa: B905
                before, after = (" x ".join("?" if n is None else str(n) for n in each) for each in (wanted, given))
                told = f"layer {first['config'].get('name')} gave {before} when it was saved and will give {after}"
                yield Note(f"{told}: Keras did not save its output_padding", "odd")


def _gives(entry: Any) -> Sequence[int | None]:
    """Returns a transposed convolution's output shape without `output_padding`; empty if it has that setting."""
    if not isinstance(entry, Mapping):
        return ()
    name, config = str(entry.get("class_name")), entry.get("config")
    match = re.fullmatch(_TRANSPOSED, name) if name.endswith("Transpose") else None  # few names do
    if match is None or not isinstance(config, Mapping) or "output_padding" in config:
        return ()
    shape = _built_for(entry)
    rank = int(match[1])
    kernel, stride, dilation = (_sizes(config.get(key), rank) for key in ("kernel_size", "strides", "dilation_rate"))
    if len(shape) != rank + 2 or not (kernel and stride and dilation):
        return ()
    first = config.get("data_format") == "channels_first"
    space = shape[2:] if first else shape[1:-1]
    valid = config.get("padding") == "valid"
    grown = [
        None if n is None else n * s + (max((k - 1) * d + 1 - s, 0) if valid else 0)
        for n, k, s, d in zip(space, kernel, stride, dilation, strict=True)
    ]
    return (None, None, *grown) if first else (None, *grown, None)


def _built_for(entry: Mapping[str, Any]) -> Sequence[int | None]:
    """Returns the input shape for which a layer was built or called; empty where the file has none."""
    build = entry.get("build_config")
    shape = build.get("input_shape") if isinstance(build, Mapping) else None
    with suppress(KeyError, IndexError, TypeError):
        shape = shape or entry["inbound_nodes"][0]["args"][0]["config"]["shape"]
    return shape if isinstance(shape, list) and all(n is None or type(n) is int for n in shape) else ()


def _sizes(value: Any, rank: int) -> Sequence[int]:
    sizes = [value] * rank if type(value) is int else value
    return sizes if isinstance(sizes, list) and len(sizes) == rank and all(type(n) is int for n in sizes) else ()
