"""Where results go: beside their models, or in a folder, and what an output that is a folder is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wtool.checkpoint.inputs import stem_and_ending
from wtool.errors import Usage
from wtool.io.tree import one_place
from wtool.run.target import goals_of, is_folder


def made(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def names_of(words: list[str], output: str | None, is_free: bool = True) -> dict[str, str]:
    found = goals_of(words, output, "converted", ending=".keras", is_free=lambda _, path: is_free)
    return {os.path.basename(model.path): goal.path for model, goal in found}


def test_a_result_with_another_ending_has_the_name_of_its_model(tmp_path: Path) -> None:
    made(tmp_path, "a.h5", "b.keras", "c.weights.h5")
    beside = names_of([str(tmp_path)], None)
    assert beside["a.h5"] == f"{tmp_path}/a.keras"
    assert beside["b.keras"] == f"{tmp_path}/b-converted.keras"
    assert beside["c.weights.h5"] == f"{tmp_path}/c.keras"
    assert names_of([f"{tmp_path}/a.h5"], None, is_free=False) == {"a.h5": f"{tmp_path}/a-converted.keras"}
    assert names_of([str(tmp_path)], "new") == {
        "a.h5": "new/a.keras", "b.keras": "new/b.keras", "c.weights.h5": "new/c.keras"
    }  # fmt: skip


def test_an_earlier_result_is_no_model(tmp_path: Path) -> None:
    made(tmp_path, "a.h5", "a.keras")
    assert names_of([str(tmp_path)], None) == {"a.h5": f"{tmp_path}/a.keras"}


def test_models_with_one_result_are_told_apart_by_their_endings(tmp_path: Path) -> None:
    made(tmp_path, "deep/a.h5", "deep/a.keras", "deep/a.weights.h5", "b.h5")
    assert names_of([str(tmp_path)], "new/") == {
        "a.h5": "new/deep/a-h5.keras", "a.keras": "new/deep/a.keras", "a.weights.h5": "new/deep/a-weights-h5.keras",
        "b.h5": "new/b.keras",
    }  # fmt: skip
    made(tmp_path, "deep/a-h5.hdf5")
    with pytest.raises(Usage, match="would both become new/deep/a-h5"):
        names_of([str(tmp_path)], "new/")


def test_stems() -> None:
    assert stem_and_ending("x/a.weights.h5") == ("x/a", ".weights.h5")


def test_folders(tmp_path: Path) -> None:
    (tmp_path / "folder.d").mkdir()
    assert is_folder(str(tmp_path))
    assert is_folder("new/")
    assert not is_folder("new")
    assert not is_folder("-")
    assert stem_and_ending(f"{tmp_path}/folder.d/") == (f"{tmp_path}/folder.d", ".keras")
    assert stem_and_ending(f"{tmp_path}/folder.d/.") == (f"{tmp_path}/folder.d", ".keras")
    (tmp_path / "link").symlink_to(tmp_path / "folder.d")
    assert one_place(f"{tmp_path}/link", f"{tmp_path}/folder.d")
    assert not one_place(f"{tmp_path}/link", str(tmp_path))


def test_a_folder_that_a_pattern_matches_may_be_a_model(tmp_path: Path) -> None:
    """Its result lies in the output folder, and not beside that."""
    made(tmp_path, "zoo/config.json", "zoo/model.weights.h5")
    (tmp_path / "zoo" / "config.json").write_text('{"class_name": "Functional"}')
    found = goals_of([f"{tmp_path}/zoo/**/"], "new/", "pruned")
    assert [(model.path, goal.path) for model, goal in found] == [(f"{tmp_path}/zoo", "new/zoo.keras")]
