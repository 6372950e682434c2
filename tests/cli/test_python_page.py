"""The page on Python: its examples give what it says, and its lists are those of the package."""

from __future__ import annotations

import doctest
import re
import shutil
from pathlib import Path
from textwrap import dedent

import pytest

import wtool
from tests import python_reference
from tests.models import BLOBS
from wtool.argument_names import write_for_command_line


def test_the_examples_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir()
    for path in BLOBS:
        shutil.copy(path, tmp_path)
        shutil.copy(path, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```pycon\n(.*?)```", python_reference.PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 10
    names: dict[str, object] = {}
    told: list[str] = []
    write_for_command_line(False)
    try:
        for number, block in enumerate(blocks, 1):
            test = doctest.DocTestParser().get_doctest(dedent(block), names, f"example {number}", None, None)
            doctest.DocTestRunner().run(test, out=told.append, clear_globs=False)
            names = test.globs
    finally:
        write_for_command_line()
    assert not told, "".join(told)


def test_the_lists_are_those_of_the_package() -> None:
    """After a change of a signature or a docstring, `make docs` writes the page anew."""
    assert python_reference.PAGE.read_text() == python_reference.page()


def test_every_public_name_is_on_the_page() -> None:
    text = python_reference.PAGE.read_text()
    for name in wtool.__all__:
        assert name == "__version__" or re.search(rf"`{name}[`(]|^### {name}$", text, re.MULTILINE), name
