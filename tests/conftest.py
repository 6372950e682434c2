"""What all tests begin with."""

from __future__ import annotations

import gc
import logging
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests import forkserver
from tests.parts import part_of
from tests.remote.fixtures import _hub, _s3, _web, alone, hub, memory, s3, web  # noqa: F401 - fixtures of all tests
from wtool.argument_names import write_for_command_line

hypothesis.settings.register_profile(
    "patient",
    hypothesis.settings(),  # that of continuous integration, where Hypothesis finds itself there
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("patient")  # a busy machine is no fault of a test

LEAVES_OUT = re.compile(r"not \w+( and not \w+)*")
OF_ALL_TESTS = re.compile(r"^pytestmark = .*", re.MULTILINE)
MARK = re.compile(r"pytest\.mark\.(\w+)")


def pytest_configure() -> None:
    """Take SIGINT as a terminal's user sends it, also where a script started the tests in the background.

    A shell starts such jobs with SIGINT ignored. Child processes inherit that, and Python then raises no
    KeyboardInterrupt: right for `wtool ... &` (POSIX), but the tests send SIGINT to see what it does. A handler of this
    process becomes the default action in the programs that it starts.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):  # which nohup has ignored, and all processes that the tests start
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    write_for_command_line()  # tests quote messages as the code has them; test_argument_names.py has those of Python


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--part`."""
    parser.addoption("--part", default="1/1", metavar="I/N", help="run the I-th of N parts of each test's cases")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the other parts of the suite out."""
    try:
        part = part_of([each.nodeid for each in items], config.getoption("part"))
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
    config.hook.pytest_deselected(items=[each for each in items if each.nodeid not in part])
    items[:] = [each for each in items if each.nodeid in part]


def pytest_itemcollected(item: pytest.Item) -> None:
    """Refuse names of tests that differ between processes: those that share the tests then find different ones."""
    if " at 0x" in item.nodeid:
        raise pytest.UsageError(f"{item.nodeid}: an address in the name of a test; give the case a name of its own")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Have the fork servers that the chosen tests use import TensorFlow and Keras while other tests run.

    What the modules of the tests have imported by now stays to the end. Frozen, it is not looked through whenever
    Python collects garbage, as `keras.utils.clear_session` does: TensorFlow's objects take 0.2 s each time.
    """
    gc.freeze()
    names = {name for item in session.items if item.get_closest_marker("tensorflow") for name in vars(item.module)}
    if "forkserver" in names:
        forkserver.begin(forkserver.TRAINING)
    if names.intersection(("fuzz_entries", "resolved_names")):
        forkserver.begin(forkserver.READERS)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not import the test modules all of whose tests are left out, as with `-m "not tensorflow and not slow"`.

    To import TensorFlow and Keras takes six seconds of processor time in each process that collects tests.
    """
    if collection_path.suffix != ".py" or not LEAVES_OUT.fullmatch(config.option.markexpr):
        return None  # the other plugins decide
    left_out = config.option.markexpr.replace("not ", "").split(" and ")
    marks = [name for line in OF_ALL_TESTS.findall(collection_path.read_text("utf-8")) for name in MARK.findall(line)]
    return True if set(marks).intersection(left_out) else None


@pytest.fixture
def quiet_keras() -> Iterator[None]:
    """Keras warns of nothing in a test, and keeps none of the test's models afterwards."""
    import keras

    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)
    keras.utils.clear_session()


@pytest.fixture(scope="module")
def plain_recurrence() -> Iterator[None]:
    """LSTM and GRU of tf_keras compute step by step, without their functions for GPUs, which take long to trace."""
    layers = pytest.importorskip("tf_keras").layers
    never = property(lambda layer: False, lambda layer, value: None)
    with pytest.MonkeyPatch.context() as patch:
        for each in (layers.LSTM, layers.GRU):
            patch.setattr(each, "_could_use_gpu_kernel", never, raising=False)
        yield
