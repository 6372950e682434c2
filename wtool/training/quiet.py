"""Keras without TensorFlow's messages on standard error. Importing this module imports neither of them."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

ADVISING = ("absl", "tensorflow")
"""Loggers whose advice is about code that is not the user's."""


@contextmanager
def silent_import() -> Iterator[None]:
    """Import Keras; what TensorFlow's C++ libraries write to standard error meanwhile is dropped."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    with open(os.devnull, "w") as nowhere:
        real = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(real, 2)
            os.close(real)


@contextmanager
def without_advice() -> Iterator[None]:
    """Silence advice of Keras and TensorFlow, but not errors, until the end of the `with` block."""
    loggers = [logging.getLogger(name) for name in ADVISING]
    before = [logger.level for logger in loggers]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"keras\.")
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
