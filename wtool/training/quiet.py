"""Keras without what TensorFlow says of itself. This module imports neither."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

ADVISING = ("absl", "tensorflow")
"""Loggers that advise the user on code that is not the user's."""


@contextmanager
def silent_import() -> Iterator[None]:
    """Import Keras without what TensorFlow's libraries write to standard error meanwhile, past Python."""
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
    """Keep Keras and TensorFlow from advising the user; errors are still told. Everything is as before afterwards."""
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
