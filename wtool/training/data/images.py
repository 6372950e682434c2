"""Images in a folder with one folder for each class."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from wtool.checkpoint.inputs import natural_key
from wtool.dtypes import Array
from wtool.errors import WtoolError
from wtool.training.data.samples import Samples

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")


def of_folder(path: str, model: Any) -> Samples:
    """Returns the samples of a folder that has one folder of images for each class; y is the index of the class, in the
    order of the folders' names.

    Args:
        path: of the folder.
        model: to whose input images are resized, pixels 0 to 255.

    Raises:
        WtoolError: there are no images, or the model takes none; in training, one that cannot be read.
    """
    classes = sorted(entry.name for entry in os.scandir(path) if entry.is_dir() and not entry.name.startswith("."))
    found = [(file, number) for number, name in enumerate(classes) for file in _files(os.path.join(path, name))]
    if not found:
        raise WtoolError("neither a saved dataset nor a folder with a folder of images for each class", path)
    shape = tuple(getattr(model, "input_shape", ()) or ())
    if len(shape) != 4 or None in shape[1:]:
        raise WtoolError(f"images need a model whose input has a fixed height, width and depth, not {shape}", path)
    height, width, depth = shape[1:]
    colours = {1: "grayscale", 3: "rgb", 4: "rgba"}.get(depth)
    if colours is None:
        raise WtoolError(f"images have 1, 3 or 4 colours, but the model's input has {depth}", path)

    def take(places: Array) -> tuple[Array, Array]:
        pictures = [_pixels(found[at][0], colours, (height, width)) for at in places]
        return np.stack(pictures), np.array([found[at][1] for at in places])

    return Samples(len(found), take)


def _files(folder: str) -> Iterator[str]:
    files = (str(file) for file in Path(folder).rglob("*") if file.suffix.lower() in SUFFIXES)
    yield from sorted(files, key=natural_key)


def _pixels(path: str, colours: str, size: tuple[int, int]) -> Any:
    try:
        image = keras.utils.load_img(path, color_mode=colours, target_size=size, interpolation="bilinear")
        return keras.utils.img_to_array(image, data_format="channels_last")
    except (OSError, ValueError, SyntaxError) as error:  # what Pillow raises where it cannot read one
        raise WtoolError("no image that can be read", path) from error
