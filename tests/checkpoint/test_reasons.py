"""Every hostile file is refused for its own reason, which its row of the manifest tells, or is opened."""

from __future__ import annotations

import json
import re
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

import wtool
from tests.models import FIXTURES

FEW = FIXTURES / "hostile"
CASES: dict[str, dict[str, Any]] = {
    case["name"]: case
    for manifest in (FEW / "manifest.json", FIXTURES / "more-hostile.json")
    for case in json.loads(manifest.read_text())["cases"]
}
BY_THE_LIBRARY = "the HDF5 library cannot read it"
NOT_AVERAGED = {
    "avg_units.keras": "d0/kernel has shape (4, 5) instead of (4, 3)",
    "avg_extra_layer.keras": "d2/kernel is too many; d2/bias is too many",
    "avg_missing_var.keras": "d0/bias is missing",
    "avg_int8_quantised.keras": "d0/kernel is int8 instead of float32",
}


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all hostile files."""
    folder = tmp_path_factory.mktemp("hostile")
    for path in FEW.iterdir():
        shutil.copy(path, folder)
    with tarfile.open(FIXTURES / "more-hostile.tar.xz") as archive:
        for member in archive:
            content = archive.extractfile(member)
            assert content is not None
            (folder / member.name).write_bytes(content.read())
    return folder


def refusal(path: Path) -> str | None:
    try:
        wtool.inspect(path)
    except wtool.WtoolError as error:
        return str(error).removeprefix(f"{path}: ")
    return None


def quick(name: str) -> object:
    return pytest.param(name, marks=() if (FEW / name).exists() else pytest.mark.slow)


@pytest.mark.parametrize("name", [quick(name) for name in CASES])
def test_it_is_refused_for_its_own_reason(name: str, hostile: Path) -> None:
    found, reason = refusal(hostile / name), CASES[name]["reason"]
    if reason is None:
        assert found is None
    else:
        assert found is not None
        assert found.startswith(reason)


def test_the_manifest_gives_a_reason_wherever_a_reader_must_refuse() -> None:
    for name, case in CASES.items():
        reason, expected, scope = case["reason"], case["expected"], case["scope"]
        if expected == "reject":
            assert (reason is None) == (scope == "average"), name
        if expected == "ok":
            assert reason is None, name


def test_few_reasons_are_the_librarys() -> None:
    """Its words may change: what wtool's own readers know has to be told by them."""
    told = [name for name, case in CASES.items() if BY_THE_LIBRARY in (case["reason"] or "")]
    assert len(told) <= 5, told


@pytest.mark.parametrize("name", [quick(name) for name in NOT_AVERAGED])
def test_it_is_not_averaged_with_the_model_that_it_resembles(name: str, hostile: Path) -> None:
    with pytest.raises(wtool.WtoolError, match=re.escape(NOT_AVERAGED[name])):
        wtool.average([hostile / "ok_base.keras", hostile / name], dry_run=True)
